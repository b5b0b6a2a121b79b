"""Several signatures under one digest. Every function runs in its caller's transaction, on a package locked there.

A package is drawn up once and never changed: another order, other documents or another signer are another package. Each
signature is a leaf of the ledger; the last one is followed by a leaf that names them all, and the order they make.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from accounts.principal import BuyerCompany
from accounts.store import find_merchant
from agreements import annexes, ledger, legal_store
from agreements.asking import Asked, choose, still_stands
from agreements.commitments import ORDER_FIELD, canonical_order, commit_all, new_salts
from agreements.model import JOB_TITLE_MAXIMUM, DocumentKind, Opening, PresentedDocument
from agreements.package_model import (
    ClosingReason,
    Package,
    PackageInvitation,
    PackageSignature,
    Party,
    SellingPolicy,
)
from agreements.package_states import (
    OPEN,
    PackageEvent,
    PackageState,
    PartyRole,
    advance,
    may_sign,
    signature_event,
)
from agreements.package_store import list_signatures
from agreements.service import BoxNotTicked, DocumentsMissing, JobTitleMissing, presented, timestamp
from agreements.wording_signing import SIGNS, Declared, declared, level
from kernel.canonical import canonical_json, digest
from kernel.errors import Conflict, NotFound, Refused
from kernel.ids import new_id, new_token, token_digest
from kernel.money import Money
from kernel.signing import Keyring, Purpose, Signature

PACKAGE_TYPE: Final = "tarifa.package.v1"
SIGNATURE_TYPE: Final = "tarifa.package-signature.v1"
EXECUTION_TYPE: Final = "tarifa.package-execution.v1"
SIGNATURE_KIND: Final = "package_signature"
EXECUTION_KIND: Final = "package"
NAME_MOST: Final = 120
SIGNER_FIELDS: Final = ("signer_id", "signer_name", "signer_email", "typed_name", "title")
BOXES: Final = frozenset({"intent", "authority"})


class PackageUnknown(NotFound):
    problem = "package-unknown"
    title = "There is no such package to sign"


class PackageStale(Conflict):
    """`extra["changed"]` names what: `order`, `documents`, `company`, `signature`, `expired`."""

    problem = "package-stale"
    title = "What is to be signed has changed"


class NotYourTurn(Conflict):
    problem = "not-your-turn"
    title = "You are not the next to sign this"


class TypedNameMissing(Refused):
    problem = "typed-name-missing"
    title = "Your name is missing"


class Selling(msgspec.Struct, frozen=True, kw_only=True):
    """When the seller counter-signs."""

    above: tuple[Money, ...] = ()
    documents: frozenset[str] = frozenset()
    copies: tuple[str, ...] = ()

    def countersigns(self, total: Money, documents: Collection[str]) -> bool:
        """Whether an order of *total* that is asked for *documents* is counter-signed."""
        above = next((each for each in self.above if each.currency == total.currency), None)
        return (above is not None and total > above) or not self.documents.isdisjoint(documents)


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who shall take part. *person_id* None: whoever of that role comes first."""

    role: PartyRole
    person_id: uuid.UUID | None = None
    name: str = ""
    email: str = ""


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs, as they are known, what they typed, and from where: *ip* and *user_agent* go into the annex."""

    person_id: uuid.UUID
    name: str
    email: str
    typed_name: str
    title: str
    ticked: frozenset[str]
    locale: str
    template_digest: str
    stylesheet_digest: str
    ip: str
    user_agent: str


async def selling_policy(session: AsyncSession) -> Selling:
    """The seller's policy in force; without any the seller counter-signs nothing."""
    row = await session.scalar(
        sa.select(SellingPolicy).order_by(SellingPolicy.changed_at.desc(), SellingPolicy.id.desc()).limit(1)
    )
    if row is None:
        return Selling()
    return Selling(
        above=tuple(Money.parse(amount, currency) for currency, amount in sorted(row.countersign_above.items())),
        documents=frozenset(row.documents),
        copies=tuple(row.copies),
    )


