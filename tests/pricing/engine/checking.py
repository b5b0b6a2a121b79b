"""How the tests of the checks ask: what was found, and what the engine says to a witness."""

from typing import Any

from pricing.engine import BookContent, Finding, LineRequest, MemoryBook, QuoteRequest, check, finding_text, quote
from pricing.engine.check import Witness
from pricing.engine.request import PricedLine, RefusedLine
from tests.pricing.engine.cast import NOW


def findings(of: BookContent, **more: Any) -> list[Finding]:
    found = check(of, **{"at": NOW, **more})
    for finding in found:
        for language in ("en", "es"):
            assert "{" not in finding_text(finding, language)
    return list(found)


def the(code: str, of: BookContent, **more: Any) -> Finding:
    """The only finding of that code."""
    (found,) = [finding for finding in findings(of, **more) if finding.code == code]
    return found


def codes(of: BookContent, **more: Any) -> list[str]:
    return [finding.code for finding in findings(of, **more)]


def asked(of: BookContent, witness: Witness | None, **changes: Any) -> PricedLine | RefusedLine:
    """What the engine answers to the witness's question, or to one that differs from it."""
    assert witness is not None
    buyer = changes.get("buyer", witness.buyer)
    line = LineRequest(sku=witness.sku, quantity=changes.get("quantity", witness.quantity), unit=witness.unit)
    request = QuoteRequest(buyer=buyer, currency=witness.currency, lines=(line,))
    return quote(request, book=MemoryBook(of, root="sha256:test"), at=witness.at).lines[0]


def net(of: BookContent, witness: Witness | None, **changes: Any) -> str:
    line = asked(of, witness, **changes)
    assert isinstance(line, PricedLine), line
    return line.net
