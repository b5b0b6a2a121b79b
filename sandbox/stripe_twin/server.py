"""HTTP in front of the twin, on the loopback address only: the API, the hosted pages, the tests' entrance."""

import http.server
import json
import logging
import re
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sandbox.stripe_twin import invoice_pages, pages
from sandbox.stripe_twin.account import ContractViolation
from sandbox.stripe_twin.api import ApiAnswer, ApiRequest
from sandbox.stripe_twin.cards import TEST_CARDS, CardEntry, read_entry
from sandbox.stripe_twin.control import UnknownControl, control
from sandbox.stripe_twin.debits import ROUTING_NUMBER, TEST_ACCOUNTS, DebitEntry, read_debit
from sandbox.stripe_twin.errors import StripeError
from sandbox.stripe_twin.faults import Fault
from sandbox.stripe_twin.pages import FormState
from sandbox.stripe_twin.sessions import Attempt
from sandbox.stripe_twin.spanish import preferred_language, speaker
from sandbox.stripe_twin.store import Record
from sandbox.stripe_twin.twin import Twin

log = logging.getLogger("stripe_twin.http")

LONGEST_BODY = 1_000_000
_STYLE = (Path(__file__).parent / "static" / "twin.css").read_bytes()


class Server(http.server.ThreadingHTTPServer):
    """Serves one twin, which is given once the port is known."""

    daemon_threads = True
    request_queue_size = 128
    twin: Twin

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End kept-alive connections, whose threads would otherwise wait for another request."""
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the other side was faster

    def handle_error(self, request: Any, client_address: Any) -> None:
        del request, client_address
        log.debug("a connection ended in the middle: %s", sys.exception())


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server
    wbufsize = -1  # head and body leave in one write
    disable_nagle_algorithm = True
    timeout = 120

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class names it so
        log.debug(format, *args)

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self._read_body()
        if body is None:
            return
        url = urlsplit(self.path)
        try:
            if url.path.startswith("/v1/"):
                self._serve_api(body)
            elif url.path.startswith("/_twin/"):
                self._serve_control(url.path.removeprefix("/_twin/"), url.query, body)
            else:
                self._serve_page(url.path, dict(parse_qsl(url.query)), dict(parse_qsl(body, keep_blank_values=True)))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception:
            log.exception("%s %s failed", self.command, url.path)
            self._send_json(500, {"error": {"type": "api_error", "message": "The Stripe twin failed; see its log."}})

    def _read_body(self) -> str | None:
        if "Transfer-Encoding" in self.headers:
            self._refuse(411, "Send a Content-Length")
            return None
        length = self.headers.get("Content-Length", "0")
        if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > LONGEST_BODY:
            self._refuse(413, f"At most {LONGEST_BODY} bytes")
            return None
        try:
            return self.rfile.read(int(length)).decode()
        except UnicodeDecodeError:
            self._refuse(400, "The body is not UTF-8")
            return None

    def _refuse(self, status: int, message: str) -> None:
        self.close_connection = True
        self._send_json(status, {"error": {"type": "invalid_request_error", "message": message}})

    # The API

    def _serve_api(self, body: str) -> None:
        twin = self.server.twin
        request = ApiRequest(
            method=self.command,
            target=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        fault = twin.faults.take(request.method, request.path)
        if fault is not None and fault.kind in {"timeout", "reset"}:
            self._break_off(fault)
            return
        twin.let_time_pass()
        answer = twin.api.answer(request, fault)
        twin.dispatcher.wake()
        log.info("%s %s: %s", request.method, request.path, answer.status)
        if fault is not None and fault.kind == "lose_answer":
            self.close_connection = True
            return
        if fault is not None and fault.kind == "garbage":
            answer = ApiAnswer(200, b"<html>\x00not json", {**answer.headers})
        self._send(answer.status, answer.body, "application/json", answer.headers)

    def _break_off(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.kind == "timeout":
            time.sleep(fault.seconds)
        else:
            # Zero linger makes the kernel send RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    # The tests' entrance

    def _serve_control(self, name: str, query: str, body: str) -> None:
        try:
            self._send_json(200, control(self.server.twin, self.command, name, query, body))
        except UnknownControl as error:
            self._send_json(404, {"error": f"no {error}"})
        except KeyError as error:
            self._send_json(404, {"error": f"no such object or name: {error.args[0]}"})
        except (ValueError, TimeoutError) as error:
            self._send_json(400, {"error": str(error)})

    # The buyer's pages

    def _serve_page(self, path: str, query: dict[str, str], form: dict[str, str]) -> None:
        if path == "/assets/twin.css" and self.command == "GET":
            self._send(200, _STYLE, "text/css; charset=utf-8", {"Cache-Control": "max-age=300"})
        elif match := re.fullmatch(r"/c/pay/(cs_test_\w+)", path):
            self._serve_payment(match[1], query, form)
        elif match := re.fullmatch(r"/3ds/(pi_\w+)/(\w+)", path):
            self._serve_authentication(match[1], match[2], form)
        elif match := re.fullmatch(r"/i/(in_\w+)(/3ds|/pdf|/cn_\w+/pdf)?", path):
            self._serve_invoice(match[1], match[2] or "", form)
        elif path == "/":
            self._send_message(200, "Stripe test server", "It runs. Pay from the shop's checkout.")
        else:
            self._send_message(404, "Not found", "There is no such page on the Stripe test server.")

    def _serve_payment(self, session_id: str, query: dict[str, str], form: dict[str, str]) -> None:
        twin = self.server.twin
        session = twin.find_session(session_id)
        if session is None:
            self._send_message(404, "Not found", "There is no such payment. Start again from the shop.")
            return
        language = self._language(session)
        if session.body["status"] != "open":
            self._send_page(200, pages.closed_page(session, language), session)
            return
        if self.command == "GET":
            fields, method = self._prefilled(query), _method(session, query)
            self._send_page(200, pages.payment_page(session, FormState(fields, method=method), language), session)
            return
        method = _method(session, form)
        try:
            attempt = twin.pay(session_id, self._entry(form, method))
        except ContractViolation as error:
            page = pages.message_page("The Stripe twin made a mistake", error.message, language)
            self._send_page(500, page, session)
        except StripeError as error:
            state = FormState(form, error.message, error.body["error"].get("param"), method)
            self._send_page(422, pages.payment_page(session, state, language), session)
        else:
            self._follow(attempt, session, form)

    def _serve_invoice(self, invoice_id: str, part: str, form: dict[str, str]) -> None:
        twin = self.server.twin
        invoice = twin.find_invoice(invoice_id)
        if invoice is None:
            self._send_message(404, "Not found", "There is no such payment. Start again from the shop.")
            return
        language, state, status = self._language(None), FormState({}), 200
        try:
            if self.command == "POST" and part == "/3ds":
                twin.authenticate_invoice(invoice_id, passed=form.get("answer") == "pass")
            elif self.command == "POST":
                now = time.gmtime(twin.clock.seconds())
                attempt = twin.enter_card(invoice_id, read_entry(form, year=now.tm_year, month=now.tm_mon))
                if attempt.outcome == "requires_action":
                    self._send_page(200, invoice_pages.bank_page(invoice, language))
                    return
                state, status = FormState({**form, "cvc": ""}, attempt.message), 402 if attempt.message else 200
        except ContractViolation as error:
            self._send_page(500, pages.message_page("The Stripe twin made a mistake", error.message, language))
            return
        except KeyError:
            status = 409
        except StripeError as error:
            state, status = FormState(form, error.message, error.body["error"].get("param")), 422
        self._send_page(status, invoice_pages.invoice_page(twin.find_invoice(invoice_id) or invoice, state, language))

    def _entry(self, form: dict[str, str], method: str) -> CardEntry | DebitEntry:
        """:raises StripeError: when a field has to be mended"""
        kind = next((bank.method for bank in TEST_ACCOUNTS if bank.method == method), None)
        if kind is not None:
            return read_debit(form, kind)
        now = time.gmtime(self.server.twin.clock.seconds())
        return read_entry(form, year=now.tm_year, month=now.tm_mon)

    def _serve_authentication(self, intent_id: str, token: str, form: dict[str, str]) -> None:
        twin = self.server.twin
        intent = twin.store.find(intent_id, "payment_intent")
        session = twin.find_session(intent.private["session"]) if intent else None
        if intent is None or session is None:
            self._send_message(404, "Not found", "There is no such payment. Start again from the shop.")
        elif session.body["status"] != "open":
            self._send_page(200, pages.closed_page(session, self._language(session)), session)
        elif intent.private.get("authentication") != token:
            self._redirect(f"/c/pay/{session.id}", session)
        elif self.command == "GET":
            self._send_page(200, pages.authentication_page(session, intent, self._language(session)), session)
        else:
            attempt, session = twin.authenticate(intent_id, token, passed=form.get("answer") == "pass")
            self._follow(attempt, session, {})

    def _follow(self, attempt: Attempt, session: Record, form: dict[str, str]) -> None:
        if attempt.location is not None:
            self._redirect(attempt.location, session)
            return
        current = self.server.twin.find_session(session.id) or session
        language = self._language(current)
        if attempt.outcome == "closed":
            self._send_page(200, pages.closed_page(current, language), current)
            return
        state = FormState({**form, "cvc": ""}, attempt.message)
        self._send_page(402, pages.payment_page(current, state, language), current)

    def _language(self, session: Record | None) -> str:
        locale = session.body["locale"] if session is not None else None
        return preferred_language(locale, self.headers.get("Accept-Language", ""))

    @staticmethod
    def _prefilled(query: dict[str, str]) -> dict[str, str]:
        bank = next((bank for bank in TEST_ACCOUNTS if bank.number == query.get("account")), None)
        if bank is not None:
            who = {"name": "Test Buyer", "email": "buyer@acme.example"}
            return {"number": bank.number, "routing": ROUTING_NUMBER, **who}
        card = next((card for card in TEST_CARDS if card.number == query.get("card")), None)
        if card is None:
            return {}
        return {
            "number": card.number,
            "expiry": "12 / 34",
            "cvc": "1234" if card.brand == "amex" else "123",
            "name": "Test Buyer",
            "email": "buyer@acme.example",
        }

    # Writing answers

    def _redirect(self, location: str, session: Record) -> None:
        self._send(303, b"", "text/html; charset=utf-8", {"Location": location, **_page_headers(session)})

    def _send_page(self, status: int, page: str, session: Record | None = None) -> None:
        self._send(status, page.encode(), "text/html; charset=utf-8", _page_headers(session))

    def _send_message(self, status: int, title: str, text: str) -> None:
        language = self._language(None)
        self._send_page(status, pages.message_page(title, speaker(language)(text), language))

    def _send_json(self, status: int, document: Any) -> None:
        self._send(status, json.dumps(document, indent=2).encode(), "application/json", {})

    def _send(self, status: int, body: bytes, content_type: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _method(session: Record, given: dict[str, str]) -> str:
    """How the buyer pays, as far as the Session takes it: by card unless they choose otherwise."""
    offered: list[str] = session.body["payment_method_types"]
    bank = next((bank.method for bank in TEST_ACCOUNTS if bank.number == given.get("account")), "")
    wish = bank or given.get("method", "card")
    return wish if wish in offered else offered[0]


def _page_headers(session: Record | None) -> dict[str, str]:
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": pages.content_security_policy(session),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
