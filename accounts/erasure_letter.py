"""The letter of an erasure, in the person's language: what is erased, what stays, until when and why.

It goes out by mail before the address is erased; the same text without a name can be read and printed at the desk as
long as the plan is kept. Plain values in, text, HTML or the pieces of a PDF out.
"""

from collections.abc import Sequence
from datetime import date, datetime
from html import escape
from typing import TYPE_CHECKING, Final

import msgspec

from accounts.model import Merchant, Person
from accounts.privacy_model import ErasurePlan
from kernel.mail import Mail

if TYPE_CHECKING:
    from accounts.erasure import Item

NAMES_NOBODY: Final = {
    "en": "It names nobody: it holds amounts, digests and ids of ours, and proves the contract.",
    "es": "No nombra a nadie: contiene importes, huellas e identificadores nuestros, y prueba el contrato.",
}


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter in pieces, for every form it is written in."""

    locale: str
    title: str
    greeting: str
    opening: str
    goes_title: str
    goes: tuple[str, ...]
    stays_title: str
    stays: tuple[tuple[str, str], ...]
    """What, and until when and why."""
    closing: tuple[str, ...]
    seller: str


_WORDS: Final = {
    "en": {
        "title": "Erasure of your personal data",
        "greeting": "Dear {name},",
        "anonymous": "Dear Sir or Madam,",
        "opening": "on {asked_on} you asked us to erase your personal data. We do so now.",
        "goes": "What we erase",
        "stays": "What stays, until when, and why",
        "nothing": "Nothing that names you stays.",
        "until": "Until {day}: {why}",
        "for_good": "For good: {why}",
        "backup": "Copies in our back-ups disappear as the back-ups age; nobody works with them until then.",
        "proof": "Receipts you keep can still be verified: they hold digests of your data only.",
        "login": "You can no longer log in with this address. This letter was sent before the address was erased.",
        "complain": "If you do not agree, write to {email}. You may also complain to your data protection authority.",
    },
    "es": {
        "title": "Supresión de sus datos personales",
        "greeting": "Estimado/a {name}:",
        "anonymous": "Estimado/a señor/a:",
        "opening": "el {asked_on} nos pidió suprimir sus datos personales. Lo hacemos ahora.",
        "goes": "Lo que suprimimos",
        "stays": "Lo que se conserva, hasta cuándo y por qué",
        "nothing": "No se conserva nada que le nombre.",
        "until": "Hasta el {day}: {why}",
        "for_good": "De forma permanente: {why}",
        "backup": "Las copias de seguridad se eliminan al caducar; hasta entonces nadie trabaja con ellas.",
        "proof": "Los justificantes que conserve se pueden seguir verificando: solo contienen huellas de sus datos.",
        "login": "Ya no podrá iniciar sesión con esta dirección. Este mensaje se envió antes de suprimirla.",
        "complain": "Si no está de acuerdo, escriba a {email}. También puede reclamar ante la autoridad de control.",
    },
}


def letter(plan: ErasurePlan, items: Sequence["Item"], merchant: Merchant, *, name: str | None = None) -> Letter:
    """The letter of *plan*; without *name* it greets nobody by name."""
    locale = plan.locale if plan.locale in _WORDS else "en"
    words = _WORDS[locale]
    stays = tuple(
        (
            item.says[locale],
            words["for_good"].format(why=item.why[locale])
            if item.until is None
            else words["until"].format(day=_day(item.until, locale), why=item.why[locale]),
        )
        for item in items
        if item.stays and item.why is not None
    )
    return Letter(
        locale=locale,
        title=words["title"],
        greeting=words["anonymous"] if name is None else words["greeting"].format(name=name),
        opening=words["opening"].format(asked_on=_day(plan.asked_on, locale)),
        goes_title=words["goes"],
        goes=tuple(item.says[locale] for item in items if item.goes),
        stays_title=words["stays"],
        stays=stays or ((words["nothing"], ""),),
        closing=(
            words["proof"],
            words["backup"],
            words["login"],
            words["complain"].format(email=merchant.email),
        ),
        seller=merchant.legal_name,
    )


def mail(plan: ErasurePlan, items: Sequence["Item"], person: Person, merchant: Merchant) -> Mail:
    """To *person*, in the language of the plan."""
    written = letter(plan, items, merchant, name=person.name)
    text = "\n".join(
        (
            written.greeting,
            "",
            written.opening,
            "",
            f"{written.goes_title}:",
            *(f"  - {each}" for each in written.goes),
            "",
            f"{written.stays_title}:",
            *(f"  - {what}\n    {why}" if why else f"  - {what}" for what, why in written.stays),
            "",
            *(f"{each}\n" for each in written.closing),
            written.seller,
            "",
        )
    )
    return Mail(to=person.email, subject=written.title, text=text, html=html(written), kind="erasure")


def html(written: Letter) -> str:
    """A whole page without scripts, styles or pictures, for a mail reader or a printer."""
    goes = "".join(f"<li>{escape(each)}</li>" for each in written.goes)
    stays = "".join(f"<li>{escape(what)}{'<br>' if why else ''}{escape(why)}</li>" for what, why in written.stays)
    closing = "".join(f"<p>{escape(each)}</p>" for each in written.closing)
    return (
        f'<!doctype html><html lang="{written.locale}"><head><meta charset="utf-8">'
        f"<title>{escape(written.title)}</title></head><body><h1>{escape(written.title)}</h1><p>{escape(written.greeting)}</p><p>{escape(written.opening)}</p>"
        f"<h2>{escape(written.goes_title)}</h2><ul>{goes}</ul><h2>{escape(written.stays_title)}</h2><ul>{stays}</ul>"
        f"{closing}<p>{escape(written.seller)}</p></body></html>"
    )


def _day(at: date | datetime, locale: str) -> str:
    return f"{at:%d/%m/%Y}" if locale == "es" else f"{at:%Y-%m-%d}"
