"""Sentences of acts by others than the buyer alone: approving, signing, counter-signing.

They are evidence, so they stand here word for word, as those of `wording.py` do.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from agreements.package_states import PartyRole
from agreements.wording import DEFAULT_LOCALE

_APPROVE: Final = {
    "en": "Approve and place order - obligation to pay",
    "es": "Aprobar y hacer el pedido con obligación de pago",
}


def approve_label(locale: str) -> str:
    """What the approver's button says: that pressing it orders, and obliges to pay."""
    return _APPROVE.get(locale, _APPROVE[DEFAULT_LOCALE])


SIGNS: Final = frozenset({PartyRole.BUYER_SIGNATORY, PartyRole.APPROVER, PartyRole.COUNTER_SIGNER})


class Declared(msgspec.Struct, frozen=True):
    """What somebody says by signing, word for word: both sentences stand beside boxes that nobody ticks for them."""

    intent: str
    authority: str
    button: str


class _Words(msgspec.Struct, frozen=True, kw_only=True):
    buyer: str
    approver: str
    seller: str
    authority: str
    sign: str
    and_: str
    level: str
    proves: tuple[str, ...]
    does_not_prove: tuple[str, ...]


_SIGNING: Final = {
    "en": _Words(
        buyer="By ticking this box and selecting “{button}” I sign, for {company}, the order shown here and the "
        "{documents}. With the last of the signatures named here, {company} is bound and obliged to pay.",
        approver="By ticking this box and selecting “{button}” I approve and sign, for {company}, the order shown here "
        "and the {documents}. With the last of the signatures named here, {company} is bound and obliged to pay.",
        seller="By ticking this box and selecting “{button}” I counter-sign, for {seller}, the order shown here and "
        "the {documents}. With the last of the signatures named here, {seller} is bound to deliver.",
        authority="I am authorised to sign this for {party}, and the name that I type is my own.",
        sign="Sign",
        and_=" and the ",
        level="Simple electronic signatures (eIDAS, article 3(10)) of persons recognised by their log-in, and the "
        "electronic seal of {seller} over the document. No qualified signature.",
        proves=(
            (
                "That these documents and this order stood under one digest, and that each person named here, logged "
                "in, signed that digest by typing a name and a title and ticking both boxes."
            ),
            "That all who were to sign did, once each, and that the order was made with the last signature.",
            "That the record has not been changed since, and stands in the issuer's ledger at the places it says.",
        ),
        does_not_prove=(
            "Who sat at the keyboards: each person was recognised by e-mail address and password.",
            "The times by any clock but the issuer's own.",
        ),
    ),
    "es": _Words(
        buyer="Al marcar esta casilla y pulsar «{button}» firmo, en nombre de {company}, el pedido aquí mostrado y los "
        "documentos siguientes: {documents}. Con la última de las firmas aquí nombradas, {company} queda obligada, "
        "también al pago.",
        approver="Al marcar esta casilla y pulsar «{button}» apruebo y firmo, en nombre de {company}, el pedido aquí "
        "mostrado y los documentos siguientes: {documents}. Con la última de las firmas aquí nombradas, {company} "
        "queda obligada, también al pago.",
        seller="Al marcar esta casilla y pulsar «{button}» refrendo, en nombre de {seller}, el pedido aquí mostrado y "
        "los documentos siguientes: {documents}. Con la última de las firmas aquí nombradas, {seller} queda obligada "
        "a la entrega.",
        authority="Tengo facultades para firmar esto en nombre de {party}, y el nombre que escribo es el mío.",
        sign="Firmar",
        and_=" y ",
        level="Firmas electrónicas simples (eIDAS, artículo 3, punto 10) de personas identificadas por su inicio de "
        "sesión, y sello electrónico de {seller} sobre el documento. No son firmas cualificadas.",
        proves=(
            (
                "Que estos documentos y este pedido estaban bajo un mismo resumen criptográfico, y que cada persona "
                "aquí nombrada, con la sesión iniciada, lo firmó escribiendo nombre y cargo y marcando ambas casillas."
            ),
            "Que firmaron todas las personas previstas, una vez cada una, y que el pedido se hizo con la última firma.",
            "Que el registro no se ha modificado desde entonces y ocupa en el libro del emisor los lugares que dice.",
        ),
        does_not_prove=(
            "Quién estaba ante cada teclado: cada persona se identificó con su correo electrónico y contraseña.",
            "Las horas según un reloj distinto del reloj del emisor.",
        ),
    ),
}


def declared(locale: str, role: PartyRole, *, company: str, seller: str, documents: Sequence[str]) -> Declared:
    """What a signature in *role* says; *documents* are named with their versions."""
    words = _SIGNING.get(locale, _SIGNING[DEFAULT_LOCALE])
    intent = {PartyRole.APPROVER: words.approver, PartyRole.COUNTER_SIGNER: words.seller}.get(role, words.buyer)
    named = words.and_.join([", ".join(documents[:-1]), documents[-1]] if len(documents) > 1 else documents)
    party = seller if role is PartyRole.COUNTER_SIGNER else company
    return Declared(
        intent=intent.format(button=words.sign, company=company, seller=seller, documents=named),
        authority=words.authority.format(party=party),
        button=words.sign,
    )


def level(locale: str, seller: str) -> str:
    """What kind of signature this is, and what not."""
    return _SIGNING.get(locale, _SIGNING[DEFAULT_LOCALE]).level.format(seller=seller)


def what_signatures_prove(locale: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the receipt of a package proves, and what not."""
    words = _SIGNING.get(locale, _SIGNING[DEFAULT_LOCALE])
    return words.proves, words.does_not_prove
