"""The step's sentences, per locale. They are evidence, so they stand here word for word and not in a translation
catalogue that a tool could rewrite; each presentation keeps its own copy.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from agreements.in_force import Version
from agreements.legal_model import CountryProfile
from agreements.model import DocumentKind, Segment, Statement, Verb
from kernel.money import Money

DEFAULT_LOCALE: Final = "en"
AGREE: Final = "agree"
ONEROUS: Final = "onerous"
AUTHORITY: Final = "authority"
BUSINESS: Final = "business"
PRIVACY: Final = "privacy"
MARKETING: Final = "marketing"


class _Wording(msgspec.Struct, frozen=True, kw_only=True):
    place_order: str
    agree: tuple[str, str]
    """Before and after the documents."""
    framework_button: str
    framework: tuple[str, str]
    """As *agree*, for the orders of the company's programs."""
    framework_limit: str
    and_: str
    onerous: tuple[str, str, str]
    """Before the clauses of the first document, between document and clauses, at the end."""
    authority: str
    self_declared: str
    business: str
    business_under: str
    privacy: tuple[str, str]
    marketing: str
    lapse: str
    on_terms: str
    day: tuple[str, str]
    hour: tuple[str, str]
    other_language: str
    prevails: str
    languages: dict[str, str]
    proves: tuple[str, ...]
    does_not_prove: tuple[str, ...]
    framework_proves: tuple[str, ...]
    cited: tuple[str, ...]
    cited_by: str


_WORDINGS: Final = {
    "en": _Wording(
        place_order="Place order - obligation to pay",
        agree=("By ticking this box and selecting “{button}”, {company} agrees to the ", "."),
        framework_button="Accept for orders by our programs",
        framework=(
            "By ticking this box and selecting “{button}”, {company} agrees to the ",
            " for every order that its programs place by API or punch-out, until this agreement ends.",
        ),
        framework_limit="It covers orders of up to {limit} each: what you may sign for your company.",
        and_=" and the ",
        onerous=(
            "By ticking this second box, {company} specifically approves, under {reference}, these clauses: of the ",
            ": ",
            ".",
        ),
        authority="I act for {company} and am authorised to enter into this contract.",
        self_declared=" {seller} has not checked this and relies on my word.",
        business="{company} buys for its trade or business and not as a consumer.",
        business_under="{company} buys for its trade or business and not as a consumer ({reference}).",
        privacy=("The ", " says how {seller} uses personal data."),
        marketing="{seller} may send me offers and product news by e-mail. I can withdraw this at any time.",
        lapse="If the order is not paid within {period}, it lapses and neither side owes anything.",
        on_terms="The order is paid by invoice. The invoice is due {period} after it is made.",
        day=("{n} day", "{n} days"),
        hour=("{n} hour", "{n} hours"),
        other_language="The {title} is available in {language} only; that text applies.",
        prevails="Where translations of the {title} differ, the {language} text prevails.",
        languages={
            "de": "German",
            "en": "English",
            "es": "Spanish",
            "fr": "French",
            "it": "Italian",
            "pt": "Portuguese",
        },
        proves=(
            "That these statements, documents and order were presented to a logged-in person acting for the company.",
            "That this person ticked the boxes named here and placed the order.",
            "That the record has not been changed since, and stands in the issuer's ledger at the place it says.",
        ),
        does_not_prove=(
            "Who sat at the keyboard: the person was recognised by e-mail address and password.",
            "The time by any clock but the issuer's own.",
        ),
        framework_proves=(
            (
                "That these statements, documents and the framework agreement were presented to a logged-in person "
                "acting for the company."
            ),
            "That this person ticked the boxes named here and accepted them for the orders of the company's programs.",
            "That the record has not been changed since, and stands in the issuer's ledger at the place it says.",
        ),
        cited=(
            (
                "That these statements, documents and the framework agreement were presented to a logged-in person "
                "acting for the company, who ticked the boxes named here and accepted them."
            ),
            "That a program of the company placed this order afterwards: its row of the ledger cites that acceptance.",
            "That both records have not been changed since, and stand in the issuer's ledger at the places they say.",
        ),
        cited_by="Who ran the program: it was recognised by a key that the company had made.",
    ),
    "es": _Wording(
        place_order="Pedido con obligación de pago",
        agree=("Al marcar esta casilla y pulsar «{button}», {company} acepta los siguientes documentos: ", "."),
        framework_button="Aceptar para los pedidos de nuestros programas",
        framework=(
            "Al marcar esta casilla y pulsar «{button}», {company} acepta los siguientes documentos: ",
            ", para todos los pedidos que sus programas hagan por API o punch-out, hasta que termine este acuerdo.",
        ),
        framework_limit="Cubre pedidos de hasta {limit} cada uno: lo que usted puede firmar por su empresa.",
        and_=" y ",
        onerous=(
            "Al marcar esta segunda casilla, {company} aprueba en particular, según {reference}, estas cláusulas: de ",
            ": ",
            ".",
        ),
        authority="Actúo en nombre de {company} y tengo facultades para celebrar este contrato.",
        self_declared=" {seller} no lo ha comprobado y confía en mi palabra.",
        business="{company} compra para su actividad empresarial o profesional y no como consumidora.",
        business_under=(
            "{company} compra para su actividad empresarial o profesional y no como consumidora ({reference})."
        ),
        privacy=("El documento ", " explica cómo {seller} trata los datos personales."),
        marketing=(
            "{seller} puede enviarme por correo electrónico ofertas y novedades. Puedo retirar este consentimiento en "
            "cualquier momento."
        ),
        lapse="Si el pedido no se paga en un plazo de {period}, caduca y ninguna de las partes debe nada.",
        on_terms="El pedido se paga mediante factura. La factura vence a los {period} de su emisión.",
        day=("{n} día", "{n} días"),
        hour=("{n} hora", "{n} horas"),
        other_language="El documento {title} solo está disponible en {language}; se aplica ese texto.",
        prevails="Si las traducciones de {title} difieren, prevalece el texto en {language}.",
        languages={
            "de": "alemán",
            "en": "inglés",
            "es": "español",
            "fr": "francés",
            "it": "italiano",
            "pt": "portugués",
        },
        proves=(
            "Que estas declaraciones, documentos y pedido se presentaron a una persona que actuaba por la empresa.",
            "Que esa persona marcó las casillas aquí nombradas e hizo el pedido.",
            "Que el registro no se ha modificado desde entonces y ocupa en el libro del emisor el lugar que dice.",
        ),
        does_not_prove=(
            "Quién estaba ante el teclado: la persona se identificó con su correo electrónico y contraseña.",
            "La hora según un reloj distinto del reloj del emisor.",
        ),
        framework_proves=(
            (
                "Que estas declaraciones y documentos y el acuerdo marco se presentaron a una persona que actuaba por "
                "la empresa."
            ),
            "Que esa persona marcó las casillas aquí nombradas y los aceptó para los pedidos de los programas de esta.",
            "Que el registro no se ha modificado desde entonces y ocupa en el libro del emisor el lugar que dice.",
        ),
        cited=(
            (
                "Que estas declaraciones y documentos y el acuerdo marco se presentaron a una persona que actuaba por "
                "la empresa, que marcó las casillas aquí nombradas y los aceptó."
            ),
            "Que un programa de la empresa hizo después este pedido: su fila del libro cita esa aceptación.",
            "Que ambos registros no se han modificado desde entonces y ocupan en el libro del emisor sus lugares.",
        ),
        cited_by="Quién ejecutó el programa: se identificó con una clave que la empresa había creado.",
    ),
}


