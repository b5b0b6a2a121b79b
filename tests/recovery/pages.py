"""A buyer at a browser: pages and forms over HTTP, sent again when the shop died over them, as a reload does."""

import re
from typing import Any, Self

import httpx

from tests.recovery.conftest import Journey
from tests.recovery.driver import BOXES, BUYER
from tests.web.conftest import PASSWORD

ADDRESS = {
    "ship_to.name": "Goods-in",
    "ship_to.line1": "Calle del Río 1",
    "ship_to.postal_code": "28013",
    "ship_to.city": "Madrid",
    "ship_to.country": "ES",
    "po_number": "PO-7",
}


class Pages:
    """Keeps cookies; follows no redirect by itself."""

    def __init__(self, journey: Journey) -> None:
        self._journey = journey
        self._browser = httpx.Client(
            base_url=journey.app.base_url,
            headers={"accept": "text/html", "accept-language": "en", "sec-fetch-site": "same-origin"},
            timeout=60,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.close()

    def log_in_with_a_cart(self) -> None:
        self._submit("/login", {"email": BUYER, "password": PASSWORD}, page="/login")
        self._submit("/cart/lines", {"sku": "NIMBLE-BOLT", "quantity": "100"})

    def say_where_to(self) -> None:
        self._submit("/checkout/details", ADDRESS)

    def accept(self) -> str:
        """Agree to what is shown and return where the buyer is sent to pay."""
        review = self._ask("GET", "/checkout/review").text
        presented = re.search(r'name="presentation" value="([0-9a-f-]{36})"', review)
        assert presented, review
        form = {"presentation": presented[1], "job_title": "Head of purchasing", **dict.fromkeys(BOXES, "yes")}
        return self._submit("/checkout/orders", form)

    def come_back(self, number: str, session: str) -> None:
        answer = self._ask("GET", f"/orders/{number}/payment/return?session_id={session}")
        assert answer.headers["location"] == f"/orders/{number}"

    def read_order(self, number: str) -> str:
        return self._ask("GET", f"/orders/{number}").text

    def _submit(self, path: str, form: dict[str, str], *, page: str = "/cart") -> str:
        token = re.search(r'name="form_token" value="([0-9a-f]+)"', self._ask("GET", page).text)
        assert token, f"{page} holds no form"
        answer = self._ask("POST", path, data={"form_token": token[1], **form})
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return self._browser.request(method, path, **more)
        except httpx.TransportError:
            self._journey.restart_after_death()
        return self._browser.request(method, path, **more)
