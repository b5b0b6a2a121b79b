"""Framework agreements: what a signatory accepts once for the orders that the company's programs place.

It covers every document that an order of the company may be asked for, whatever it holds and comes to, up to what the
signatory may sign. It ends when either side ends it or the company accepts another. A material version of one of its
documents does not end it, but orders are covered no more from the day that version holds: they need it accepted anew.
An order by a program cites the agreement that covers it, in the ledger, in the transaction that makes the order.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.model import Authority
from accounts.principal import BuyerCompany, Principal
from accounts.store import find_membership, find_merchant
from agreements import annexes, ledger, legal_store, receipts, store, wording
from agreements.asking import Asked, choose, choose_all, still_stands, uncovered
from agreements.commitments import ORDER_FIELD, canonical_order, commit_all, new_salts
from agreements.legal_model import AgreementAct, EndReason, FrameworkAgreement, FrameworkOrder
from agreements.model import JOB_TITLE_MAXIMUM, DocumentKind, Opening, Presentation, Verb
from agreements.service import (
    ACTOR_FIELDS,
    PRESENTATION_LIFE,
    PRESENTATION_TYPE,
    ActorMissing,
    Agreements,
    BoxNotTicked,
    DocumentsMissing,
    JobTitleMissing,
    PresentationConsumed,
    PresentationNotFound,
    PresentationStale,
    ReceiptNotFound,
    SignatoryRequired,
    presented,
    timestamp,
)
from kernel.canonical import canonical_json, digest
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import Conflict, NotFound, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.money import Money
from kernel.signing import Purpose, Signature

SCHEMA: Final = "tarifa/framework/1"
ORDER_TYPE: Final = "tarifa.framework-order.v2"
"""Version 1 named the acceptance by its row alone."""
CHANNELS: Final = ("api", "punchout")
NOTE_MOST: Final = 2000

ACCEPT: Final = Failpoint("agreements.accept_framework")
END: Final = Failpoint("agreements.end_framework")


class FrameworkMissing(Refused):
    problem = "framework-missing"
    title = "No framework agreement covers orders by programs"


class FrameworkOutdated(Refused):
    """`extra["documents"]` names, by code, what has to be accepted anew."""

    problem = "framework-outdated"
    title = "The framework agreement does not cover the documents of this order"


class FrameworkExceeded(Refused):
    problem = "framework-exceeded"
    title = "The order comes to more than the framework agreement covers"


class FrameworkNotFound(NotFound):
    problem = "framework-not-found"
    title = "There is no such framework agreement"


class FrameworkEnded(Conflict):
    problem = "framework-ended"
    title = "This framework agreement has ended already"


class EndingUnusable(Refused):
    problem = "framework-ending-unusable"
    title = "Ending a framework agreement needs a reason"


class FrameworkView(msgspec.Struct, frozen=True, kw_only=True):
    """A company's standing agreement, if any. *outdated*: codes of documents that it does not cover as they are now."""

    framework: FrameworkAgreement | None
    presentation: Presentation | None
    outdated: tuple[str, ...]


class ListedFramework(msgspec.Struct, frozen=True, kw_only=True):
    framework: FrameworkAgreement
    company: str
    person: str
    documents: tuple[str, ...]
    orders: int


