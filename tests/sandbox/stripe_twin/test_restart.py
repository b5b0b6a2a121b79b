import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import stripe

from tests.sandbox.stripe_twin.receiver import SECRET, Receiver, session_params

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


@contextmanager
def twin_process(file: Path, *, port: int = 0, webhook: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "sandbox.stripe_twin", "--port", str(port), "--file", str(file)]
    command += ["--webhook", webhook, "--webhook-secret", SECRET]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert found is not None
            yield found[0], process
        finally:
            process.kill()


def client_of(url: str) -> stripe.StripeClient:
    return stripe.StripeClient("sk_test_x", base_addresses={"api": url}, max_network_retries=0)


def test_kill_9_loses_no_object_no_key_and_no_webhook(tmp_path: Path, receiver: Receiver) -> None:
    file = tmp_path / "twin.sqlite"
    receiver.answers = [500] * 50
    with twin_process(file, webhook=receiver.url) as (url, process):
        port = int(url.rpartition(":")[2])
        session = client_of(url).v1.checkout.sessions.create(session_params(), {"idempotency_key": "attempt-1"})
        assert httpx.post(f"{url}/_twin/pay", json={"session": session.id}).json()["outcome"] == "paid"
        httpx.post(f"{url}/_twin/clock", json={"shift_seconds": 100})
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    receiver.answers = []
    with twin_process(file, port=port, webhook=receiver.url) as (url, _):
        client = client_of(url)
        again = client.v1.checkout.sessions.create(session_params(), {"idempotency_key": "attempt-1"})
        assert again.last_response is not None
        assert (again.id, again.last_response.headers["Idempotent-Replayed"]) == (session.id, "true")
        assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
        httpx.post(f"{url}/_twin/webhooks", json={"action": "retry"})
        httpx.post(f"{url}/_twin/drain", json={"timeout": 10})
        assert "checkout.session.completed" in receiver.types()
        status = httpx.get(f"{url}/_twin/status").json()
        assert (status["clock_shift_seconds"], status["violations"]) == (100, 0)
        assert len(client.v1.webhook_endpoints.list().data) == 1


def test_it_stops_when_asked_and_says_when_its_port_is_taken(tmp_path: Path, receiver: Receiver) -> None:
    with twin_process(tmp_path / "twin.sqlite", webhook=receiver.url) as (url, process):
        port = url.rpartition(":")[2]
        command = [sys.executable, "-m", "sandbox.stripe_twin", "--port", port, "--file", str(tmp_path / "b.sqlite")]
        second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=20)
        assert second.returncode == 1
        assert "choose another with --port" in second.stderr
        started = time.monotonic()
        process.terminate()
        assert process.wait(timeout=5) == 0
        assert time.monotonic() - started < 5


def test_it_goes_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    starter = (
        "import subprocess, sys, time; "
        "twin = subprocess.Popen([sys.executable, '-m', 'sandbox.stripe_twin', '--port', '0', '--with-parent', "
        f"'--file', {str(tmp_path / 'twin.sqlite')!r}], stdin=subprocess.PIPE); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", starter], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None
        process.kill()
        for _ in range(100):
            try:
                httpx.get(found[0])
            except httpx.TransportError:
                return
            time.sleep(0.05)
        pytest.fail("the twin outlived the process that started it")


def test_a_webhook_without_a_secret_is_refused_at_the_start() -> None:
    command = [sys.executable, "-m", "sandbox.stripe_twin", "--webhook", "http://127.0.0.1:8000/webhooks/stripe"]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=20)
    assert refused.returncode == 2
    assert "always signed" in refused.stderr


def test_kill_9_in_the_middle_of_work_leaves_nothing_half_done(tmp_path: Path, receiver: Receiver) -> None:
    file = tmp_path / "twin.sqlite"
    acknowledged: dict[str, str] = {}

    def buy(client: stripe.StripeClient, url: str, worker: int) -> None:
        for number in range(1000):
            key = f"attempt-{worker}-{number}"
            try:
                session = client.v1.checkout.sessions.create(session_params(), {"idempotency_key": key})
                acknowledged[key] = session.id
                httpx.post(f"{url}/_twin/pay", json={"session": session.id})
            except (stripe.APIConnectionError, httpx.TransportError):
                return

    with twin_process(file, webhook=receiver.url) as (url, process):
        client = client_of(url)
        workers = [threading.Thread(target=buy, args=(client, url, worker)) for worker in range(3)]
        for worker in workers:
            worker.start()
        while len(acknowledged) < 15:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        for worker in workers:
            worker.join()
    with twin_process(file, webhook=receiver.url) as (url, _):
        client = client_of(url)
        for key, session_id in acknowledged.items():
            assert client.v1.checkout.sessions.create(session_params(), {"idempotency_key": key}).id == session_id
        httpx.post(f"{url}/_twin/drain", json={"timeout": 20}, timeout=30)
        sessions = httpx.get(f"{url}/_twin/objects?type=checkout.session").json()
        paid = {session["id"] for session in sessions if session["payment_status"] == "paid"}
        charges = httpx.get(f"{url}/_twin/objects?type=charge").json()
        told = {event.data.object["id"] for event in receiver.events() if event.type == "checkout.session.completed"}
        assert len(charges) == len(paid) > 0
        assert told == paid
        assert httpx.get(f"{url}/_twin/violations").json() == []
