"""A stamping authority of the tests' own: OpenSSL behind a small HTTP server."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CONFIG = """
[ tsa ]
default_tsa = ours
[ ours ]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def require_openssl() -> str:
    """Path of the program. CI has it; elsewhere the tests that need it say so."""
    found = shutil.which("openssl")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI installs openssl, and it is not there")
        pytest.skip("stamps are tested against OpenSSL's `openssl ts`, which this machine lacks: install openssl")
    return found


@dataclass
class Authority:
    """*mood*: `well`, `slow`, `down`, `nonsense`, or `late`: what it stamped before, whatever is asked."""

    url: str
    roots: Path
    mood: str = "well"
    asked: int = 0
    last: bytes = b""


def make_certificates(folder: Path, *, name: str = "Stamping root") -> None:
    """`roots.pem`, and a certificate below it that may stamp and nothing else, with its key."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def builder(subject: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named(name))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=3650))
        )

    root = builder(name, root_key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    signer = (
        builder("Stamping authority", key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    )
    (folder / "roots.pem").write_bytes(root.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    (folder / "tsa.pem").write_bytes(signer.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    (folder / "tsa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "serial").write_text("01")
    (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))


@contextmanager
def running_authority(folder: Path) -> Iterator[Authority]:
    openssl = require_openssl()
    make_certificates(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["content-length"]))
            authority.asked += 1
            if authority.mood == "slow":
                closing.wait(30)
            if authority.mood in {"slow", "down"}:
                self.send_error(503)
                return
            answer = b"nonsense" if authority.mood == "nonsense" else authority.last
            if authority.mood == "well":
                (folder / "query").write_bytes(query)
                command = [openssl, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "answer"]
                subprocess.run(command, cwd=folder, check=True, capture_output=True)
                answer = authority.last = (folder / "answer").read_bytes()
            self.send_response(200)
            self.send_header("content-type", "application/timestamp-reply")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server names it
            pass

    closing = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port = server.server_address[1]
    authority = Authority(f"http://127.0.0.1:{port}/", folder / "roots.pem")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield authority
    finally:
        closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