async def draw_up(
    session: AsyncSession,
    keyring: Keyring,
    *,
    company: BuyerCompany,
    checkout_id: uuid.UUID,
    terms: Mapping[str, Any],
    personal: Mapping[str, str],
    total: Money,
    asked: Asked,
    named: Sequence[Named],
    locale: str,
    by: uuid.UUID,
    now: datetime,
    expires_at: datetime,
) -> Package:
    """Put documents and order under one digest, signed by the house, and let those *named* sign it, in that order.

    :raises DocumentsMissing: when nothing is published to agree to
    """
    chosen = await choose(session, asked, locale, total=total, now=now)
    if not any(version.document.kind is DocumentKind.AGREE for version in chosen.versions):
        raise DocumentsMissing("No document to agree to is in force; legal staff must publish one first.")
    pdfs = await legal_store.list_pdf_digests(session, [version.id for version in chosen.versions])
    merchant = await find_merchant(session)
    package_id = new_id()
    salts = new_salts([*(ORDER_FIELD + field for field in personal), *(f"party.{n}" for n in range(len(named)))])
    order_content, order_digest = canonical_order(terms, personal, salts)
    parties = [
        Party(id=new_id(), company_id=company.id, position=position, **msgspec.structs.asdict(each))
        for position, each in enumerate(named)
    ]
    people = commit_all({f"party.{each.position}": _person(each) for each in parties}, salts)
    signed = canonical_json(
        {
            "type": PACKAGE_TYPE,
            "package_id": package_id,
            "checkout_id": checkout_id,
            "company_id": company.id,
            "company_name": company.name,
            "seller_name": merchant.legal_name,
            "locale": locale,
            "created_at": timestamp(now),
            "expires_at": timestamp(expires_at),
            "order_digest": order_digest,
            "total": {"amount": total.decimal, "currency": total.currency},
            "asked": msgspec.to_builtins(asked),
            "documents": [presented(version, pdfs.get(version.id)) for version in chosen.versions],
            "parties": [{"role": each.role, "person": people[f"party.{each.position}"]} for each in parties],
            "level": level(locale, merchant.legal_name),
        }
    )
    content: dict[str, Any] = msgspec.json.decode(signed)
    vouched = keyring.sign(Purpose.PRESENTATION, signed)
    package = Package(
        id=package_id,
        company_id=company.id,
        checkout_id=checkout_id,
        state=advance(PackageState.DRAFT, PackageEvent.SEND),
        content=content,
        digest=digest(content),
        order_content=order_content,
        order_digest=order_digest,
        terms=dict(terms),
        salts=salts,
        total_minor=total.minor,
        currency=total.currency,
        locale=locale,
        signature=vouched.signature,
        key_id=vouched.key_id,
        created_by=by,
        created_at=now,
        expires_at=expires_at,
        parties=parties,
    )
    session.add(package)
    await session.flush()
    return package


def invite(session: AsyncSession, package: Package, party: Party, *, now: datetime) -> str:
    """Make a link for *party*: its secret, which is shown once and never stored."""
    token = new_token()
    session.add(
        PackageInvitation(
            id=new_id(),
            company_id=package.company_id,
            party_id=party.id,
            token_sha256=token_digest(token),
            created_at=now,
            expires_at=package.expires_at,
        )
    )
    return token


async def revoke(session: AsyncSession, parties: Collection[Party], *, now: datetime) -> None:
    """Let no link of these parties open anything any more."""
    await session.execute(
        sa.update(PackageInvitation)
        .where(PackageInvitation.party_id.in_([each.id for each in parties]), PackageInvitation.revoked_at.is_(None))
        .values(revoked_at=now)
    )


async def open_link(session: AsyncSession, token: str, *, now: datetime) -> tuple[Package, Party]:
    """Whose link this is; signs nothing. The reader may have no account, so the transaction is `for_staff()`.

    :raises PackageUnknown: when it is unknown, revoked or expired
    """
    link = await session.scalar(
        sa.select(PackageInvitation).where(PackageInvitation.token_sha256 == token_digest(token))
    )
    party = None if link is None else await session.get(Party, link.party_id)
    package = None if party is None else await find_package(session, party.package_id)
    if link is None or party is None or package is None or link.revoked_at is not None:
        raise PackageUnknown("This link is unknown or does not work any more; ask for a new one.")
    if link.expires_at <= now and package.state is not PackageState.EXECUTED:
        raise PackageUnknown("This link has expired; ask for a new one.")
    if link.opened_at is None:
        link.opened_at = now
        await session.flush()
    return package, party


def event_of(package: Package, party: Party) -> PackageEvent:
    """What a signature of *party* would be: `SIGN_LAST` when nobody is due after it."""
    left = [
        each.role for each in package.parties if each.signed_at is None and each.role in SIGNS and each is not party
    ]
    return signature_event(party.role, left)


