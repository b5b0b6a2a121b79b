"""Reading a cart quickly takes and refuses what the documented type does, in the same words."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.api import wire
from web.api.decoding import QuoteDecoder

documented = msgspec.json.Decoder(wire.QuoteAsked)
quick = QuoteDecoder()

ODD_QUANTITIES = [
    *("", ",", "1,", "1,2", "0", "0.0", "00.1", "1.", ".1", "+1", "-1", "1 ", "1\n", "1e3", "NaN", "\u0663"),
    *("1" * 18, "1" * 19, "0." + "0" * 11 + "1", "0." + "0" * 12 + "1", "1." + "0" * 12, "1." + "0" * 13, "1" * 33),
]
ODD_CODES = ["", "A\n", "\n", "\x7f", "A\x00B", "\x80", "\u2028", "\u00e9", "\ud800", "A" * 64, "A" * 65]

quantities = st.one_of(
    st.from_regex(wire.QUANTITY), st.text("0123456789.,-+ \n", max_size=34), st.sampled_from(ODD_QUANTITIES)
)
codes = st.one_of(st.text(max_size=66), st.just("A"), st.sampled_from(ODD_CODES))
lines = st.fixed_dictionaries(
    {"sku": codes, "quantity": quantities}, optional={"unit": st.none() | codes, "colour": st.just("red")}
)
bodies = st.fixed_dictionaries(
    {"lines": st.lists(lines, max_size=5)},
    optional={
        "currency": st.sampled_from(["EUR", "eur", "", None, 1]),
        "country": st.sampled_from(["ES", "es", None]),
        "language": st.sampled_from(["en", "es", "de"]),
        "at": st.just("now"),
    },
)


def outcome(decoder: QuoteDecoder | msgspec.json.Decoder[wire.QuoteAsked], body: bytes) -> object:
    try:
        return msgspec.to_builtins(decoder.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return type(error), str(error)


@given(bodies)
def test_every_cart_is_read_or_refused_as_documented(body: object) -> None:
    sent = json.dumps(body).encode()

    assert outcome(quick, sent) == outcome(documented, sent)


@pytest.mark.parametrize("quantity", ODD_QUANTITIES)
def test_every_odd_quantity_is_read_or_refused_as_documented(quantity: str) -> None:
    for others in (["1"], []):
        sent = json.dumps({"lines": [{"sku": "A", "quantity": each} for each in [quantity, *others]]}).encode()
        assert outcome(quick, sent) == outcome(documented, sent)


@pytest.mark.parametrize("code", ODD_CODES)
def test_every_odd_code_is_read_or_refused_as_documented(code: str) -> None:
    for line in ({"sku": code, "quantity": "1"}, {"sku": "A", "quantity": "1", "unit": code}):
        sent = json.dumps({"lines": [line]}).encode()
        assert outcome(quick, sent) == outcome(documented, sent)


@pytest.mark.parametrize(
    "sent", [b"", b"{", b"[]", b"null", b'{"lines": 1}', b'{"lines": ["\xff"]}', b'{"lines": [{"sku": "\xff"}]}']
)
def test_what_is_no_cart_is_refused_in_the_same_words(sent: bytes) -> None:
    assert outcome(quick, sent) == outcome(documented, sent)


def test_five_hundred_lines_pass_and_one_more_does_not() -> None:
    line = {"sku": "CRUNCHY-ARMCHAIR", "quantity": "12.5", "unit": "each"}
    for count, read in ((500, True), (501, False)):
        sent = json.dumps({"lines": [line] * count}).encode()
        assert outcome(quick, sent) == outcome(documented, sent)
        assert isinstance(outcome(quick, sent), dict) is read