def button_label(locale: str) -> str:
    """What the order button says: that pressing it obliges to pay."""
    return _wording(locale).place_order


def framework_button(locale: str) -> str:
    return _wording(locale).framework_button


def framework_statements(
    locale: str,
    versions: Sequence[Version],
    *,
    button: str,
    company: str,
    seller: str,
    self_declared: bool,
    profile: CountryProfile | None,
) -> tuple[Statement, ...]:
    """As `statements`, of a framework agreement: without the optional consent, which has nothing to do with it."""
    words = _wording(locale)
    agreed = [version for version in versions if version.document.kind is DocumentKind.AGREE]
    before, after = (piece.format(button=button, company=company) for piece in words.framework)
    first = _statement(AGREE, Verb.AGREE, (before, *_list(agreed, words), after))
    others = statements(
        locale, versions, button=button, company=company, seller=seller, self_declared=self_declared, profile=profile
    )
    return (first, *(each for each in others if each.id not in {AGREE, MARKETING}))


def framework_notices(locale: str, versions: Sequence[Version], *, limit: Money | None) -> tuple[str, ...]:
    """What the page says beside the sentences: up to what it covers orders, and which language applies."""
    words = _wording(locale)
    covers = () if limit is None else (words.framework_limit.format(limit=limit),)
    return (*covers, *_languages(words, versions, locale))