def due(package: Package) -> tuple[Party, ...]:
    """Who may sign now."""
    return tuple(each for each in package.parties if each.signed_at is None and may_sign(package.state, each.role))


async def refuse_stale(
    session: AsyncSession, keyring: Keyring, package: Package, company: BuyerCompany, *, now: datetime
) -> None:
    """:raises PackageStale: when documents or company are others than under the digest, or its time has passed"""
    content = package.content
    chosen = await choose(session, Asked.read(content), package.locale, total=package.total, now=now)
    documents = msgspec.convert(content["documents"], tuple[PresentedDocument, ...])
    signature = Signature(package.key_id, package.signature)
    vouched = keyring.verify(Purpose.PRESENTATION, signature, canonical_json(content))
    changed = [
        what
        for what, differs in (
            ("expired", package.expires_at <= now),
            ("documents", not still_stands(documents, chosen)),
            ("company", company.name != content["company_name"]),
            ("signature", not vouched or digest(content) != package.digest),
        )
        if differs
    ]
    if changed:
        raise PackageStale(
            "Nothing was signed: this is not what holds now. It has to be drawn up and sent anew.", changed=changed
        )


async def sign(
    session: AsyncSession,
    keyring: Keyring,
    package: Package,
    party: Party,
    signer: Signer,
    *,
    shown_digest: str,
    now: datetime,
) -> None:
    """Record one signature and move the package. Locks the ledger's tail.

    The last one's move is `execute`.

    :param shown_digest: of the package that the signer's page showed
    :raises NotYourTurn: when *party* has signed, or others are due before
    :raises PackageStale: when the page showed another package
    :raises BoxNotTicked: naming every box that is not ticked
    :raises TypedNameMissing: without a name
    :raises JobTitleMissing: without a title
    """
    if party not in due(package):
        raise NotYourTurn("Somebody else is due to sign, or you have signed already.", state=package.state.value)
    if shown_digest != package.digest:
        raise PackageStale("Nothing was signed: look at what is to be signed now.", changed=["order"])
    event = event_of(package, party)
    name, title = _checked(signer)
    says: Declared = declared(
        signer.locale,
        party.role,
        company=package.content["company_name"],
        seller=package.content["seller_name"],
        documents=[f"{each['title']} v{each['label']}" for each in package.content["documents"]],
    )
    opened = dict(
        zip(
            SIGNER_FIELDS,
            (str(signer.person_id), signer.name, signer.email, name, title),
            strict=True,
        )
    )
    annex, salts = annexes.connection(signer.ip, signer.user_agent), new_salts([*opened, "annex"])
    matches = name.casefold() == " ".join(signer.name.split()).casefold()

    leaf: dict[str, Any] = {
        "type": SIGNATURE_TYPE,
        "recorded_at": timestamp(now),
        "package_id": str(package.id),
        "package_digest": package.digest,
        "company_id": str(package.company_id),
        "order_digest": package.order_digest,
        "role": party.role.value,
        "position": party.position,
        "level": "simple",
        "locale": signer.locale,
        "intent": says.intent,
        "authority": says.authority,
        "button_label": says.button,
        "template_digest": signer.template_digest,
        "stylesheet_digest": signer.stylesheet_digest,
        "name_matches": matches,
        "commitments": commit_all({**opened, "annex": annex}, salts),
    }

    seq = await ledger.append(
        session, kind=SIGNATURE_KIND, company_id=package.company_id, recorded_at=now, content=leaf
    )
    session.add(
        PackageSignature(
            party_id=party.id,
            company_id=package.company_id,
            person_id=signer.person_id,
            name_matches=matches,
            signed_at=now,
            ledger_seq=seq,
        )
    )
    session.add_all(
        Opening(ledger_seq=seq, field=field, company_id=package.company_id, value=value, salt=salts[field])
        for field, value in opened.items()
    )
    session.add(
        annexes.of_act(
            keyring,
            annexes.opening(annex, salts["annex"]),
            seq=seq,
            company_id=package.company_id,
            actor_id=signer.person_id,
            now=now,
        )
    )
    party.signed_at, party.person_id = now, signer.person_id
    if event is not PackageEvent.SIGN_LAST:
        package.state = advance(package.state, event)
    await session.flush()


