"""Approval before ordering: a buyer asks, the checkout is frozen, and somebody who may bind the company places it.

Asking binds nobody. The approver's act is the order's: repriced when they open it, accepted on a presentation of their
own, in the one commit that makes the order. Nobody approves their own, nor above their limit.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from accounts import store as accounts_store
from accounts.model import Person
from accounts.policies import APPROVING, ApprovalReason, Policy, approvers, may_bind
from accounts.principal import BuyerCompany, Principal
from accounts.store import MemberRow
from agreements.model import Presentation
from agreements.service import PresentationStale, UnusableComment
from agreements.wording_signing import approve_label
from checkout import approval_store, canonical, freezing, store
from checkout.approval_mails import approval_mail
from checkout.approval_model import ApprovalRequest, ApprovalState
from checkout.charging import check_chargeable
from checkout.checkouts import BEGIN, PAY_WITHIN, Checkouts, buyer_of, whole
from checkout.model import Cart, Checkout, Order
from checkout.needs import SignaturesNeeded, needs_of
from checkout.states import Event, advance
from checkout.stripe_tax import calculating
from checkout.totals import Totals
from checkout.views import CheckoutView, PricedCart
from kernel import events
from kernel.db import for_company, for_staff
from kernel.errors import Conflict, NotFound, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.mail import queue_mail
from kernel.money import Money

log = structlog.get_logger(__name__)

NOTE_MOST: Final = 500
LISTED_MOST: Final = 100
SWEPT_AT_ONCE: Final = 100

SEND: Final = Failpoint("checkout.approval.send")
OPENED: Final = Failpoint("checkout.approval.open")
APPROVE: Final = Failpoint("checkout.approval.place")
CLOSE: Final = Failpoint("checkout.approval.close")


class ApprovalUnknown(NotFound):
    problem = "approval-unknown"
    title = "There is no such request for approval"


class ApprovalClosed(Conflict):
    """`extra["state"]` says how it ended."""

    problem = "approval-closed"
    title = "This request for approval does not wait any more"


class ApprovalNotNeeded(Conflict):
    problem = "approval-not-needed"
    title = "You may place this order yourself"


class ApproverMissing(Refused):
    problem = "approver-missing"
    title = "Nobody of your company may approve this order"


class OwnApproval(Refused):
    problem = "own-approval"
    title = "Nobody approves what they asked for themselves"


class NotApprover(Refused):
    problem = "not-approver"
    title = "You are no approver of your company"


class LineChange(msgspec.Struct, frozen=True, kw_only=True):
    """A line, or a sum (`goods`, `freight`, `tax`), whose amount is another than the buyer asked about.

    Decimal strings; None where it isn't there.
    """

    name: str
    before: str | None
    after: str | None


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer may send for approval, as of now, and to whom. *approvers* may be empty: then nobody can."""

    checkout: CheckoutView
    cart: PricedCart
    totals: Totals
    reason: ApprovalReason
    approvers: tuple[MemberRow, ...]
    wait_days: int


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a list shows it. *mine*: the reader asked; *for_me*: it waits for the reader."""

    request: ApprovalRequest
    asker: str
    closer: str | None
    mine: bool
    for_me: bool


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A request before its approver: as of now, with what changed since it was asked for."""

    request: ApprovalRequest
    asker: str
    checkout: CheckoutView
    cart: PricedCart
    totals: Totals
    presentation: Presentation
    changes: tuple[LineChange, ...]
    previous_total: Money | None
    pay_by: datetime | None
    """None: by invoice, *net_days* after it."""
    net_days: int | None


