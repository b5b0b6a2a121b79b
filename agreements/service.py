"""Use cases of agreements. Every function runs in its caller's transaction: no evidence, no order.

Checkout reviews with `present` and places the order with `accept`, in the transaction that makes the order. The two are
given the same order; whatever differs between them is refused as stale.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.model import Authority
from accounts.principal import BuyerCompany, Principal
from accounts.store import find_membership, find_merchant
from agreements import annexes, evidence_rows, ledger, legal_store, order_receipts, store, wording
from agreements.accepting import Power, Shown, ToAccept, find_to_accept
from agreements.asking import Asked, Quoted, changes_since, choose, choose_of, last_agreed, still_stands
from agreements.commitments import ORDER_FIELD, canonical_order, commit_all, new_salts
from agreements.documents import render, text_sha256
from agreements.in_force import Version
from agreements.model import (
    JOB_TITLE_MAXIMUM,
    Acceptance,
    Consent,
    Decline,
    DeclineReason,
    Document,
    DocumentKind,
    DocumentVersion,
    LegalReview,
    Presentation,
    PresentedDocument,
    Statement,
    Verb,
)
from agreements.pdfs import keep_pdf
from kernel.canonical import canonical_json, digest
from kernel.clock import Clock
from kernel.errors import Conflict, NotFound, Refused, Unavailable
from kernel.ids import new_id, new_token, token_digest
from kernel.jobs import to_defer
from kernel.money import Money
from kernel.signing import Keyring, Purpose, Signature

PRESENTATION_TYPE: Final = "tarifa.presentation.v1"
ACCEPTANCE_TYPE: Final = "tarifa.acceptance.v1"
UNNUMBERED: Final = -1
PRESENTATION_LIFE: Final = timedelta(minutes=60)
REVIEW_LIFE: Final = timedelta(days=14)
COMMENT_MAXIMUM: Final = 2000
SEND_RECEIPT: Final = "send_receipt"
ACTOR_FIELDS: Final = ("actor_id", "actor_name", "actor_email")


class DocumentsMissing(Unavailable):
    problem = "agreement-documents-missing"
    title = "There are no agreement documents to accept"


class DocumentNotFound(NotFound):
    problem = "document-not-found"
    title = "There is no such document"


class LabelTaken(Conflict):
    problem = "document-label-taken"
    title = "This version label stands for another text"


class ActorMissing(Refused):
    problem = "agreement-needs-account"
    title = "Agreements are accepted by a person for a company"


class SignatoryRequired(Refused):
    problem = "signatory-required"
    title = "You may not sign this order for your company"


class PresentationNotFound(NotFound):
    problem = "presentation-not-found"
    title = "There is no such agreement to accept"


class PresentationForeign(Conflict):
    problem = "presentation-foreign"
    title = "This agreement was shown to another person or for another cart"


class PresentationStale(Conflict):
    problem = "presentation-stale"
    title = "What you were shown has changed"


class PresentationConsumed(Conflict):
    """Accepted already; `order_id` is the order it made."""

    problem = "presentation-consumed"
    title = "This order has been placed already"

    def __init__(self, order_id: uuid.UUID) -> None:
        self.order_id = order_id
        super().__init__("This order has been placed already; nothing was ordered twice.", order_id=str(order_id))


class BoxNotTicked(Refused):
    """`extra["boxes"]` names the boxes, as the form does."""

    problem = "box-not-ticked"
    title = "A box is not ticked"


class JobTitleMissing(Refused):
    problem = "job-title-missing"
    title = "Your job title is missing"


class ReceiptNotFound(NotFound):
    problem = "receipt-not-found"
    title = "There is no such receipt"


class ReviewNotFound(NotFound):
    problem = "review-not-found"
    title = "This review link is unknown or has expired"


class UnusableComment(Refused):
    problem = "comment-unusable"
    title = "This comment cannot be kept"


class Agreements:
    """*origin* names the ledger in its checkpoints, like `shop.example/agreements`: no spaces."""

    def __init__(self, clock: Clock, keyring: Keyring, *, origin: str = "tarifa.example/agreements") -> None:
        self.clock = clock
        self.keyring = keyring
        self.origin = origin

    # documents

    async def define_document(
        self,
        session: AsyncSession,
        *,
        code: str,
        kind: DocumentKind,
        position: int,
        prevailing_locale: str | None = None,
    ) -> Document:
        """Name a document, or place an existing one. Its kind never changes; rules say which orders it is asked for.

        :raises LabelTaken: when *code* names a document of another kind
        """
        found = await store.lock_document(session, code)
        if found is None:
            found = Document(id=new_id(), code=code, kind=kind, position=position, prevailing_locale=prevailing_locale)
            session.add(found)
        elif found.kind is not kind:
            raise LabelTaken(f"{code} is a document to {found.kind.value}; choose another code.")
        else:
            found.position, found.prevailing_locale = position, prevailing_locale
        await session.flush()
        return found

    async def publish_version(
        self,
        session: AsyncSession,
        *,
        code: str,
        label: str,
        locale: str,
        title: str,
        source: str,
        material: bool,
        effective_at: datetime | None = None,
        published_by: uuid.UUID | None = None,
        approved_by: uuid.UUID | None = None,
        onerous_clauses: Collection[str] = (),
        change_note: str = "",
    ) -> DocumentVersion:
        """Publish a text under a label, in force from *effective_at* or at once, with its PDF. The same text again
        changes nothing.

        :raises DocumentNotFound: when no document has this code
        :raises LabelTaken: when the label stands for other bytes in this language
        :raises UnusableSource: when the text cannot be rendered as a document
        """
        document = await store.lock_document(session, code)
        if document is None:
            raise DocumentNotFound(f"There is no document {code!r}; define it first.")
        html = render(source)
        found = await store.find_version(session, code, label, locale)
        if found is None:
            now = self.clock.now()
            session.add(
                DocumentVersion(
                    id=new_id(),
                    document_id=document.id,
                    label=label,
                    locale=locale,
                    title=title,
                    source_markdown=source,
                    rendered_html=html,
                    source_sha256=text_sha256(source),
                    html_sha256=text_sha256(html),
                    material=material,
                    published_at=now,
                    published_by=published_by,
                    effective_at=effective_at or now,
                    onerous_clauses=list(onerous_clauses),
                    change_note=change_note,
                    approved_by=approved_by,
                )
            )
            await session.flush()
            made = await self.version(session, code, label, locale)
            await keep_pdf(session, made, now=now)
            return made
        if (found.source_sha256, found.title) != (text_sha256(source), title):
            raise LabelTaken(f"{code} v{label} ({locale}) is published with another text; use a new label.")
        return found

    async def withdraw_version(self, session: AsyncSession, *, code: str, label: str, locale: str) -> DocumentVersion:
        """Take a version out of force; its text and label stay what they were.

        :raises DocumentNotFound: when there is no such version
        """
        await store.lock_document(session, code)
        found = await self.version(session, code, label, locale)
        if found.withdrawn_at is None:
            found.withdrawn_at = self.clock.now()
            await session.flush()
        return found

    async def version(self, session: AsyncSession, code: str, label: str, locale: str) -> DocumentVersion:
        """One version, withdrawn ones included: what was accepted can always be read.

        :raises DocumentNotFound: when there is none
        """
        found = await store.find_version(session, code, label, locale)
        if found is None:
            raise DocumentNotFound("There is no such version of this document.")
        return found

    async def required(
        self,
        session: AsyncSession,
        country: str,
        locale: str,
        *,
        company: str | None = None,
        categories: Collection[str] = (),
        total: Money | None = None,
    ) -> tuple[Version, ...]:
        """What a checkout asks a buyer of *country* for: one version in force of each document, in order.

        Each document's newest label in force; in *locale*, else in English, else in the language there is. What is not
        said of company, goods and total is not known: rules about it ask for nothing.
        """
        asked = Asked(country=country, company=company, categories=tuple(sorted(categories)))
        chosen = await choose(session, asked, locale, total=total, now=self.clock.now())
        return chosen.versions

    # the act

    async def present(
        self,
        session: AsyncSession,
        principal: Principal,
        *,
        checkout_id: uuid.UUID,
        terms: Mapping[str, Any],
        personal: Mapping[str, str],
        total: Money,
        locale: str,
        template_digest: str,
        stylesheet_digest: str,
        pay_within: timedelta,
        net_days: int | None = None,
        button_label: str | None = None,
        channel: str = "web",
        categories: Collection[str] = (),
        quoted: Quoted | None = None,
    ) -> Presentation:
        """Issue what the review page shows: signed, for one person and one checkout, good for an hour and one use.

        *terms* is the canonical order without personal data (lines, prices, taxes, freight, total, price-book root;
        JSON values with decimal strings), *personal* its personal fields by flat name (`ship_to.name`). The whole
        canonical order, with the personal fields as commitments, is in `order_content`, its digest in `order_digest`.
        *categories*: of the goods, for the rules that choose the documents; *quoted*: what a signed quote keeps.

        :raises SignatoryRequired: when this person may not bind the company at *total*
        :raises DocumentsMissing: when nothing is published to agree to
        :raises ActorMissing: for a visitor, staff or an API key
        """
        actor = _actor(principal)
        power = Power.of(await find_membership(session, actor.company.id, actor.person_id))
        authority = _authority(power, actor, total)
        asked = Asked(
            country=actor.company.country,
            company=actor.company.code,
            categories=tuple(sorted(categories)),
            quoted=quoted,
        )
        chosen = await choose(session, asked, locale, total=total, now=self.clock.now())
        versions = chosen.versions
        if not any(version.document.kind is DocumentKind.AGREE for version in versions):
            raise DocumentsMissing("No document to agree to is in force; legal staff must publish one first.")
        merchant = await find_merchant(session)
        button = button_label or wording.button_label(locale)
        salts = new_salts([*ACTOR_FIELDS, "job_title", "annex", *(ORDER_FIELD + field for field in personal)])
        order_content, order_digest = canonical_order(terms, personal, salts)
        now = self.clock.now()
        presentation_id = new_id()
        statements = wording.statements(
            locale,
            versions,
            button=button,
            company=actor.company.name,
            seller=merchant.legal_name,
            self_declared=authority is Authority.SELF_DECLARED,
            profile=await legal_store.find_profile(session, actor.company.country),
        )
        pdfs = await legal_store.list_pdf_digests(session, [version.id for version in versions])
        signed = canonical_json(
            {
                "type": PRESENTATION_TYPE,
                "presentation_id": presentation_id,
                "checkout_id": checkout_id,
                "channel": channel,
                "locale": locale,
                "issued_at": timestamp(now),
                "expires_at": timestamp(now + PRESENTATION_LIFE),
                "seller_name": merchant.legal_name,
                "company_id": actor.company.id,
                "company_name": actor.company.name,
                "authority": authority,
                "actor": commit_all(actor.personal, salts),
                "button_label": button,
                "template_digest": template_digest,
                "stylesheet_digest": stylesheet_digest,
                "order_digest": order_digest,
                "total": {"amount": total.decimal, "currency": total.currency},
                "documents": [presented(version, pdfs.get(version.id)) for version in versions],
                "asked": asked,
                "rules": chosen.rules,
                "changes": changes_since(await last_agreed(session, actor.company.id), chosen),
                "statements": statements,
                "notices": wording.notices(locale, versions, pay_within=pay_within, net_days=net_days),
            }
        )
        content: dict[str, Any] = msgspec.json.decode(signed)
        signature = self.keyring.sign(Purpose.PRESENTATION, signed)
        presentation = Presentation(
            id=presentation_id,
            company_id=actor.company.id,
            checkout_id=checkout_id,
            actor_id=actor.person_id,
            content=content,
            content_digest=digest(content),
            order_content=order_content,
            order_digest=order_digest,
            salts=salts,
            locale=locale,
            issued_at=now,
            expires_at=now + PRESENTATION_LIFE,
            signature=signature.signature,
            key_id=signature.key_id,
        )
        session.add(presentation)
        await session.flush()
        return presentation

    async def lock_to_accept(self, session: AsyncSession, principal: Principal, presentation_id: uuid.UUID) -> ToAccept:
        """Lock a presentation until the transaction ends, for `accept`; what it finds may be nothing."""
        return await find_to_accept(session, principal, presentation_id, at=self.clock.now())

    async def accept(
        self,
        session: AsyncSession,
        principal: Principal,
        to_accept: ToAccept,
        *,
        checkout_id: uuid.UUID,
        terms: Mapping[str, Any],
        personal: Mapping[str, str],
        ticked: Collection[str],
        job_title: str,
        order_id: uuid.UUID,
        ip: str,
        user_agent: str,
    ) -> Acceptance:
        """Record the act, in the transaction that locked *to_accept* and makes the order *order_id*. Locks the ledger.

        *terms* and *personal* are the order as it is now, to be equal to what was presented. The result's
        `order_content` and `order_digest` are what the order itself keeps.

        :raises PresentationNotFound: when there is none, or it is another company's
        :raises PresentationForeign: when it was issued to another person or for another checkout
        :raises PresentationConsumed: when it, or another of this checkout, has made an order; it names that order
        :raises PresentationStale: when it expired, or order, documents, parties changed; `changed` says which
        :raises SignatoryRequired: when this person may no longer bind the company at this total
        :raises BoxNotTicked: naming every required box that is not ticked
        :raises JobTitleMissing: when it is blank or too long
        """
        actor = _actor(principal)
        presentation, now = to_accept.shown, to_accept.at
        if presentation is None or presentation.company_id != actor.company.id:
            raise PresentationNotFound("There is no such agreement to accept; open the review page again.")
        if (presentation.actor_id, presentation.checkout_id) != (actor.person_id, checkout_id):
            raise PresentationForeign("Open the review page of this cart yourself, then accept what it shows.")
        if to_accept.order_id is not None:
            raise PresentationConsumed(to_accept.order_id)
        self._refuse_what_changed(presentation, actor, terms, personal, now)
        _authority(presentation.power, actor, presentation.total)
        boxes = [statement for statement in presentation.statements if statement.box]
        _refuse_open_boxes(boxes, ticked, job_title)
        return await self._record(
            session,
            presentation,
            actor,
            boxes=[statement for statement in boxes if statement.id in ticked],
            personal=personal,
            job_title=job_title.strip(),
            order_id=order_id,
            ip=ip,
            user_agent=user_agent,
            now=now,
        )

    async def decline(
        self,
        session: AsyncSession,
        principal: Principal,
        *,
        presentation_id: uuid.UUID,
        reason: DeclineReason,
        comment: str = "",
    ) -> Decline:
        """Record that this person said no, and why; the cart stays as it is.

        :raises PresentationNotFound: when it is not this person's
        :raises PresentationConsumed: when the order is placed already
        :raises UnusableComment: when the comment is too long or holds control characters
        """
        presentation = await self._own_open_presentation(session, principal, presentation_id)
        declined = Decline(
            id=new_id(),
            company_id=presentation.company_id,
            presentation_id=presentation.id,
            actor_id=presentation.actor_id,
            reason=reason,
            comment=_comment(comment),
            declined_at=self.clock.now(),
        )
        session.add(declined)
        await session.flush()
        return declined

    async def send_to_legal(
        self, session: AsyncSession, principal: Principal, *, presentation_id: uuid.UUID
    ) -> tuple[LegalReview, str]:
        """A read-only link for the buyer's lawyers: the row, and the token, which is shown once and never stored.

        :raises PresentationNotFound: when it is not this person's
        :raises PresentationConsumed: when the order is placed already
        """
        presentation = await self._own_open_presentation(session, principal, presentation_id)
        token, now = new_token(), self.clock.now()
        review = LegalReview(
            id=new_id(),
            company_id=presentation.company_id,
            presentation_id=presentation.id,
            created_by=presentation.actor_id,
            token_sha256=token_digest(token),
            created_at=now,
            expires_at=now + REVIEW_LIFE,
        )
        session.add(review)
        await session.flush()
        return review, token

    async def open_review(self, session: AsyncSession, token: str) -> Presentation:
        """What a review link shows: statements, documents and the order without personal values. Binds nobody.

        The reader has no account, so the transaction is `for_staff()`; the token is what lets them in.

        :raises ReviewNotFound: when the token is unknown or has expired
        """
        review, now = await store.find_review(session, token_digest(token)), self.clock.now()
        if review is None or review.expires_at <= now:
            raise ReviewNotFound("This link is unknown or has expired; ask the buyer to send a new one.")
        presentation = await store.find_presentation(session, review.presentation_id)
        assert presentation is not None
        if review.opened_at is None:
            review.opened_at = now
            await session.flush()
        return presentation

    async def withdraw_consent(self, session: AsyncSession, principal: Principal, purpose: str) -> int:
        """Withdraw this person's consent to *purpose*; how many were standing."""
        actor = _actor(principal)
        given = await store.list_consents_given(session, actor.person_id, purpose)
        for consent in given:
            consent.withdrawn_at = self.clock.now()
        await session.flush()
        return len(given)

    # the evidence

    async def receipt(self, session: AsyncSession, order_id: uuid.UUID) -> dict[str, Any]:
        """Everything a stranger needs to verify what is behind an order: one person's acceptance, several signatures,
        or a framework agreement and the order's citation of it. The same bytes each time.

        Serve `kernel.canonical.canonical_json(receipt)`; `agreements.verify.verify_receipt` checks it.

        :raises ReceiptNotFound: when the order has none, or is not visible to this transaction
        """
        found = await order_receipts.of_order(
            session, order_id, keyring=self.keyring, origin=self.origin, now=self.clock.now()
        )
        if found is None:
            raise ReceiptNotFound("There is no receipt for this order.")
        return found

    async def acceptance(self, session: AsyncSession, order_id: uuid.UUID) -> Acceptance | None:
        return await store.find_acceptance(session, order_id)

    async def check_ledger(self, session: AsyncSession) -> ledger.LedgerState:
        """Whether every row follows from those before it; the transaction must be `for_staff()`."""
        return await ledger.check_ledger(session)

    # helpers in call order

    def _refuse_what_changed(
        self,
        presentation: Shown,
        actor: "_Actor",
        terms: Mapping[str, Any],
        personal: Mapping[str, str],
        now: datetime,
    ) -> None:
        content = presentation.content
        signature = Signature(presentation.key_id, presentation.signature)
        _, order_digest = canonical_order(terms, personal, presentation.salts)
        chosen = choose_of(
            presentation.in_force, Asked.read(content), presentation.locale, total=presentation.total, now=now
        )
        changed = [
            what
            for what, differs in (
                ("expired", not presentation.issued_at <= now < presentation.expires_at),
                ("order", order_digest != presentation.order_digest or order_digest != content["order_digest"]),
                ("documents", not still_stands(presentation.documents, chosen)),
                ("company", actor.company.name != content["company_name"]),
                ("person", commit_all(actor.personal, presentation.salts) != content["actor"]),
                ("signature", not self.keyring.verify(Purpose.PRESENTATION, signature, canonical_json(content))),
            )
            if differs
        ]
        if changed:
            raise PresentationStale(
                "Nothing was ordered: look at the order and the agreements as they are now, and accept again.",
                changed=changed,
            )

    async def _record(
        self,
        session: AsyncSession,
        presentation: Shown,
        actor: "_Actor",
        *,
        boxes: Sequence[Statement],
        personal: Mapping[str, str],
        job_title: str,
        order_id: uuid.UUID,
        ip: str,
        user_agent: str,
        now: datetime,
    ) -> Acceptance:
        acceptance_id, salts = new_id(), presentation.salts
        ticked = sorted(statement.id for statement in boxes if statement.verb is not Verb.CONSENT)
        annex = annexes.connection(ip, user_agent)
        opened = {**actor.personal, "job_title": job_title}
        commitments = commit_all({**opened, "annex": annex}, salts)

        leaf: dict[str, Any] = {
            "type": ACCEPTANCE_TYPE,
            "recorded_at": timestamp(now),
            "acceptance_id": str(acceptance_id),
            "presentation_id": str(presentation.id),
            "presentation_digest": presentation.content_digest,
            "checkout_id": str(presentation.checkout_id),
            "company_id": str(presentation.company_id),
            "order_id": str(order_id),
            "order_digest": presentation.order_digest,
            "authority": presentation.content["authority"],
            "documents": presentation.content["documents"],
            "ticked": ticked,
            "commitments": commitments,
        }

        opened |= {ORDER_FIELD + field: value for field, value in personal.items()}
        sealed = annexes.annex(
            self.keyring,
            annexes.opening(annex, salts["annex"]),
            acceptance_id=acceptance_id,
            company_id=presentation.company_id,
            now=now,
        )
        new = evidence_rows.new_leaf(
            kind="acceptance", company_id=presentation.company_id, recorded_at=now, content=leaf
        )
        acceptance = Acceptance(
            id=acceptance_id,
            company_id=presentation.company_id,
            order_id=order_id,
            checkout_id=presentation.checkout_id,
            presentation_id=presentation.id,
            actor_id=actor.person_id,
            ticked=ticked,
            accepted_at=now,
            order_content=presentation.order_content,
            order_digest=presentation.order_digest,
            ledger_seq=UNNUMBERED,
        )
        seq = await evidence_rows.write_acceptance(
            session,
            new,
            acceptance,
            sealed,
            opened=opened,
            salts=salts,
            job=to_defer(SEND_RECEIPT, {"acceptance_id": str(acceptance_id)}, lock=f"receipt:{acceptance_id}"),
        )
        if seq is None:  # another tab's committed while this one waited for the tail
            made = await store.find_order_of_checkout(session, presentation.checkout_id)
            assert made is not None, "an acceptance stays"
            raise PresentationConsumed(made)
        acceptance.ledger_seq = seq
        session.add_all(
            Consent(
                id=new_id(),
                company_id=acceptance.company_id,
                person_id=actor.person_id,
                purpose=statement.id,
                statement=statement.text,
                locale=presentation.locale,
                given_at=now,
            )
            for statement in boxes
            if statement.verb is Verb.CONSENT
        )
        await session.flush()
        return acceptance

    async def _own_open_presentation(
        self, session: AsyncSession, principal: Principal, presentation_id: uuid.UUID
    ) -> Presentation:
        actor = _actor(principal)
        found = await store.lock_presentation(session, presentation_id)
        if found is None or (found.company_id, found.actor_id) != (actor.company.id, actor.person_id):
            raise PresentationNotFound("There is no such agreement; open the review page again.")
        if found.order_id is not None:
            raise PresentationConsumed(found.order_id)
        return found