async def execute(
    session: AsyncSession, package: Package, order_id: uuid.UUID, personal: Mapping[str, str], *, now: datetime
) -> tuple[dict[str, Any], str]:
    """Record that all have signed, in the transaction that makes the order; the order's canonical form and digest."""
    signatures = await list_signatures(session, package)

    leaf: dict[str, Any] = {
        "type": EXECUTION_TYPE,
        "recorded_at": timestamp(now),
        "package_id": str(package.id),
        "package_digest": package.digest,
        "checkout_id": str(package.checkout_id),
        "company_id": str(package.company_id),
        "order_id": str(order_id),
        "order_digest": package.order_digest,
        "documents": package.content["documents"],
        "signatures": [each.ledger_seq for each in signatures],
        "level": package.content["level"],
    }

    seq = await ledger.append(
        session, kind=EXECUTION_KIND, company_id=package.company_id, recorded_at=now, content=leaf
    )
    opened = {ORDER_FIELD + field: value for field, value in personal.items()}
    opened |= {f"party.{each.position}": _person(each) for each in package.parties}
    session.add_all(
        Opening(ledger_seq=seq, field=field, company_id=package.company_id, value=value, salt=package.salts[field])
        for field, value in opened.items()
    )
    package.state = advance(package.state, PackageEvent.SIGN_LAST)
    package.order_id, package.executed_seq, package.closed_at = order_id, seq, now
    package.salts = {}  # the openings have them now
    await session.flush()
    return package.order_content, package.order_digest


async def close(
    session: AsyncSession,
    package: Package,
    event: PackageEvent,
    reason: ClosingReason,
    *,
    by: uuid.UUID | None,
    now: datetime,
    comment: str = "",
) -> None:
    """End it without an order: links die, what was signed stays in the ledger and binds nobody.

    :raises PackageEventRefused: when it has ended already
    """
    package.state = advance(package.state, event)
    package.closed_at, package.closed_by = now, by
    package.closing_reason, package.closing_comment = reason, comment
    package.salts = {}
    await revoke(session, package.parties, now=now)
    await session.flush()


# --- queries ---


async def find_package(session: AsyncSession, package_id: uuid.UUID) -> Package | None:
    return await session.scalar(_packages().where(Package.id == package_id))


async def lock_package(session: AsyncSession, package_id: uuid.UUID) -> Package | None:
    query = _packages().where(Package.id == package_id).with_for_update(of=Package)
    return await session.scalar(query.execution_options(populate_existing=True))


async def find_open_of_checkout(session: AsyncSession, checkout_id: uuid.UUID) -> Package | None:
    return await session.scalar(_packages().where(Package.checkout_id == checkout_id, Package.state.in_(OPEN)))


async def list_packages(session: AsyncSession, company_id: uuid.UUID | None, *, limit: int) -> Sequence[Package]:
    """Those that are open first, then the newest; *company_id* None: of every company."""
    query = _packages().order_by(Package.state.in_(OPEN).desc(), Package.created_at.desc()).limit(limit)
    return (await session.scalars(query if company_id is None else query.where(Package.company_id == company_id))).all()


async def list_expired(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[tuple[uuid.UUID, uuid.UUID]]:
    """Package and company of what waits past its time."""
    query = sa.select(Package.id, Package.company_id).where(Package.state.in_(OPEN), Package.expires_at <= now)
    return [(row.id, row.company_id) for row in await session.execute(query.order_by(Package.expires_at).limit(limit))]


def _packages() -> sa.Select[Package]:
    return sa.select(Package).options(selectinload(Package.parties))


def _person(party: Party) -> str:
    """As the package names who was to sign; whoever of a role comes first is named by the signature alone."""
    return f"{party.name} <{party.email}>" if party.email else party.role.value


def _checked(signer: Signer) -> tuple[str, str]:
    missing = sorted(BOXES - signer.ticked)
    if missing:
        raise BoxNotTicked("To sign, tick the boxes yourself; none is ticked for you.", boxes=missing)
    name, title = " ".join(signer.typed_name.split()), " ".join(signer.title.split())
    if not name or len(name) > NAME_MOST or not name.isprintable():
        raise TypedNameMissing(f"Type your name, in one line of up to {NAME_MOST} characters.")
    if not title or len(title) > JOB_TITLE_MAXIMUM or not title.isprintable():
        raise JobTitleMissing(f"Say what you are, in one line of up to {JOB_TITLE_MAXIMUM} characters.")
    return name, title