class Frameworks:
    def __init__(self, db: Database, clock: Clock, agreements: Agreements) -> None:
        self.db = db
        self.clock = clock
        self.agreements = agreements

    async def find(self, principal: Principal) -> FrameworkView:
        """The company's standing agreement, for its members and its programs."""
        company = principal.company
        if company is None:
            raise ActorMissing("Log in for your company to see its agreement.")
        now = self.clock.now()
        async with self.db.reading(principal.db_scope()) as session:
            found = await legal_store.find_standing_framework(session, company.id)
            if found is None:
                return FrameworkView(framework=None, presentation=None, outdated=())
            presentation = await store.find_presentation(session, found.presentation_id)
            assert presentation is not None, "an agreement has its presentation"
            chosen = await choose_all(session, _asked(company), presentation.locale, now=now)
            return FrameworkView(
                framework=found, presentation=presentation, outdated=uncovered(presentation.documents, chosen)
            )

    async def present(
        self, principal: Principal, *, locale: str, template_digest: str, stylesheet_digest: str
    ) -> Presentation:
        """Issue what a signatory is asked to accept for orders by programs: signed, good for an hour and one use.

        :raises SignatoryRequired: when this person may not bind the company
        :raises DocumentsMissing: when nothing is published to agree to
        :raises ActorMissing: for a visitor, staff or an API key
        """
        company, person_id = _member(principal)
        now, framework_id = self.clock.now(), new_id()
        async with self.db.begin(principal.db_scope()) as session:
            authority, limit = await _authority(session, company, person_id)
            chosen = await choose_all(session, _asked(company), locale, now=now)
            if not any(version.document.kind is DocumentKind.AGREE for version in chosen.versions):
                raise DocumentsMissing("No document to agree to is in force; legal staff must publish one first.")
            merchant = await find_merchant(session)
            salts = new_salts([*ACTOR_FIELDS, "job_title"])
            content = _scope(framework_id, company, limit)
            pdfs = await legal_store.list_pdf_digests(session, [version.id for version in chosen.versions])
            presentation_id, button = new_id(), wording.framework_button(locale)
            signed = canonical_json(
                {
                    "type": PRESENTATION_TYPE,
                    "presentation_id": presentation_id,
                    "checkout_id": framework_id,
                    "channel": "framework",
                    "locale": locale,
                    "issued_at": timestamp(now),
                    "expires_at": timestamp(now + PRESENTATION_LIFE),
                    "seller_name": merchant.legal_name,
                    "company_id": company.id,
                    "company_name": company.name,
                    "authority": authority,
                    "actor": commit_all(_personal(principal), salts),
                    "button_label": button,
                    "template_digest": template_digest,
                    "stylesheet_digest": stylesheet_digest,
                    "order_digest": digest(content),
                    "documents": [presented(version, pdfs.get(version.id)) for version in chosen.versions],
                    "asked": _asked(company),
                    "rules": chosen.rules,
                    "statements": wording.framework_statements(
                        locale,
                        chosen.versions,
                        button=button,
                        company=company.name,
                        seller=merchant.legal_name,
                        self_declared=authority is Authority.SELF_DECLARED,
                        profile=await legal_store.find_profile(session, company.country),
                    ),
                    "notices": wording.framework_notices(locale, chosen.versions, limit=limit),
                }
            )
            signature = self.agreements.keyring.sign(Purpose.PRESENTATION, signed)
            decoded: dict[str, Any] = msgspec.json.decode(signed)
            presentation = Presentation(
                id=presentation_id,
                company_id=company.id,
                checkout_id=framework_id,
                actor_id=person_id,
                content=decoded,
                content_digest=digest(decoded),
                order_content=content,
                order_digest=digest(content),
                salts=salts,
                locale=locale,
                issued_at=now,
                expires_at=now + PRESENTATION_LIFE,
                signature=signature.signature,
                key_id=signature.key_id,
            )
            session.add(presentation)
        return presentation

    async def accept(
        self,
        principal: Principal,
        *,
        presentation_id: uuid.UUID,
        ticked: Collection[str],
        job_title: str,
        ip: str,
        user_agent: str,
    ) -> FrameworkAgreement:
        """Record the act, with its row of the ledger; an agreement that stood is replaced by it.

        :param ip: with *user_agent*, kept in the annex

        :raises PresentationNotFound: when it is not this person's
        :raises PresentationConsumed: when it was accepted already
        :raises PresentationStale: when it expired, or documents or parties changed
        :raises SignatoryRequired, BoxNotTicked, JobTitleMissing:
        """
        company, person_id = _member(principal)
        now = self.clock.now()
        async with self.db.begin(principal.db_scope(), ACCEPT) as session:
            found = await store.lock_presentation(session, presentation_id)
            mine = found is not None and (found.company_id, found.actor_id) == (company.id, person_id)
            if found is None or not mine or found.content["channel"] != "framework":
                raise PresentationNotFound("There is no such agreement to accept; open the page again.")
            if found.order_id is not None:
                raise PresentationConsumed(found.order_id)
            await self._refuse_what_changed(session, found, principal, company, now)
            _, limit = await _authority(session, company, person_id)
            if found.order_content != _scope(found.checkout_id, company, limit):
                raise PresentationStale(
                    "Your signing limit has changed. Look at the agreement again.", changed=["order"]
                )
            boxes = [statement for statement in found.statements if statement.box]
            missing = [each.id for each in boxes if each.required and each.id not in ticked]
            if missing:
                raise BoxNotTicked("Tick the boxes yourself; none is ticked for you.", boxes=missing)
            title = job_title.strip()
            if not title or len(title) > JOB_TITLE_MAXIMUM or not title.isprintable():
                raise JobTitleMissing(f"Say what you are at your company, in up to {JOB_TITLE_MAXIMUM} characters.")
            standing = await legal_store.lock_standing_framework(session, company.id)
            if standing is not None:
                _end(standing, EndReason.REPLACED, "", person_id, now)
                await session.flush()
            annex = annexes.connection(ip, user_agent)
            return await self._record(
                session, found, principal, boxes=boxes, ticked=ticked, job_title=title, annex=annex, now=now
            )

    async def cite(
        self,
        session: AsyncSession,
        company: BuyerCompany,
        *,
        order_id: uuid.UUID,
        terms: Mapping[str, Any],
        personal: Mapping[str, str],
        total: Money,
        categories: Collection[str],
        channel: str,
        framework_id: uuid.UUID | None = None,
    ) -> tuple[dict[str, Any], str]:
        """Give an order by a program its basis: the company's agreement, cited in the ledger. Runs in the transaction
        that makes the order, which has no other basis. Returns the canonical order and its digest.

        :param framework_id: the agreement that the program cites; None: the one that stands
        :param terms: the order without its *personal* fields, as `Agreements.accept` takes them
        :param categories: of its goods, from the top category down
        :param channel: `api` or `punchout`
        :raises FrameworkMissing, FrameworkNotFound, FrameworkEnded: as `citable`
        :raises FrameworkOutdated: when the order is asked for a document or material version that it does not cover
        :raises FrameworkExceeded: when the total is above what its signatory might sign
        """
        now = self.clock.now()
        found = await self.citable(session, company.id, framework_id, channel=channel)
        presentation = await store.find_presentation(session, found.presentation_id)
        assert presentation is not None, "an agreement has its presentation"
        asked = msgspec.structs.replace(_asked(company), categories=tuple(sorted(categories)))
        chosen = await choose(session, asked, presentation.locale, total=total, now=now)
        missing = uncovered(presentation.documents, chosen)
        if missing:
            raise FrameworkOutdated(
                f"The documents {', '.join(missing)} changed materially or are new. Have a signatory of your company "
                "accept the framework agreement anew at /account/agreements.",
                documents=list(missing),
            )
        limit = found.limit
        if limit is not None and (limit.currency != total.currency or total > limit):
            raise FrameworkExceeded(
                f"The framework agreement covers orders up to {limit}, and this one comes to {total}. Have it placed "
                "by a signatory in the shop.",
                limit={"amount": limit.decimal, "currency": limit.currency},
            )

        accepted = await store.find_entry(session, found.ledger_seq)
        assert accepted is not None, "an agreement has its row"
        salts = new_salts(ORDER_FIELD + field for field in personal)
        content, order_digest = canonical_order(terms, personal, salts)

        leaf: dict[str, Any] = {
            "type": ORDER_TYPE,
            "recorded_at": timestamp(now),
            "framework_id": str(found.id),
            "framework_seq": found.ledger_seq,
            "framework_digest": digest(accepted.content),
            "company_id": str(company.id),
            "order_id": str(order_id),
            "order_digest": order_digest,
            "channel": channel,
        }

        seq = await ledger.append(session, kind="framework-order", company_id=company.id, recorded_at=now, content=leaf)
        session.add(
            FrameworkOrder(
                order_id=order_id,
                company_id=company.id,
                framework_id=found.id,
                order_content=content,
                order_digest=order_digest,
                ledger_seq=seq,
                cited_at=now,
            )
        )
        session.add_all(
            Opening(
                ledger_seq=seq,
                field=ORDER_FIELD + field,
                company_id=company.id,
                value=value,
                salt=salts[ORDER_FIELD + field],
            )
            for field, value in personal.items()
        )
        await session.flush()
        return content, order_digest

    async def citable(
        self, session: AsyncSession, company_id: uuid.UUID, framework_id: uuid.UUID | None, *, channel: str
    ) -> FrameworkAgreement:
        """The agreement that stands, which orders may cite; it does not end before the session's transaction does.

        :param framework_id: what the program takes for it; None: whichever it is
        :raises FrameworkNotFound: when the company never had an agreement of this id
        :raises FrameworkEnded: when that one has ended
        :raises FrameworkMissing: when none stands, or not for *channel*
        """
        found = await legal_store.hold_standing_framework(session, company_id)
        if framework_id is not None and (found is None or found.id != framework_id):
            cited = await legal_store.find_framework(session, framework_id)
            if cited is None or cited.company_id != company_id:
                raise FrameworkNotFound(
                    "Your company has no framework agreement of this id. /account/agreements shows the one that stands."
                )
            assert cited.ended_at is not None, "one stands at most"
            raise FrameworkEnded(
                f"This framework agreement ended on {cited.ended_at:%Y-%m-%d}. Nothing was ordered: cite the one that "
                "stands, or have a signatory of your company accept one at /account/agreements.",
                ended_at=timestamp(cited.ended_at),
                standing=None if found is None else str(found.id),
            )
        if found is None or channel not in found.order_content["channels"]:
            raise FrameworkMissing(
                "Have a signatory of your company accept the framework agreement at /account/agreements first."
            )
        return found

    async def end(self, principal: Principal, framework_id: uuid.UUID, *, note: str) -> None:
        """End it at once, for the buyer by a signatory or for the seller by the legal desk. Orders placed stay.

        :raises FrameworkNotFound: when there is none, or it is another company's
        :raises FrameworkEnded: when it has ended
        :raises EndingUnusable: without a reason
        :raises SignatoryRequired: when a member may not bind the company
        """
        why = note.strip()
        now = self.clock.now()
        async with self.db.begin(principal.db_scope(), END) as session:
            found = await legal_store.lock_framework(session, framework_id)
            if found is None or (principal.company_id is not None and found.company_id != principal.company_id):
                raise FrameworkNotFound("There is no such framework agreement.")
            if not why or len(why) > NOTE_MOST or not why.replace("\n", "").replace("\r", "").isprintable():
                raise EndingUnusable(f"Say why, in up to {NOTE_MOST:,} characters.")
            if found.ended_at is not None:
                raise FrameworkEnded("It has ended already.")
            if principal.company is not None:
                company, person_id = _member(principal)
                await _authority(session, company, person_id)
                _end(found, EndReason.BUYER, why, person_id, now)
                return
            _end(found, EndReason.SELLER, why, principal.person_id, now)
            session.add(
                AgreementAct(
                    id=new_id(),
                    at=now,
                    person_id=principal.person_id,
                    act="framework_ended",
                    subject=str(found.id),
                    details={"company": str(found.company_id), "reason": why},
                )
            )

    async def list_all(self) -> Sequence[ListedFramework]:
        """For staff: every agreement, standing ones first, then the newest."""
        async with self.db.reading(for_staff()) as session:
            return [
                ListedFramework(
                    framework=framework,
                    company=company,
                    person=person,
                    documents=tuple(f"{each['code']} v{each['label']}" for each in documents),
                    orders=orders,
                )
                for framework, company, person, documents, orders in await legal_store.list_frameworks(session)
            ]

    async def receipt(self, principal: Principal, framework_id: uuid.UUID) -> dict[str, Any]:
        """All that a stranger needs to verify the acceptance, as of an order: `agreements.verify` checks it.

        :raises ReceiptNotFound: when there is none, or it is another company's
        """
        async with self.db.begin(principal.db_scope()) as session:
            found = await legal_store.find_framework(session, framework_id)
            if found is None:
                raise ReceiptNotFound("There is no such framework agreement.")
            return await receipts.build(
                session,
                found,
                keyring=self.agreements.keyring,
                origin=self.agreements.origin,
                now=self.clock.now(),
            )

    async def _refuse_what_changed(
        self, session: AsyncSession, found: Presentation, principal: Principal, company: BuyerCompany, now: datetime
    ) -> None:
        content = found.content
        chosen = await choose_all(session, _asked(company), found.locale, now=now)
        signature = Signature(found.key_id, found.signature)
        verified = self.agreements.keyring.verify(Purpose.PRESENTATION, signature, canonical_json(content))
        changed = [
            what
            for what, differs in (
                ("expired", not found.issued_at <= now < found.expires_at),
                ("order", digest(found.order_content) != content["order_digest"]),
                ("documents", not still_stands(found.documents, chosen)),
                ("company", company.name != content["company_name"]),
                ("person", commit_all(_personal(principal), found.salts) != content["actor"]),
                ("signature", not verified),
            )
            if differs
        ]
        if changed:
            raise PresentationStale("Nothing was agreed: look at the agreement as it is now.", changed=changed)

    async def _record(
        self,
        session: AsyncSession,
        found: Presentation,
        principal: Principal,
        *,
        boxes: Sequence[Any],
        ticked: Collection[str],
        job_title: str,
        annex: str,
        now: datetime,
    ) -> FrameworkAgreement:
        opened = {**_personal(principal), "job_title": job_title}
        salts = {**found.salts, **new_salts(["annex"])}
        named = sorted(each.id for each in boxes if each.id in ticked and each.verb is not Verb.CONSENT)

        leaf: dict[str, Any] = {
            "type": receipts.FRAMEWORK_ACCEPTANCE,
            "recorded_at": timestamp(now),
            "framework_id": str(found.checkout_id),
            "presentation_id": str(found.id),
            "presentation_digest": found.content_digest,
            "checkout_id": str(found.checkout_id),
            "company_id": str(found.company_id),
            "order_digest": found.order_digest,
            "authority": found.content["authority"],
            "documents": found.content["documents"],
            "ticked": named,
            "commitments": commit_all({**opened, "annex": annex}, salts),
        }

        seq = await ledger.append(
            session, kind="framework-acceptance", company_id=found.company_id, recorded_at=now, content=leaf
        )
        limit = found.order_content["limit"]
        money = None if limit is None else Money.parse(limit["amount"], limit["currency"])
        made = FrameworkAgreement(
            id=found.checkout_id,
            company_id=found.company_id,
            presentation_id=found.id,
            actor_id=found.actor_id,
            ticked=named,
            accepted_at=now,
            order_content=found.order_content,
            order_digest=found.order_digest,
            limit_minor=None if money is None else money.minor,
            currency=None if money is None else money.currency,
            ledger_seq=seq,
        )
        session.add(made)
        session.add_all(
            Opening(ledger_seq=seq, field=field, company_id=found.company_id, value=value, salt=salts[field])
            for field, value in opened.items()
        )
        session.add(
            annexes.of_act(
                self.agreements.keyring,
                annexes.opening(annex, salts["annex"]),
                seq=seq,
                company_id=found.company_id,
                actor_id=found.actor_id,
                now=now,
            )
        )
        found.consumed_at, found.order_id, found.salts = now, found.checkout_id, {}
        await session.flush()
        return made


