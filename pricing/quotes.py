"""Signed quotes: a price promised to one company until an instant, as a document that a stranger can check.

The document is canonical JSON with the signature beside what it covers, as UCP's merchant authorization has it: all
members but `ap2` are signed. `pricing/verify_quote.py` checks one from files alone.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

import msgspec

from accounts.principal import BuyerCompany
from kernel.canonical import canonical_json
from kernel.db import Database, for_company
from kernel.errors import NotFound, Refused
from kernel.ids import new_id
from kernel.jws import detached_signature
from kernel.money import Money
from kernel.signing import Keyring
from pricing import store
from pricing.books import InForce
from pricing.content import root_bytes
from pricing.engine import Book, Quote, QuoteRequest, quote
from pricing.engine.book import Instant
from pricing.engine.explain import refusal_text
from pricing.engine.request import PricedLine, RefusedLine
from pricing.model import SignedQuote

DOCUMENT_TYPE: Final = "tarifa.signed-quote.v1"
DAYS: Final = 30
TERMS: Final = {
    "en": (
        "These prices are promised to the buyer named here until the quote expires, whatever is published meanwhile.",
        "They hold for one order of exactly these lines, delivered to this country.",
        "Tax is shown as of the day of the quote; an order is taxed by the rules of its own day.",
        "Freight and the tax on it are not included: they are added when the place of delivery is known.",
        "Nothing is reserved: goods are delivered from stock when they are ordered.",
        "An order asks for agreement to the documents in force on its own day; those of this day are named here.",
    ),
    "es": (
        "Estos precios se prometen al comprador aquí nombrado hasta que caduque la oferta, aunque se publiquen otros.",
        "Valen para un solo pedido de exactamente estas líneas, entregado en este país.",
        "El impuesto se muestra a fecha de la oferta; el pedido tributa según las normas de su propio día.",
        "El transporte y su impuesto no están incluidos: se añaden cuando se conoce el lugar de entrega.",
        "No se reserva nada: la mercancía sale de las existencias cuando se pide.",
        "El pedido pide aceptar los documentos vigentes en su propio día; aquí se nombran los de hoy.",
    ),
}


class SignedQuoteNotFound(NotFound):
    problem = "signed-quote-not-found"
    title = "There is no such signed quote"


class QuoteNotSigned(Refused):
    """`extra["lines"]` names each refused line with its reason."""

    problem = "quote-not-signed"
    title = "Some lines cannot be priced, so nothing was signed"


class ValidityTooLong(Refused):
    """`extra["days_most"]` is what the house allows."""

    problem = "quote-validity-too-long"
    title = "A quote is not promised for so long"


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who promises. The keys stand below *url*, at `/.well-known/jwks.json`."""

    name: str
    url: str


class QuotedBuyer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To whom, as the engine knew the buyer. *country* is the country of delivery; *country_assumed*: the buyer did not
    say it.
    """

    company: str
    name: str
    segments: tuple[str, ...]
    country: str | None
    country_assumed: bool


class QuotedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line with its price, as the engine answered it; amounts are decimal strings in the quote's currency."""

    position: int
    sku: str
    unit: str
    quantity: str
    price_unit: str
    unit_price: str | None
    list_price: str | None
    list: str
    tax_included: bool
    tax_category: str
    tax_percent: str | None
    subtotal: str
    order_adjustment: str
    net: str
    tax: str | None
    total: str


class QuotedAgreement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document that an order would have asked to agree to on the day of the quote: version, language, digest of its
    text. Its order asks for these versions, unless one was withdrawn.
    """

    code: str
    version: str
    language: str
    sha256: str


class QuotedTotals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the goods come to; `net` and `tax` add up to `total`."""

    subtotal: str
    net: str
    tax: str
    total: str