def statements(
    locale: str,
    versions: Sequence[Version],
    *,
    button: str,
    company: str,
    seller: str,
    self_declared: bool,
    profile: CountryProfile | None = None,
) -> tuple[Statement, ...]:
    """The sentences in the order in which they stand on the page, the optional consent last. *profile*: of the buyer's
    country, where it adds something.
    """
    words = _wording(locale)
    agreed = [version for version in versions if version.document.kind is DocumentKind.AGREE]
    noticed = [version for version in versions if version.document.kind is DocumentKind.ACKNOWLEDGE]
    authority = words.authority + (words.self_declared if self_declared else "")
    names = {"button": button, "company": company, "seller": seller}
    sentences = []
    if agreed:
        sentences.append(
            _statement(AGREE, Verb.AGREE, (words.agree[0].format(**names), *_list(agreed, words), words.agree[1]))
        )
    onerous = [version for version in agreed if version.onerous_clauses]
    if onerous and (reference := _reference(profile.onerous_reference if profile else {}, locale)):
        sentences.append(_statement(ONEROUS, Verb.AGREE, _clauses(onerous, words, {**names, "reference": reference})))
    business = words.business
    if reference := _reference(profile.business_reference if profile else {}, locale):
        business = words.business_under.replace("{reference}", reference)
    sentences += [
        _statement(AUTHORITY, Verb.ATTEST, (authority.format(**names),), asks_job_title=True),
        _statement(BUSINESS, Verb.DECLARE, (business.format(**names),)),
    ]
    sentences += [
        _statement(
            PRIVACY if len(noticed) == 1 else f"{PRIVACY}-{version.document.code}",
            Verb.ACKNOWLEDGE,
            (words.privacy[0].format(**names), _link(version), words.privacy[1].format(**names)),
            box=False,
            required=False,
        )
        for version in noticed
    ]
    sentences.append(_statement(MARKETING, Verb.CONSENT, (words.marketing.format(**names),), required=False))
    return tuple(sentences)


def notices(
    locale: str, versions: Sequence[Version], *, pay_within: timedelta, net_days: int | None = None
) -> tuple[str, ...]:
    """What the page says beside the sentences: when the order lapses or, with *net_days*, when its invoice is due; and
    which other language applies.
    """
    words = _wording(locale)
    if net_days is not None:
        pay_within = timedelta(days=net_days)
    hours = round(pay_within / timedelta(hours=1))
    number, forms = (hours // 24, words.day) if hours % 24 == 0 else (hours, words.hour)
    period = forms[number != 1].format(n=number)
    said = (words.lapse if net_days is None else words.on_terms).format(period=period)
    return (said, *_languages(words, versions, locale))


def _languages(words: _Wording, versions: Sequence[Version], locale: str) -> tuple[str, ...]:
    """Which documents are not in this language, and whose translations yield to which text."""
    return (
        *(
            words.other_language.format(
                title=version.title, language=words.languages.get(version.locale, version.locale)
            )
            for version in versions
            if version.locale != locale
        ),
        *(
            words.prevails.format(
                title=version.title,
                language=words.languages.get(version.document.prevailing_locale, version.document.prevailing_locale),
            )
            for version in versions
            if version.document.prevailing_locale not in (None, version.locale)
        ),
    )


def what_a_receipt_proves(locale: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What it proves, and what not."""
    words = _wording(locale)
    return words.proves, words.does_not_prove


def what_a_framework_receipt_proves(locale: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the receipt of a framework agreement proves, and what not."""
    words = _wording(locale)
    return words.framework_proves, words.does_not_prove


def what_a_citation_proves(locale: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the receipt of an order by a program proves, and what not."""
    words = _wording(locale)
    return words.cited, (*words.does_not_prove, words.cited_by)


def _wording(locale: str) -> _Wording:
    return _WORDINGS.get(locale, _WORDINGS[DEFAULT_LOCALE])


def _statement(
    name: str,
    verb: Verb,
    pieces: Sequence[str | Segment],
    *,
    box: bool = True,
    required: bool = True,
    asks_job_title: bool = False,
) -> Statement:
    segments = tuple(Segment(piece) if isinstance(piece, str) else piece for piece in pieces)
    return Statement(
        id=name,
        verb=verb,
        text="".join(segment.text for segment in segments),
        segments=segments,
        box=box,
        required=required,
        asks_job_title=asks_job_title,
    )


def _clauses(versions: Sequence[Version], words: _Wording, names: Mapping[str, str]) -> list[str | Segment]:
    """The clauses by document: `of the Master Terms v3.1: 8.2 Limit of liability, 10.2 Courts; of the ...`."""
    before, colon, end = words.onerous
    pieces: list[str | Segment] = [before.format(**names)]
    for position, version in enumerate(versions):
        if position:
            pieces.append("; " + before.rpartition(": ")[2])
        pieces += [_link(version), colon + ", ".join(version.onerous_clauses)]
    return [*pieces, end]


def _reference(texts: Mapping[str, str], locale: str) -> str:
    """The law as cited in this language, or as it is written at all; empty where none is."""
    if not texts:
        return ""
    return texts.get(locale) or texts.get(DEFAULT_LOCALE) or next(iter(texts.values()))


def _list(versions: Sequence[Version], words: _Wording) -> list[str | Segment]:
    pieces: list[str | Segment] = []
    for position, version in enumerate(versions):
        if position:
            pieces.append(words.and_ if position == len(versions) - 1 else ", ")
        pieces.append(_link(version))
    return pieces


def _link(version: Version) -> Segment:
    return Segment(f"{version.title} v{version.label}", document=version.document.code)