def _member(principal: Principal) -> tuple[BuyerCompany, uuid.UUID]:
    if principal.company is None or principal.person_id is None:
        raise ActorMissing("Log in for your company to accept an agreement.")
    return principal.company, principal.person_id


def _personal(principal: Principal) -> dict[str, str]:
    identity = (str(principal.person_id), principal.name or "", principal.email or "")
    return dict(zip(ACTOR_FIELDS, identity, strict=True))


def _asked(company: BuyerCompany) -> Asked:
    return Asked(country=company.country, company=company.code)


def _scope(framework_id: uuid.UUID, company: BuyerCompany, limit: Money | None) -> dict[str, Any]:
    """What is agreed, as it is digested."""
    return {
        "schema": SCHEMA,
        "framework": str(framework_id),
        "company": company.code,
        "channels": list(CHANNELS),
        "limit": None if limit is None else {"amount": limit.decimal, "currency": limit.currency},
        "personal": {},
    }


async def _authority(
    session: AsyncSession, company: BuyerCompany, person_id: uuid.UUID
) -> tuple[Authority, Money | None]:
    membership = await find_membership(session, company.id, person_id)
    if membership is None or not membership.signatory:
        raise SignatoryRequired(
            f"You are not on {company.name}'s list of signatories. Ask one of them, or ask an administrator of your "
            "company to add you.",
            reason="not_signatory",
        )
    return membership.authority or Authority.SELF_DECLARED, membership.signing_limit


def _end(found: FrameworkAgreement, reason: EndReason, note: str, by: uuid.UUID | None, now: datetime) -> None:
    found.ended_at, found.end_reason, found.end_note, found.ended_by = now, reason, note, by