class MerchantAuthorization(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The signature as `HEADER..SIGNATURE`: a detached JWS over the canonical JSON of all members but `ap2`."""

    merchant_authorization: str


class QuoteDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signed quote. Every member but `ap2` is signed. `root` and `publication` name the price book, `issued_at` the
    instant whose prices these are; from `expires_at` on it is void. Amounts are decimal strings in `currency`.
    """

    type: Literal["tarifa.signed-quote.v1"]
    id: uuid.UUID
    issuer: Issuer
    buyer: QuotedBuyer
    root: str
    publication: int
    issued_at: Instant
    expires_at: Instant
    currency: str
    tax_treatment: str
    lines: tuple[QuotedLine, ...]
    totals: QuotedTotals
    terms: tuple[str, ...]
    ap2: MerchantAuthorization
    agreements: tuple[QuotedAgreement, ...] = ()
    """The first quotes of this type name none."""


class Books(Protocol):
    """The publication in force, and its book: `pricing.books.PriceBooks`."""

    def in_force(self, instant: datetime) -> InForce: ...
    def by_root(self, root: str) -> Book: ...


class Quotes:
    """*days_most*: the longest that the house promises a price."""

    def __init__(self, db: Database, books: Books, keyring: Keyring, *, days_most: int) -> None:
        self.db = db
        self.books = books
        self.keyring = keyring
        self.days_most = days_most

    async def sign(
        self,
        request: QuoteRequest,
        *,
        company: BuyerCompany,
        issuer: Issuer,
        at: datetime,
        days: int | None = None,
        country_assumed: bool = False,
        language: str = "en",
        quote_id: uuid.UUID | None = None,
        agreements: tuple[QuotedAgreement, ...] = (),
    ) -> SignedQuote:
        """Price *request* as every channel does, and promise it for *days* (None: 30, or what the house allows).

        :param request: its buyer is *company*, and its tax is asked
        :param quote_id: the id to sign under: a quote of this company that bears it already is the answer
        :raises QuoteNotSigned: when a line cannot be priced: the part that can be is never promised alone
        :raises ValidityTooLong: when *days* are more than the house promises
        :raises NoBookPublished, BookUnavailable: as `PriceBooks.at`
        """
        if days is not None and days > self.days_most:
            raise ValidityTooLong(
                f"We promise prices for {self.days_most} days at most, not for {days}.", days_most=self.days_most
            )
        if quote_id is not None and (signed_before := await self._signed(quote_id, company.id)) is not None:
            return signed_before
        publication = self.books.in_force(at)
        answer = quote(request, book=self.books.by_root(publication.root), at=at)
        quote_id, expires_at = quote_id or new_id(), at + timedelta(days=days or min(DAYS, self.days_most))
        unsigned = {
            "type": DOCUMENT_TYPE,
            "id": quote_id,
            "issuer": issuer,
            "buyer": QuotedBuyer(
                company=company.code,
                name=company.name,
                segments=tuple(sorted(request.buyer.segments)),
                country=request.buyer.country,
                country_assumed=country_assumed,
            ),
            "root": answer.root,
            "publication": publication.number,
            "issued_at": at,
            "expires_at": expires_at,
            "currency": answer.currency,
            "tax_treatment": answer.tax_treatment,
            "lines": _lines(answer, language),
            "totals": _totals(answer),
            "terms": TERMS[language],
            "agreements": agreements,
        }
        signature = detached_signature(self.keyring, canonical_json(unsigned))
        signed = SignedQuote(
            id=quote_id,
            company_id=company.id,
            root=root_bytes(answer.root),
            issued_at=at,
            expires_at=expires_at,
            document=canonical_json({**unsigned, "ap2": MerchantAuthorization(merchant_authorization=signature)}),
        )
        async with self.db.begin(for_company(company.id)) as session:
            session.add(signed)
        return signed

    async def find(self, quote_id: uuid.UUID, *, company_id: uuid.UUID) -> SignedQuote:
        """:raises SignedQuoteNotFound: when there is none, or it is another company's"""
        found = await self._signed(quote_id, company_id)
        if found is None:
            raise SignedQuoteNotFound("There is no such signed quote, or it is not yours.")
        return found

    async def _signed(self, quote_id: uuid.UUID, company_id: uuid.UUID) -> SignedQuote | None:
        async with self.db.begin(for_company(company_id)) as session:
            found = await store.find_signed_quote(session, quote_id)
        return found if found is not None and found.company_id == company_id else None

    async def newest(self, company_id: uuid.UUID, *, limit: int) -> tuple[SignedQuote, ...]:
        """The company's quotes, newest first, expired ones too."""
        async with self.db.begin(for_company(company_id)) as session:
            return tuple(await store.list_signed_quotes(session, company_id, limit=limit))


def read_quote(signed: SignedQuote) -> QuoteDocument:
    return msgspec.json.decode(signed.document, type=QuoteDocument)


def language_of(document: QuoteDocument) -> str:
    """The language in which the quote's terms are written."""
    return next((language for language, terms in TERMS.items() if terms[0] == document.terms[0]), "en")


def _lines(answer: Quote, language: str) -> tuple[QuotedLine, ...]:
    refused = [line for line in answer.lines if isinstance(line, RefusedLine)]
    if refused:
        raise QuoteNotSigned(
            f"Nothing was signed: {refusal_text(refused[0], language)}",
            lines=[_refusal(line, language) for line in refused],
        )
    priced = [line for line in answer.lines if isinstance(line, PricedLine)]
    return tuple(
        QuotedLine(
            position=position,
            sku=line.sku,
            unit=line.unit,
            quantity=line.quantity,
            price_unit=line.price_unit,
            unit_price=line.unit_price,
            list_price=line.list_price,
            list=line.trace.list,
            tax_included=line.tax_included,
            tax_category=line.tax_category,
            tax_percent=line.tax_percent,
            subtotal=line.subtotal,
            order_adjustment=line.order_adjustment,
            net=line.net,
            tax=line.tax,
            total=line.total,
        )
        for position, line in enumerate(priced, start=1)
    )


def _refusal(line: RefusedLine, language: str) -> dict[str, Any]:
    return {
        "requested": list(line.requested),
        "sku": line.sku,
        "unit": line.unit,
        "quantity": line.quantity,
        "reason": line.reason,
        "text": refusal_text(line, language),
        "params": line.params,
    }


def _totals(answer: Quote) -> QuotedTotals:
    return QuotedTotals(
        subtotal=_amount(answer.subtotal),
        net=_amount(answer.net),
        tax=_amount(answer.tax),
        total=_amount(answer.total),
    )


def _amount(money: Money | None) -> str:
    assert money is not None, "a quote without refused lines has totals, and its tax was asked"
    return money.decimal
