import html
import re

import httpx
import stripe

from sandbox.stripe_twin import RunningTwin
from sandbox.stripe_twin.cards import TEST_CARDS
from sandbox.stripe_twin.spanish import SPANISH
from tests.sandbox.stripe_twin.receiver import line, session_params

CARD = {
    "number": "4242 4242 4242 4242",
    "expiry": "12 / 34",
    "cvc": "123",
    "name": "Test Buyer",
    "email": "buyer@acme.example",
}


def new_session(client: stripe.StripeClient, **changes: object) -> str:
    url = client.v1.checkout.sessions.create(session_params(**changes)).url
    assert url is not None
    return url


def test_the_page_says_test_payments_and_shows_what_is_bought(client: stripe.StripeClient) -> None:
    lines = [line(name="SHELF <b>&"), line(1, quantity=4000, name="SCREW")]
    page = httpx.get(new_session(client, line_items=lines))
    assert page.status_code == 200
    assert "TEST PAYMENTS" in page.text
    assert "SHELF &lt;b&gt;&amp;" in page.text
    assert "Pay 64.68 EUR" in page.text
    assert "4000 0000 0000 9995" in page.text
    assert "<script" not in page.text


def test_a_card_pays_and_leads_back_to_the_shop(client: stripe.StripeClient, twin: RunningTwin) -> None:
    url = new_session(client)
    paid = httpx.post(url, data=CARD)
    session = twin.control.objects("checkout.session")[0]
    assert paid.status_code == 303
    assert paid.headers["Location"] == f"http://127.0.0.1:8000/orders/1001?session={session['id']}"
    assert session["customer_details"]["email"] == "buyer@acme.example"
    again = httpx.post(url, data=CARD)
    assert "This order is paid" in again.text
    assert len(twin.control.objects("charge")) == 1


def test_a_declined_card_stays_on_the_page_with_what_was_typed(client: stripe.StripeClient) -> None:
    url = new_session(client)
    declined = httpx.post(url, data={**CARD, "number": "4000000000009995"})
    assert declined.status_code == 402
    assert "Your card has insufficient funds. Try another card." in html.unescape(declined.text)
    assert 'value="Test Buyer"' in declined.text
    assert httpx.post(url, data=CARD).status_code == 303


def test_what_is_mistyped_is_marked_and_charges_nothing(client: stripe.StripeClient, twin: RunningTwin) -> None:
    url = new_session(client)
    for field, value, words in (
        ("number", "4242 4242 4242 4241", "card number is incorrect"),
        ("number", "", "Enter a card number"),
        ("expiry", "13 / 34", "MM / YY"),
        ("expiry", "01 / 20", "in the past"),
        ("cvc", "12", "3-digit security code"),
        ("email", "nobody", "e-mail address"),
    ):
        page = httpx.post(url, data={**CARD, field: value})
        assert page.status_code == 422
        assert words in html.unescape(page.text)
        assert re.search(rf'id="{field}"[^>]* aria-invalid="true"', page.text)
    assert twin.control.objects("payment_intent") == []


def test_3d_secure_is_a_page_of_the_bank(client: stripe.StripeClient, twin: RunningTwin) -> None:
    url = new_session(client)
    bank = httpx.post(url, data={**CARD, "number": "4000002500003155"}).headers["Location"]
    assert "Your bank asks" in httpx.get(bank).text
    failed = httpx.post(bank, data={"answer": "fail"})
    assert failed.status_code == 402
    assert "unable to authenticate" in failed.text
    assert httpx.get(bank).headers["Location"] == f"/c/pay/{twin.control.objects('checkout.session')[0]['id']}"
    bank = httpx.post(url, data={**CARD, "number": "4000002500003155"}).headers["Location"]
    assert httpx.post(bank, data={"answer": "pass"}).headers["Location"].startswith("http://127.0.0.1:8000/orders")


def test_a_new_card_makes_the_old_3d_secure_check_worthless(client: stripe.StripeClient, twin: RunningTwin) -> None:
    url = new_session(client)
    bank = httpx.post(url, data={**CARD, "number": "4000002500003155"}).headers["Location"]
    httpx.post(url, data=CARD)
    assert "This order is paid" in httpx.post(bank, data={"answer": "pass"}).text
    assert len(twin.control.objects("charge")) == 1


def test_a_test_card_fills_in_the_form_without_javascript(client: stripe.StripeClient) -> None:
    page = httpx.get(f"{new_session(client)}?card=378282246310005").text
    assert 'value="378282246310005"' in page
    assert 'value="1234"' in page


def test_the_policy_lets_the_form_lead_back_to_the_shop_and_nowhere_else(client: stripe.StripeClient) -> None:
    policy = httpx.get(new_session(client)).headers["Content-Security-Policy"]
    assert "form-action 'self' http://127.0.0.1:8000" in policy
    assert "default-src 'none'" in policy


def test_an_unknown_payment_is_not_found(twin: RunningTwin) -> None:
    assert httpx.get(f"{twin.base_url}/c/pay/cs_test_none").status_code == 404
    assert httpx.get(f"{twin.base_url}/3ds/pi_none/x").status_code == 404


def test_a_spanish_session_is_spanish_to_its_end_and_a_browser_may_wish(client: stripe.StripeClient) -> None:
    url = new_session(client, locale="es")
    page = httpx.get(url).text
    assert '<html lang="es">' in page
    assert "PAGOS DE PRUEBA" in page
    assert "Pagar 24.68 EUR" in page
    for card in TEST_CARDS:
        if card.behaviour == "decline":
            cvc = {"cvc": "1234"} if card.brand == "amex" else {}
            declined = httpx.post(url, data={**CARD, **cvc, "number": card.number})
            assert SPANISH[card.message] in html.unescape(declined.text)
    assert "escriba" in httpx.post(url, data={**CARD, "cvc": ""}).text.lower()
    bank = httpx.post(url, data={**CARD, "number": "4000002500003155"}).headers["Location"]
    assert "Su banco pregunta" in httpx.get(bank).text
    assert "No hemos podido autenticar" in httpx.post(bank, data={"answer": "fail"}).text
    httpx.post(url, data=CARD)
    assert "Este pedido está pagado" in httpx.get(url).text
    wished = httpx.get(new_session(client, locale="auto"), headers={"Accept-Language": "es-ES,es;q=0.9"})
    assert '<html lang="es">' in wished.text


def test_the_goods_are_described(client: stripe.StripeClient) -> None:
    product = {"name": "Order T-1001", "description": "2 x CRUNCHY-ARMCHAIR"}
    priced = {"currency": "eur", "unit_amount": 2468, "product_data": product}
    page = httpx.get(new_session(client, line_items=[{"quantity": 1, "price_data": priced}])).text
    assert "Order T-1001" in page
    assert "2 x CRUNCHY-ARMCHAIR" in page


def test_every_test_card_has_a_spanish_title() -> None:
    assert {card.title for card in TEST_CARDS} - set(SPANISH) == set()