class Trail(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked for an order and who approved it."""

    request: ApprovalRequest
    asker: str
    approver: str


class Approvals:
    """*checkouts* prices and makes the order: an approved one is like any other."""

    def __init__(self, checkouts: Checkouts) -> None:
        self.checkouts = checkouts
        self.db = checkouts.db
        self.clock = checkouts.clock
        self.agreements = checkouts.agreements
        self.base_url = checkouts.base_url
        self.stripe_tax = checkouts.stripe_tax

    # the buyer

    @calculating
    async def look(self, principal: Principal, *, locale: str) -> Proposal:
        """What the buyer would send: priced as of now. Changes nothing but that the checkout is there.

        :raises ApprovalNotNeeded: when this person may order alone
        :raises EventRefused: when it waits already
        :raises checkout.checkouts.CartEmpty: and the others of `Checkouts.review`
        """
        company = buyer_of(principal)
        async with self.db.begin(principal.db_scope(), BEGIN) as session:
            cart, checkout = await self.checkouts.lock(session, principal, locale)
            advance(checkout.state, Event.SEND_FOR_APPROVAL)
            proposal, _, _ = await self._proposal(session, principal, company, cart, checkout)
        return proposal

    @calculating
    async def send(self, principal: Principal, *, note: str, locale: str) -> ApprovalRequest:
        """Row 3: freeze the checkout and write to everybody who may approve it. Sent twice it is one request.

        :raises ApproverMissing: when nobody of the company may
        :raises agreements.service.UnusableComment: when the note is too long or no plain text
        :raises ApprovalNotNeeded: and the others of `look`
        """
        company, words, now = buyer_of(principal), _note(note), self.clock.now()
        async with self.db.begin(principal.db_scope(), SEND) as session:
            cart, checkout = await self.checkouts.lock(session, principal, locale)
            waiting = await approval_store.find_waiting(session, checkout.id)
            if waiting is not None:
                return waiting
            after = advance(checkout.state, Event.SEND_FOR_APPROVAL)
            proposal, terms, policy = await self._proposal(session, principal, company, cart, checkout)
            if not proposal.approvers:
                raise ApproverMissing(
                    f"Nobody else of {company.name} may approve an order of {proposal.totals.total}. Ask an "
                    "administrator of your company to appoint an approver who may sign that much.",
                )
            total = proposal.totals.total
            assert principal.person_id is not None, "a buyer is a person"
            request = ApprovalRequest(
                id=new_id(),
                company_id=company.id,
                checkout_id=checkout.id,
                requested_by=principal.person_id,
                reason=proposal.reason,
                note=words,
                terms=terms,
                total_minor=total.minor,
                currency=total.currency,
                requested_at=now,
                expires_at=now + policy.wait,
            )
            session.add(request)
            checkout.state, checkout.version, checkout.updated_at = after, checkout.version + 1, now
            checkout.person_id, checkout.visitor_id = principal.person_id, principal.visitor_id
            checkout.shown, checkout.shown_total_minor, checkout.currency = terms, total.minor, total.currency
            await session.flush()
            events.record(
                session, "approval_requested", journey=principal.visitor_id, at=now, reason=proposal.reason.value
            )
            for approver in proposal.approvers:
                letter = approval_mail(
                    "approval_asked",
                    request,
                    to=approver.person,
                    asker=principal.name or "",
                    company=company.name,
                    base_url=self.base_url,
                )
                await queue_mail(session, letter, now=now)
        return request

    async def withdraw(self, principal: Principal, request_id: uuid.UUID) -> None:
        """Row 4: the buyer takes it back, to change it. Taken back already, nothing changes.

        :raises ApprovalUnknown: when it is not this person's
        :raises ApprovalClosed: when it was approved, rejected or expired before
        """
        async with self.db.begin(principal.db_scope(), CLOSE) as session:
            _, checkout, request = await self._lock(session, principal, request_id)
            if request.requested_by != principal.person_id:
                raise ApprovalUnknown("There is no such request of yours.")
            if request.state is ApprovalState.WITHDRAWN:
                return
            _refuse_closed(request)
            await freezing.edit(session, checkout, by=principal.person_id, now=self.clock.now(), base_url=self.base_url)

    # the approver

    async def list_requests(self, principal: Principal) -> tuple[Listed, ...]:
        """What the reader asked for, and for approvers what the company's buyers did; what waits stands first."""
        company = buyer_of(principal)
        async with self.db.reading(principal.db_scope()) as session:
            members = await accounts_store.list_members(session, company.id)
            requests = await approval_store.list_requests(session, company.id, limit=LISTED_MOST)
            people = await _people(session, requests)
        now, reader = self.clock.now(), next((each for each in members if each.person.id == principal.person_id), None)
        return tuple(
            Listed(
                request=request,
                asker=_name(people, request.requested_by),
                closer=None if request.closed_by is None else _name(people, request.closed_by),
                mine=request.requested_by == principal.person_id,
                for_me=_waits_for(request, reader, now),
            )
            for request in requests
            if request.requested_by == principal.person_id
            or (reader is not None and reader.membership.role in APPROVING)
        )

    async def count_waiting(self, principal: Principal) -> int:
        """How many requests wait: for approvers the company's, for others their own."""
        if principal.company_id is None:
            return 0
        asker = None if principal.role in APPROVING else principal.person_id
        async with self.db.reading(principal.db_scope()) as session:
            return await approval_store.count_waiting(session, principal.company_id, asker)

    async def find(self, principal: Principal, request_id: uuid.UUID) -> Listed:
        """One of the list.

        :raises ApprovalUnknown: when it is another company's, or neither asked nor to be answered by this person
        """
        company = buyer_of(principal)
        async with self.db.reading(principal.db_scope()) as session:
            request = await approval_store.find_request(session, request_id)
            if request is None or request.company_id != company.id:
                raise ApprovalUnknown("There is no such request.")
            members = await accounts_store.list_members(session, company.id)
            people = await _people(session, [request])
        reader = next((each for each in members if each.person.id == principal.person_id), None)
        mine = request.requested_by == principal.person_id
        if not mine and (reader is None or reader.membership.role not in APPROVING):
            raise ApprovalUnknown("There is no such request.")
        return Listed(
            request=request,
            asker=_name(people, request.requested_by),
            closer=None if request.closed_by is None else _name(people, request.closed_by),
            mine=mine,
            for_me=_waits_for(request, reader, self.clock.now()),
        )

    @calculating
    async def open(
        self, principal: Principal, request_id: uuid.UUID, *, locale: str, template_digest: str, stylesheet_digest: str
    ) -> Opened:
        """Row 5: price the request as of now, and issue what the approver is asked to accept.

        :raises ApprovalClosed: when it waits no more, or its time has passed
        :raises OwnApproval: for who asked
        :raises NotApprover: for whoever is none
        :raises agreements.service.SignatoryRequired: when the total is above the approver's limit
        :raises checkout.checkouts.CartNotOrderable: and the others of `Checkouts.review` that prices raise
        """
        company, now = buyer_of(principal), self.clock.now()
        async with self.db.begin(principal.db_scope(), OPENED) as session:
            cart, checkout, request = await self._lock(session, principal, request_id)
            await self._refuse_approver(session, principal, company, request, now)
            checkout.state = advance(checkout.state, Event.APPROVER_OPENS)
            priced, terms, personal = await self.checkouts.order_now(session, company, cart, checkout, now)
            totals, _ = whole(priced)
            check_chargeable(totals.total)
            if canonical.same_offer(checkout.shown, terms) and checkout.shown is not None:
                terms = checkout.shown
            presentation = await self.checkouts.present(
                session,
                principal,
                cart,
                checkout,
                priced,
                terms=terms,
                personal=personal,
                locale=locale,
                template_digest=template_digest,
                stylesheet_digest=stylesheet_digest,
                button_label=approve_label(locale),
            )
            checkout.shown, checkout.shown_total_minor = terms, totals.total.minor
            checkout.updated_at = now
            people = await _people(session, [request])
            events.record(session, "approval_shown", journey=checkout.visitor_id, at=now, locale=locale)
        return Opened(
            request=request,
            asker=_name(people, request.requested_by),
            checkout=CheckoutView.of(checkout),
            cart=priced,
            totals=totals,
            presentation=presentation,
            changes=changes(request.terms, terms),
            previous_total=request.total if request.total != totals.total else None,
            pay_by=now + PAY_WITHIN if canonical.net_days(terms) is None else None,
            net_days=canonical.net_days(terms),
        )

    async def approve(
        self,
        principal: Principal,
        request_id: uuid.UUID,
        *,
        presentation_id: uuid.UUID,
        ticked: Collection[str],
        job_title: str,
        ip: str,
        user_agent: str,
    ) -> Order:
        """Row 8: the binding act. Acceptance, order, reservation and the request's end in one commit, or nothing.

        :raises ApprovalClosed: and the others of `open`
        :raises checkout.checkouts.PriceChanged: and the others of `Checkouts.place`
        """
        company, now = buyer_of(principal), self.clock.now()
        async with self.db.begin(principal.db_scope(), APPROVE) as session:
            cart, checkout, request = await self._lock(session, principal, request_id)
            if request.state is ApprovalState.APPROVED and request.closed_by == principal.person_id:
                made = await store.find_order_of_checkout(session, checkout.id)
                assert made is not None, "an approved request has its order"
                return made
            await self._refuse_approver(session, principal, company, request, now)
            to_accept = await self.agreements.lock_to_accept(session, principal, presentation_id)
            if to_accept.shown is not None and to_accept.shown.issued_at < request.requested_at:
                raise PresentationStale(
                    "Nothing was ordered: the order was sent to you anew. Look at it and approve it again.",
                    changed=["order"],
                )

            accept = self.checkouts.acceptance(
                session,
                principal,
                checkout,
                to_accept,
                ticked=ticked,
                job_title=job_title,
                ip=ip,
                user_agent=user_agent,
            )
            order = await self.checkouts.make_order(
                session, cart, checkout, company=company, shown=checkout.shown, basis=accept, by=principal.person_id
            )
            freezing.close(request, ApprovalState.APPROVED, by=principal.person_id, now=now)
            request.order_id = order.id
            people = await _people(session, [request])
            letter = approval_mail(
                "approval_given",
                request,
                to=people[request.closed_by],
                asker=_name(people, request.requested_by),
                company=company.name,
                base_url=self.base_url,
                order_number=order.number,
            )
            await queue_mail(session, letter, now=now)
        return order

    async def reject(self, principal: Principal, request_id: uuid.UUID, *, note: str) -> None:
        """Row 4: give it back to the buyer, with a reason. Rejected by the same person already, nothing changes.

        :raises agreements.service.UnusableComment: without a reason, or when it is too long
        :raises ApprovalClosed: and the others of `open`
        """
        company, words, now = buyer_of(principal), _note(note), self.clock.now()
        if not words:
            raise UnusableComment("Say why, so that the buyer can mend it.")
        async with self.db.begin(principal.db_scope(), CLOSE) as session:
            _, checkout, request = await self._lock(session, principal, request_id)
            if request.state is ApprovalState.REJECTED and request.closed_by == principal.person_id:
                return
            await self._refuse_approver(session, principal, company, request, now)
            checkout.state = advance(checkout.state, Event.REJECT)
            checkout.version += 1
            checkout.updated_at = now
            freezing.close(request, ApprovalState.REJECTED, by=principal.person_id, now=now, note=words)
            await self._tell_asker(session, "approval_rejected", request, company.name, closer=principal.name or "")
            events.record(session, "approval_rejected", journey=checkout.visitor_id, at=now)

    # the house

    async def sweep(self) -> None:
        """Row 4: end what waited too long, each in its own commit, by our clock."""
        async with self.db.reading(for_staff()) as session:
            overdue = await approval_store.list_expired(session, self.clock.now(), limit=SWEPT_AT_ONCE)
        for request_id, company_id in overdue:
            await self._expire(request_id, company_id)

    async def of_order(self, principal: Principal, order_id: uuid.UUID) -> Trail | None:
        """Who asked for an order and who approved it; None where the buyer placed it alone."""
        async with self.db.reading(principal.db_scope()) as session:
            request = await approval_store.find_request_of_order(session, order_id)
            if request is None or request.closed_by is None:
                return None
            people = await _people(session, [request])
        return Trail(
            request=request, asker=_name(people, request.requested_by), approver=_name(people, request.closed_by)
        )

    # below

    async def _proposal(
        self, session: AsyncSession, principal: Principal, company: BuyerCompany, cart: Cart, checkout: Checkout
    ) -> tuple[Proposal, dict[str, Any], Policy]:
        now = self.clock.now()
        checkout.email = checkout.email or principal.email
        _, priced, terms, _ = await self.checkouts.offer_now(session, company, cart, checkout, now)
        totals, _ = whole(priced)
        assert principal.person_id is not None, "a buyer is a person"
        documents = self.checkouts.asked_for(session, company, cart, priced)
        needs = await needs_of(session, company, principal.person_id, totals.total, documents)
        if needs.several:
            raise SignaturesNeeded("More than one person signs this order. Send it to them; that binds nobody.")
        policy = needs.policy
        members = await accounts_store.list_members(session, company.id)
        own = next((each for each in members if each.person.id == principal.person_id), None)
        reason = needs.approval
        if reason is None and own is not None and not may_bind(own.membership, totals.total):
            signs = own.membership.signatory
            reason = ApprovalReason.ABOVE_LIMIT if signs else ApprovalReason.NOT_SIGNATORY
        if reason is None:
            raise ApprovalNotNeeded("You may place this order yourself; nobody has to approve it.")
        if canonical.same_offer(checkout.shown, terms) and checkout.shown is not None:
            terms = checkout.shown
        proposal = Proposal(
            checkout=CheckoutView.of(checkout),
            cart=priced,
            totals=totals,
            reason=reason,
            approvers=tuple(approvers(members, totals.total, requester=principal.person_id)),
            wait_days=policy.wait_days,
        )
        return proposal, terms, policy

    async def _lock(
        self, session: AsyncSession, principal: Principal, request_id: uuid.UUID
    ) -> tuple[Cart, Checkout, ApprovalRequest]:
        """Lock cart, checkout, request: always in this order."""
        found = await approval_store.find_request(session, request_id)
        if found is None or found.company_id != principal.company_id:
            raise ApprovalUnknown("There is no such request.")
        return await _locked(session, found)

    async def _refuse_approver(
        self,
        session: AsyncSession,
        principal: Principal,
        company: BuyerCompany,
        request: ApprovalRequest,
        now: datetime,
    ) -> None:
        assert principal.person_id is not None, "a buyer is a person"
        if request.requested_by == principal.person_id:
            raise OwnApproval("You asked for this order yourself; somebody else of your company has to approve it.")
        membership = await accounts_store.find_membership(session, company.id, principal.person_id)
        if membership is None or membership.role not in APPROVING or not membership.signatory:
            raise NotApprover(
                f"Ask an administrator of {company.name} to make you an approver who may sign for the company."
            )
        _refuse_closed(request)
        if request.expires_at <= now:
            raise ApprovalClosed("This request has expired; the buyer can send it again.", state="expired")

    async def _expire(self, request_id: uuid.UUID, company_id: uuid.UUID) -> None:
        now = self.clock.now()
        async with self.db.begin(for_company(company_id), CLOSE) as session:
            found = await approval_store.find_request(session, request_id)
            if found is None:
                return
            _, checkout, request = await _locked(session, found)
            if request.state is not ApprovalState.WAITING or request.expires_at > now:
                return
            checkout.state = advance(checkout.state, Event.EXPIRE)
            checkout.version += 1
            checkout.updated_at = now
            freezing.close(request, ApprovalState.EXPIRED, by=None, now=now)
            company = await accounts_store.find_company(session, company_id)
            await self._tell_asker(session, "approval_expired", request, "" if company is None else company.name)
            events.record(session, "approval_expired", journey=checkout.visitor_id, at=now)

    async def _tell_asker(
        self, session: AsyncSession, kind: str, request: ApprovalRequest, company: str, *, closer: str = ""
    ) -> None:
        asker = await accounts_store.find_person(session, request.requested_by)
        if asker is None:
            return  # no member any more: nobody reads it
        letter = approval_mail(
            kind, request, to=asker, asker=asker.name, company=company, base_url=self.base_url, closer=closer
        )
        await queue_mail(session, letter, now=self.clock.now())


def changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[LineChange, ...]:
    """What of an order's amounts is another in *after*: its lines by SKU and unit, then its sums."""

    def amounts(terms: dict[str, Any]) -> dict[str, str]:
        lines = {f"{line['quantity']} {line['unit']} {line['sku']}": str(line["net"]) for line in terms["lines"]}
        return lines | {name: str(terms[name]) for name in ("goods", "freight", "tax")}

    one, other = amounts(before), amounts(after)
    return tuple(
        LineChange(name=name, before=one.get(name), after=other.get(name))
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    )


async def _locked(session: AsyncSession, found: ApprovalRequest) -> tuple[Cart, Checkout, ApprovalRequest]:
    named = await store.find_checkout_by_id(session, found.checkout_id)
    cart = await store.lock_cart(session, named.cart_id)
    checkout = await store.lock_checkout(session, found.checkout_id)
    assert checkout is not None, "a request has its checkout"
    return cart, checkout, await approval_store.lock_request(session, found.id)


def _waits_for(request: ApprovalRequest, reader: MemberRow | None, now: datetime) -> bool:
    return (
        request.state is ApprovalState.WAITING
        and request.expires_at > now
        and reader is not None
        and bool(approvers([reader], request.total, requester=request.requested_by))
    )


async def _people(session: AsyncSession, requests: Sequence[ApprovalRequest]) -> dict[uuid.UUID | None, Person]:
    ids = {person for each in requests for person in (each.requested_by, each.closed_by) if person is not None}
    return {person.id: person for person in await accounts_store.list_people(session, ids)}


def _name(people: dict[uuid.UUID | None, Person], person_id: uuid.UUID) -> str:
    """Who it was; somebody who left the company is not seen any more."""
    person = people.get(person_id)
    return "" if person is None else person.name


def _refuse_closed(request: ApprovalRequest) -> None:
    if request.state is not ApprovalState.WAITING:
        raise ApprovalClosed(
            f"This request was {request.state.value} already; look at it again.", state=request.state.value
        )


def _note(text: str) -> str:
    note = text.strip().replace("\r\n", "\n")
    if len(note) > NOTE_MOST or not note.replace("\n", "").replace("\t", "").isprintable():
        raise UnusableComment(f"Write up to {NOTE_MOST} characters of plain text.")
    return note
