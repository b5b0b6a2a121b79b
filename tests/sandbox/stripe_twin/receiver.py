"""A webhook receiver, and the small cast of the twin's tests."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import stripe

SECRET = "whsec_of_the_tests"


@dataclass
class Receiver:
    """Keeps what it is sent; *answers* are the statuses of the next answers, 200 after them."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    received: list[tuple[bytes, str]] = field(default_factory=list)

    def events(self, *, secret: str = SECRET) -> list[stripe.Event]:
        return [stripe.Webhook.construct_event(body, signature, secret) for body, signature in self.received]

    def types(self) -> list[str]:
        return [event.type for event in self.events()]


@contextmanager
def listening_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """The shop's page, to which a paid buyer comes back."""
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Shop</title><h1>Thank you</h1>")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.answers.pop(0) if receiver.answers else 200
            if status == 200:
                receiver.received.append((body, self.headers["Stripe-Signature"]))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class names it so
            del format, args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/webhooks/stripe"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def session_params(**changes: Any) -> Any:
    """Acme buys two armchairs for 24.68 EUR."""
    return {
        "mode": "payment",
        "ui_mode": "hosted_page",
        "client_reference_id": "order-1001",
        "metadata": {"order": "1001"},
        "success_url": "http://127.0.0.1:8000/orders/1001?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://127.0.0.1:8000/checkout",
        "line_items": [line()],
        "payment_intent_data": {"metadata": {"order": "1001"}},
        **changes,
    }


def line(unit_amount: int = 1234, *, quantity: int = 2, currency: str = "eur", name: str = "CRUNCHY-ARMCHAIR") -> Any:
    price = {"currency": currency, "unit_amount": unit_amount, "product_data": {"name": name}}
    return {"quantity": quantity, "price_data": price}
