"""A bundle: the receipt with all it refers to, a canonical zip under a signed manifest. Its checks are verify.py's.

Bundles are built when they are asked for and kept nowhere: what was erased since is not in them.
"""

import asyncio
import base64
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.principal import Principal
from agreements import order_receipts, receipt_pdf, store
from agreements.checkpoints import Consistency, between
from agreements.frameworks import Frameworks
from agreements.keys import published
from agreements.model import LedgerStamp
from agreements.receipt_words import COMMAND, Said
from agreements.service import Agreements
from agreements.verify import (
    BUNDLE_TYPE,
    CONSISTENCY,
    MANIFEST,
    MANIFEST_SIGNATURE,
    PACKAGE_TYPE,
    PDF,
    PROGRAM_TYPE,
    RECEIPT_TYPE,
    STAMP,
    canonical_zip,
    parts_of,
    read_note,
    sha256,
)
from kernel.canonical import canonical_json
from kernel.db import Database, Scope
from kernel.signing import Keyring, Purpose

SHOWN_KEYS: Final = frozenset({Purpose.LEDGER, Purpose.PRESENTATION, Purpose.SEAL})
PROOFS_MOST: Final = 16
README: Final = """\
What this is
============
{subject}: who agreed to what, for which company, and when by the seller's clock.

  receipt.pdf       for people, with the seller's electronic seal (PAdES)
  receipt.json      for programs: everything below in one document, signed
  signature.json    the signature over receipt.json
{files}
  page.html         the same to read; the page's own template and style sheet are named by their digests
  documents/        each document that was agreed to or acknowledged, source and page
  checkpoint.txt    the tree's head, signed (C2SP checkpoint)
  checkpoint.tsr    if there: an RFC 3161 stamp by somebody else over checkpoint.txt
  consistency.json  if there: proofs between this head and others
  keys.json         the seller's public keys
  manifest.json     the SHA-256 of every file, signed by manifest-signature.json

How to verify it
================
Offline, with Python 3.11 and the package `cryptography`. Take verify.py and the seller's public keys (tarifa-keys.json)
from where you trust them: this bundle cannot vouch for its own keys.

  {command}
  {command} --against an-older-checkpoint-receipt-or-bundle

Exit code 0: all held. 1: something was changed. 2: nothing failed, but the key was not given.
"""
_ORDER: Final = """\
  order.json        the order as it was accepted; personal values are salted commitments
"""
_FRAMEWORK: Final = """\
  order.json        what the framework agreement covers: channels, and orders up to which amount
"""
_FILES: Final = {
    RECEIPT_TYPE: """\
  acceptance.json   the row of the seller's append-only ledger
  presentation.json what the seller showed before the act, signed
  openings.json     values and salts behind the commitments, without those that were erased
  inclusion.json    proof that the row is in the ledger's Merkle tree (RFC 9162)""",
    PACKAGE_TYPE: """\
  package.json      what all signed: documents, order and parties under one digest, signed by the seller
  signatures/       each signature: its row of the seller's append-only ledger, the values and salts behind its
                    commitments, without those that were erased, and proof that it is in the ledger's tree (RFC 9162)
  execution.json    the row that names all signatures and the order they made, likewise""",
    PROGRAM_TYPE: """\
  citation.json     the order's row of the seller's append-only ledger: it names the framework agreement's acceptance
  openings.json     values and salts behind the order's commitments, without those that were erased
  inclusion.json    proof that this row is in the ledger's Merkle tree (RFC 9162)
  chain.json        how it follows the row before it
  framework/        the framework agreement, how it was shown, and its acceptance with its own openings and proof""",
}