class _Actor(msgspec.Struct, frozen=True, kw_only=True):
    company: BuyerCompany
    person_id: uuid.UUID
    personal: dict[str, str]
    """What identifies the person, by the names of ACTOR_FIELDS."""


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds: `2026-11-21T12:00:00.000000Z`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _actor(principal: Principal) -> _Actor:
    company, person_id = principal.company, principal.person_id
    if company is None or person_id is None:
        raise ActorMissing("Log in, or make an account for your company, to place an order.")
    identity = (str(person_id), principal.name or "", principal.email or "")
    return _Actor(company=company, person_id=person_id, personal=dict(zip(ACTOR_FIELDS, identity, strict=True)))


def _authority(power: Power, actor: _Actor, total: Money) -> Authority:
    """Where this person's power to bind the company at *total* comes from, as the company's list says now."""
    company = actor.company.name
    if not power.signatory:
        raise SignatoryRequired(
            f"You are not on {company}'s list of signatories. Ask one of them to place this order, or ask an "
            "administrator of your company to add you; your cart stays as it is.",
            reason="not_signatory",
        )
    limit = power.limit
    if limit is not None and (limit.currency != total.currency or total > limit):
        raise SignatoryRequired(
            f"You may sign for {company} up to {limit}, and this order comes to {total}. Ask a signatory with a "
            "higher limit to place it; your cart stays as it is.",
            reason="above_limit",
            limit={"amount": limit.decimal, "currency": limit.currency},
        )
    return power.authority or Authority.SELF_DECLARED


def presented(version: Version, pdf_sha256: str | None) -> PresentedDocument:
    return PresentedDocument(
        code=version.document.code,
        kind=version.document.kind,
        label=version.label,
        locale=version.locale,
        title=version.title,
        source_sha256=version.source_sha256,
        html_sha256=version.html_sha256,
        pdf_sha256=pdf_sha256,
    )


def _refuse_open_boxes(boxes: Sequence[Statement], ticked: Collection[str], job_title: str) -> None:
    missing = [statement.id for statement in boxes if statement.required and statement.id not in ticked]
    if missing:
        raise BoxNotTicked("To place the order, tick the boxes yourself; none is ticked for you.", boxes=missing)
    title = job_title.strip()
    if not title or len(title) > JOB_TITLE_MAXIMUM or not title.isprintable():
        raise JobTitleMissing(f"Say what you are at your company, in one line of up to {JOB_TITLE_MAXIMUM} characters.")


def _comment(text: str) -> str:
    comment = text.strip().replace("\r\n", "\n")
    if len(comment) > COMMENT_MAXIMUM or not comment.replace("\n", "").replace("\t", "").isprintable():
        raise UnusableComment(f"Write up to {COMMENT_MAXIMUM} characters of plain text.")
    return comment
