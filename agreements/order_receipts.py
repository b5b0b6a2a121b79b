"""The receipt of an order: of one person's acceptance, of several signatures, or of a framework agreement it cites; and
what receipts say, that of a framework agreement alone too.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from agreements import ledger, legal_store, package_store, receipts, store, wording, wording_signing
from agreements.ledger import LedgerBroken
from agreements.legal_model import FrameworkOrder
from agreements.model import PresentedDocument
from agreements.package_model import Package
from agreements.package_words import about_package, about_signing
from agreements.program_words import about_framework, about_framework_page, about_program_order, about_program_page
from agreements.receipt_words import Said, about_page, about_receipt
from agreements.verify import PACKAGE_TYPE, PROGRAM_TYPE, RECEIPT_TYPE
from kernel.signing import Keyring

_ABOUT = {RECEIPT_TYPE: about_receipt, PACKAGE_TYPE: about_package, PROGRAM_TYPE: about_program_order}
_SHOWN = {RECEIPT_TYPE: about_page, PACKAGE_TYPE: about_signing, PROGRAM_TYPE: about_program_page}


async def of_order(
    session: AsyncSession, order_id: uuid.UUID, *, keyring: Keyring, origin: str, now: datetime
) -> dict[str, Any] | None:
    """The receipt, the same bytes each time unless something was erased; None when the order is not visible here."""
    acceptance = await store.find_acceptance(session, order_id)
    if acceptance is not None:
        return await receipts.build(session, acceptance, keyring=keyring, origin=origin, now=now)
    package = await package_store.find_package_of_order(session, order_id)
    if package is not None:
        return await _of_package(session, package, keyring=keyring, origin=origin, now=now)
    cited = await session.get(FrameworkOrder, order_id)
    if cited is not None:
        return await _of_program(session, cited, keyring=keyring, origin=origin, now=now)
    return None


def about(receipt: Mapping[str, Any], *, number: str | None = None, locale: str | None = None) -> Said:
    """The receipt as a document to read.

    :param number: of the order, as the buyer knows it
    :param locale: of its headings; None: that of what was accepted
    """
    if of_a_framework(receipt):
        return about_framework(receipt, locale=locale)
    return _ABOUT[receipt["type"]](receipt, number=number, locale=locale)


def about_what_was_shown(receipt: Mapping[str, Any]) -> Said:
    """What the pages of the acts said."""
    if of_a_framework(receipt):
        return about_framework_page(receipt, receipt["issuer"])
    return _SHOWN[receipt["type"]](receipt)


def of_a_framework(receipt: Mapping[str, Any]) -> bool:
    """Whether it is that of a framework agreement, without any order."""
    found: bool = receipt["type"] == RECEIPT_TYPE and receipt["acceptance"]["type"] == receipts.FRAMEWORK_ACCEPTANCE
    return found


def last_row(receipt: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row of the ledger that came with the order: all others of the receipt stand before it."""
    if receipt["type"] == PACKAGE_TYPE:
        found: Mapping[str, Any] = receipt["leaves"][-1]["content"]
        return found
    row: Mapping[str, Any] = receipt["citation" if receipt["type"] == PROGRAM_TYPE else "acceptance"]
    return row


def page_of(receipt: Mapping[str, Any]) -> tuple[str, str]:
    """Digest of the page's template, and language, on which the first act was done: the only one, but in packages."""
    if receipt["type"] == PACKAGE_TYPE:
        first = receipt["leaves"][0]["content"]
    else:
        first = receipt.get("framework", receipt)["presentation"]["content"]
    return first["template_digest"], first["locale"]


async def _of_package(
    session: AsyncSession, package: Package, *, keyring: Keyring, origin: str, now: datetime
) -> dict[str, Any]:
    """Of an executed package: each signature is a leaf with its proof, and the execution."""
    if package.executed_seq is None:
        raise LedgerBroken(f"Package {package.id} made an order and was not executed.")
    checkpoint = await ledger.checkpoint_covering(
        session, package.executed_seq, keyring=keyring, origin=origin, now=now
    )
    proves, does_not_prove = wording_signing.what_signatures_prove(package.locale)
    named = msgspec.convert(package.content["documents"], tuple[PresentedDocument, ...])
    leaves = await package_store.leaves_of(session, package)
    return receipts.sealed(
        {
            "type": PACKAGE_TYPE,
            "issuer": package.content["seller_name"],
            "proves": proves,
            "does_not_prove": does_not_prove,
            "package": {
                "content": package.content,
                "signature": receipts.signature(package.key_id, package.signature),
            },
            "order": package.order_content,
            "documents": await receipts.texts_of(session, named),
            "leaves": [
                {**leaf, **await receipts.row_of(session, leaf["content"]["seq"], checkpoint)} for leaf in leaves
            ],
        },
        checkpoint,
        keyring,
    )


async def _of_program(
    session: AsyncSession, cited: FrameworkOrder, *, keyring: Keyring, origin: str, now: datetime
) -> dict[str, Any]:
    """Of an order that a program placed: the row that cites the framework agreement, and the agreement's acceptance,
    both under one head.
    """
    framework = await legal_store.find_framework(session, cited.framework_id)
    if framework is None:
        raise LedgerBroken(f"Order {cited.order_id} cites a framework agreement that is gone.")
    checkpoint = await ledger.checkpoint_covering(session, cited.ledger_seq, keyring=keyring, origin=origin, now=now)
    act = await receipts.act_of(session, framework, checkpoint)
    content = act["presentation"]["content"]
    proves, does_not_prove = wording.what_a_citation_proves(content["locale"])
    row = await receipts.row_of(session, cited.ledger_seq, checkpoint)
    return receipts.sealed(
        {
            "type": PROGRAM_TYPE,
            "issuer": content["seller_name"],
            "proves": proves,
            "does_not_prove": does_not_prove,
            "citation": row.pop("content"),
            "order": cited.order_content,
            "framework": {**act, "agreement": framework.order_content},
            **row,
        },
        checkpoint,
        keyring,
    )