class Bundle(msgspec.Struct, frozen=True):
    """*pdf* is the sealed PDF that is in it."""

    content: bytes
    pdf: bytes


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle is made of, read in one transaction."""

    receipt: dict[str, Any]
    proofs: tuple[Consistency, ...]
    stamp: bytes | None


async def gather(session: AsyncSession, receipt: dict[str, Any]) -> Evidence:
    """Beside the *receipt*: its checkpoint's stamp, and proofs that tie it to the heads that this company's other
    receipts cite and to the last one that was signed.
    """
    size, row = read_note(receipt["checkpoint"]).size, order_receipts.last_row(receipt)
    others = await _heads_of(session, uuid.UUID(row["company_id"]), row["seq"])
    last = await store.find_latest_checkpoint(session)
    if last is not None:
        others.add(last.size)
    pairs = sorted({(min(size, other), max(size, other)) for other in others if other not in {0, size}})
    stamp = await session.get(LedgerStamp, size)
    return Evidence(
        receipt=receipt,
        proofs=tuple([await between(session, first, second) for first, second in pairs]),
        stamp=None if stamp is None else stamp.answer,
    )


async def of_framework(db: Database, principal: Principal, frameworks: Frameworks, framework_id: uuid.UUID) -> Bundle:
    """The bundle of a framework agreement's acceptance, built now.

    :raises agreements.service.ReceiptNotFound: when there is none, or it is another company's
    """
    receipt = await frameworks.receipt(principal, framework_id)
    async with db.reading(principal.db_scope()) as session:
        evidence = await gather(session, receipt)
    return await asyncio.to_thread(
        build, evidence, frameworks.agreements.keyring, number=None, now=frameworks.clock.now()
    )


async def of_order(
    db: Database, scope: Scope, agreements: Agreements, order_id: uuid.UUID, *, number: str | None
) -> Bundle:
    """The bundle of what is behind an order, built now.

    :param number: of the order, as the buyer knows it
    :raises agreements.service.ReceiptNotFound: when the order has none, or it is not visible in *scope*
    """
    async with db.begin(scope) as session:
        receipt = await agreements.receipt(session, order_id)
        evidence = await gather(session, receipt)
    return await asyncio.to_thread(build, evidence, agreements.keyring, number=number, now=agreements.clock.now())


def build(evidence: Evidence, keyring: Keyring, *, number: str | None, now: datetime) -> Bundle:
    """The zip of *evidence*. It takes a tenth of a second: call it in a thread."""
    receipt = evidence.receipt
    pdf = receipt_pdf.sealed(order_receipts.about(receipt, number=number), keyring, now=now)
    of_framework = order_receipts.of_a_framework(receipt)
    files = (_FRAMEWORK if of_framework else _ORDER) + _FILES[receipt["type"]]
    subject = "Evidence of a framework agreement" if of_framework else "Evidence of one order"
    keys = [published(key) for key in keyring.public_keys() if key.purpose in SHOWN_KEYS]
    members: dict[str, bytes] = {
        **parts_of(receipt),
        PDF: pdf,
        "README.txt": README.format(subject=subject, files=files, command=COMMAND).encode(),
        "receipt.json": canonical_json(receipt),
        "keys.json": canonical_json(keys),
        "page.html": page_html(order_receipts.about_what_was_shown(receipt)),
    }
    if evidence.proofs:
        members[CONSISTENCY] = canonical_json(msgspec.to_builtins(evidence.proofs))
    if evidence.stamp is not None:
        members[STAMP] = evidence.stamp
    return Bundle(canonical_zip(signed(members, keyring)), pdf)


def signed(members: Mapping[str, bytes], keyring: Keyring) -> dict[str, bytes]:
    """*members* with a manifest that lists them all and its signature."""
    listed = {name: sha256(content) for name, content in members.items()}
    manifest = canonical_json({"type": BUNDLE_TYPE, "members": listed})
    signature = keyring.sign(Purpose.LEDGER, manifest)
    encoded = base64.b64encode(signature.signature).decode()
    return {
        **members,
        MANIFEST: manifest,
        MANIFEST_SIGNATURE: canonical_json({"key_id": signature.key_id, "signature": encoded}),
    }


def page_html(said: Said) -> bytes:
    """*said* as a page that needs nothing else."""
    parts = [
        f'<!doctype html>\n<html lang="{said.language}">\n<meta charset="utf-8">\n<title>{escape(said.title)}</title>',
        f"<p>{escape(said.issuer)}</p>\n<h1>{escape(said.title)}</h1>",
    ]
    for section in said.sections:
        if section.heading:
            parts.append(f"<h2>{escape(section.heading)}</h2>")
        if section.rows:
            parts.append(f"<table><thead>{_row('th', section.columns)}</thead><tbody>")
            parts.extend(_row("td", row) for row in section.rows)
            parts.append("</tbody></table>")
        parts.extend(f"<p>{escape(point)}</p>" for point in section.points)
        if section.facts:
            pairs = (f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value, _ in section.facts)
            parts.append(f"<dl>{''.join(pairs)}</dl>")
    return "\n".join([*parts, "</html>", ""]).encode()


def _row(cell: str, values: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{cell}>{escape(value)}</{cell}>' for value in values)}</tr>"


async def _heads_of(session: AsyncSession, company_id: uuid.UUID, seq: int) -> set[int]:
    """Sizes of heads that the company's receipts around *seq* cite."""
    sizes = await session.scalars(
        sa.text(
            "select size from ("
            " select (select min(size) from acceptance_ledger_checkpoint c where c.size > l.seq) as size,"
            " abs(l.seq - :seq) as distance"
            " from acceptance_ledger l where l.company_id = :company order by distance limit :most"
            ") near where size is not null"
        ),
        {"company": company_id, "seq": seq, "most": PROOFS_MOST},
    )
    return set(sizes)
