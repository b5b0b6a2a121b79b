"""Of a signed quote what a stranger needs to work every price out again: the answer with its steps, the leaves of the
price book that it follows from, and the nodes that lead from them to the root that was signed.

The package is canonical JSON. It is not signed itself: the quote in it is, its prices are compared with the answer's,
and the answer is replayed from the leaves, by `bin/tarifa verify-quote` or `pricing/engine/replay.py`.
"""

from typing import Any, Final, Literal, Protocol

import msgspec

from kernel.canonical import canonical_json
from kernel.errors import Unavailable
from pricing.compiled import CompiledBook
from pricing.engine import Buyer, LineRequest, Quote, QuoteRequest, quote
from pricing.engine.disclose import Pruned
from pricing.engine.request import PricedLine, TaxInput, TaxRate, Treatment
from pricing.quotes import QuoteDocument

PACKAGE_TYPE: Final = "tarifa.quote-package.v1"
COMPARED: Final = (
    *("sku", "unit", "quantity", "price_unit", "unit_price", "list_price", "tax_included", "tax_category"),
    *("tax_percent", "subtotal", "order_adjustment", "net", "tax", "total"),
)
"""What a signed line says as the engine's line does. `pricing/verify_quote.py` compares the same."""


class TraceLost(Unavailable):
    """The engine answers otherwise than when the quote was signed. The quote holds all the same."""

    problem = "quote-trace-lost"
    title = "The steps of this quote cannot be shown"


class QuotePackage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """*quote* is the signed document, *answer* what the engine answered, *leaves* what of the book it follows from."""

    type: Literal["tarifa.quote-package.v1"]
    quote: Any
    answer: Any
    leaves: Pruned


class Books(Protocol):
    """`pricing.books.PriceBooks`."""

    async def load(self, root: str) -> CompiledBook: ...


class Proofs(Protocol):
    """`pricing.proving.PublishedProofs`."""

    async def disclose(self, answer: Quote) -> Pruned: ...


async def answer_of(document: QuoteDocument, books: Books) -> Quote:
    """The engine's answer that *document* was made from, with its steps: the same question, book and instant.

    :raises TraceLost: when it is not what was signed
    """
    answer = quote(_request(document), book=await books.load(document.root), at=document.issued_at)
    lines = [line for line in answer.lines if isinstance(line, PricedLine)]
    signed = [[getattr(line, name) for name in COMPARED] for line in document.lines]
    if signed != [[getattr(line, name) for name in COMPARED] for line in lines]:
        raise TraceLost("The prices of this quote hold, but their steps cannot be shown any more.")
    return answer


async def package_of(signed: bytes, books: Books, proofs: Proofs) -> bytes:
    """The package of a signed quote.

    :param signed: the document as it was given
    :raises TraceLost: as `answer_of`
    """
    answer = await answer_of(msgspec.json.decode(signed, type=QuoteDocument), books)
    package = QuotePackage(
        type=PACKAGE_TYPE, quote=msgspec.json.decode(signed), answer=answer, leaves=await proofs.disclose(answer)
    )
    return canonical_json(package)


def _request(document: QuoteDocument) -> QuoteRequest:
    rates = dict.fromkeys((line.tax_category, line.tax_percent) for line in document.lines)
    return QuoteRequest(
        buyer=Buyer(company=document.buyer.company, segments=document.buyer.segments, country=document.buyer.country),
        currency=document.currency,
        lines=tuple(LineRequest(sku=line.sku, quantity=line.quantity, unit=line.unit) for line in document.lines),
        tax=TaxInput(
            treatment=Treatment(document.tax_treatment),
            rates=tuple(TaxRate(category=category, percent=rate) for category, rate in rates if rate is not None),
        ),
    )
