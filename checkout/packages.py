"""Several signatures before ordering: a buyer sends documents and order under one digest, and the last act orders.

Sending freezes the checkout and binds nobody. Each signature is a commit of its own, until the last, which makes the
order with everything an order is made with. An edit, a refusal and the clock give the cart back as it was.
"""

import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts import store as accounts_store
from accounts.model import LEGAL_ROLES
from accounts.policies import APPROVING, ApprovalReason, approvers, may_bind
from accounts.principal import BuyerCompany, Principal, PrincipalKind, buyer_company
from accounts.store import MemberRow
from agreements import package_states, package_store, packages
from agreements.package_model import ClosingReason, Package, PackageSignature, Party
from agreements.package_states import OPEN, PackageEvent, PackageState, PartyRole
from agreements.packages import Named, NotYourTurn, PackageStale, PackageUnknown, Signer
from agreements.service import SignatoryRequired, UnusableComment
from checkout import canonical, freezing, store
from checkout.checkouts import BEGIN, Checkouts, buyer_of, whole
from checkout.model import Cart, Checkout, Order
from checkout.needs import Needs, needs_of
from checkout.package_endings import approvers_asked, end, involved
from checkout.package_mails import package_mail
from checkout.states import Event, State, advance
from checkout.totals import Totals
from checkout.views import CheckoutView, PricedCart
from kernel import events
from kernel.db import for_company, for_staff
from kernel.errors import Conflict, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.mail import queue_mail
from kernel.money import Money

COMMENT_MOST: Final = 500
LISTED_MOST: Final = 100
SWEPT_AT_ONCE: Final = 100

SEND: Final = Failpoint("checkout.package.send")
SIGN: Final = Failpoint("checkout.package.sign")
COUNTERSIGN: Final = Failpoint("checkout.package.countersign")
CLOSE: Final = Failpoint("checkout.package.close")


class SignaturesNotNeeded(Conflict):
    problem = "signatures-not-needed"
    title = "This order does not need several signatures"


class SignatoriesRefused(Refused):
    """`extra["needed"]` is how many."""

    problem = "signatories-refused"
    title = "Other people have to sign"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer may send for signature, as of now. *signatories*: who may be named; *approver*: whether one of
    *approvers* signs after them, which nobody of those who signed before does.
    """

    checkout: CheckoutView
    cart: PricedCart
    totals: Totals
    needs: Needs
    approver: ApprovalReason | None
    signatories: tuple[MemberRow, ...]
    approvers: tuple[MemberRow, ...]

    @property
    def possible(self) -> bool:
        """Whether the company has people enough."""
        enough = len(self.signatories) >= self.needs.signatures
        return enough and (self.approver is None or bool(self.approvers))


class SignedBy(msgspec.Struct, frozen=True, kw_only=True):
    """A party and its signature; *name* and *title* as typed, empty once erased."""

    party: Party
    signature: PackageSignature | None
    known_as: str
    name: str = ""
    title: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A package as one reader finds it. *mine*: the reader sent it; *turn*: the party as which they may sign now."""

    package: Package
    parties: tuple[SignedBy, ...]
    company_name: str
    mine: bool
    turn: Party | None
    changed: tuple[str, ...]
    """Why nobody can sign it any more: `order`, `documents`, `company`, `expired`."""
    total_now: Money | None
    """What it would come to now, where that differs."""
    order_number: str | None


class Packages:
    """*checkouts* prices and makes the order: one that several signed is like any other."""

    def __init__(self, checkouts: Checkouts) -> None:
        self.checkouts = checkouts
        self.db = checkouts.db
        self.clock = checkouts.clock
        self.keyring = checkouts.agreements.keyring
        self.base_url = checkouts.base_url

    # the buyer

    async def look(self, principal: Principal, *, locale: str) -> Plan:
        """What would be sent, and who may sign it.

        :raises SignaturesNotNeeded: when one person is enough
        :raises EventRefused: when it waits for others already
        :raises checkout.checkouts.CartEmpty: and the others of `Checkouts.review`
        """
        company = buyer_of(principal)
        async with self.db.begin(principal.db_scope(), BEGIN) as session:
            cart, checkout = await self.checkouts.lock(session, principal, locale)
            advance(checkout.state, Event.SEND_FOR_APPROVAL)
            plan, _, _ = await self._plan(session, principal, company, cart, checkout)
        return plan

    async def send(self, principal: Principal, signatories: Sequence[uuid.UUID], *, locale: str) -> Package:
        """Draw the package up, freeze the checkout and write to those who sign. Sent twice it is one package.

        :raises SignatoriesRefused: unless exactly as many are named as the policy asks for, each of whom may sign
        :raises SignaturesNotNeeded: and the others of `look`
        """
        company, now = buyer_of(principal), self.clock.now()
        assert principal.person_id is not None, "a buyer is a person"
        async with self.db.begin(principal.db_scope(), SEND) as session:
            cart, checkout = await self.checkouts.lock(session, principal, locale)
            standing = await packages.find_open_of_checkout(session, checkout.id)
            if standing is not None:
                return standing
            after = advance(checkout.state, Event.SEND_FOR_APPROVAL)
            plan, terms, personal = await self._plan(session, principal, company, cart, checkout)
            package = await packages.draw_up(
                session,
                self.keyring,
                company=company,
                checkout_id=checkout.id,
                terms=terms,
                personal=personal,
                total=plan.totals.total,
                asked=await self.checkouts.asked(session, company, cart, plan.cart),
                named=_named(plan, signatories, await self._house(session)),
                locale=locale,
                by=principal.person_id,
                now=now,
                expires_at=now + plan.needs.policy.wait,
            )
            checkout.state, checkout.version, checkout.updated_at = after, checkout.version + 1, now
            checkout.person_id, checkout.visitor_id = principal.person_id, principal.visitor_id
            checkout.shown, checkout.shown_total_minor = terms, plan.totals.total.minor
            checkout.currency = plan.totals.total.currency
            await self._ask_those_due(session, package)
            events.record(session, "package_sent", journey=principal.visitor_id, at=now, parties=len(package.parties))
        return package

    async def withdraw(self, principal: Principal, package_id: uuid.UUID) -> None:
        """The buyer takes it back, to change the order. Taken back already, nothing changes.

        :raises PackageUnknown: when it is not this person's
        :raises PackageEventRefused: when it was executed or ended otherwise
        """
        async with self.db.begin(principal.db_scope(), CLOSE) as session:
            _, checkout, package = await self._lock(session, package_id)
            if package.created_by != principal.person_id:
                raise PackageUnknown("There is no such package of yours.")
            if package.state is PackageState.VOIDED:
                return
            package_states.advance(package.state, PackageEvent.EDIT)
            await freezing.edit(session, checkout, by=principal.person_id, now=self.clock.now(), base_url=self.base_url)

    async def invite_anew(self, principal: Principal, package_id: uuid.UUID, party_id: uuid.UUID) -> None:
        """Let a party's links die and send another.

        :raises PackageUnknown: when the package or the party is not this person's to invite
        """
        now = self.clock.now()
        async with self.db.begin(principal.db_scope(), CLOSE) as session:
            _, _, package = await self._lock(session, package_id)
            party = next((each for each in packages.due(package) if each.id == party_id), None)
            if package.created_by != principal.person_id or party is None or not party.email:
                raise PackageUnknown("There is nobody to invite anew.")
            await packages.revoke(session, [party], now=now)
            await self._ask(session, package, party)

    # whoever takes part

    async def list_packages(self, principal: Principal) -> tuple[Standing, ...]:
        """The company's packages that the reader sent, signs or may approve; staff see all."""
        staff = principal.kind is PrincipalKind.STAFF
        company_id = None if staff else buyer_of(principal).id
        async with self.db.reading(principal.db_scope()) as session:
            found = await packages.list_packages(session, company_id, limit=LISTED_MOST)
            return tuple(
                [
                    await self._standing(session, principal, package, brief=True)
                    for package in found
                    if _takes_part(principal, package)
                ]
            )

    async def find(self, principal: Principal, package_id: uuid.UUID) -> Standing:
        """A package as the reader finds it; whether it can still be signed is looked at anew.

        :raises PackageUnknown: when it is another company's, or the reader takes no part in it
        """
        async with self.db.reading(principal.db_scope()) as session:
            package = await packages.find_package(session, package_id)
            if package is None or not _sees(principal, package) or not _takes_part(principal, package):
                raise PackageUnknown("There is no such package.")
            return await self._standing(session, principal, package, fresh=True)

    async def read(self, token: str) -> Standing:
        """What a link shows: read-only, without an account. Opening it signs nothing.

        :raises PackageUnknown: when the link is unknown, revoked or expired
        """
        async with self.db.begin(for_staff()) as session:  # the reader has no account: the token lets them in
            package, _ = await packages.open_link(session, token, now=self.clock.now())
            return await self._standing(session, Principal.visitor(new_id()), package)

    async def sign(self, principal: Principal, package_id: uuid.UUID, signer: Signer, *, shown_digest: str) -> Standing:
        """Sign as the party whose turn it is for this person; the last signature makes the order, in one commit.

        Signed already by this person, nothing changes.

        :raises NotYourTurn: when nobody like this person is due
        :raises agreements.service.SignatoryRequired: when the total is above the person's limit by now
        :raises PackageStale: when price, documents or company are not those under the digest any more
        :raises catalog.service.InsufficientStock: and the others of `Checkouts.make_order`, at the last act
        :raises agreements.service.BoxNotTicked: and the others of `agreements.packages.sign`
        """
        now = self.clock.now()
        point = COUNTERSIGN if principal.kind is PrincipalKind.STAFF else SIGN
        async with self.db.begin(principal.db_scope(), point) as session:
            cart, checkout, package = await self._lock(session, package_id)
            if not _sees(principal, package):
                raise PackageUnknown("There is no such package.")
            if await _has_signed(session, package, signer.person_id):
                return await self._standing(session, principal, package)
            party = await self._turn(session, principal, package)
            if party is None:
                raise NotYourTurn("Somebody else is due to sign, or it has ended.", state=package.state.value)
            company = await self._company(session, package)
            await packages.refuse_stale(session, self.keyring, package, company, now=now)
            await self._refuse_other_order(session, company, cart, checkout, package)
            if packages.event_of(package, party) is PackageEvent.SIGN_LAST:
                order = await self._order(session, cart, checkout, package, party, company, signer, shown_digest)
                await self._tell_executed(session, package, order)
            else:
                stage = package.state
                await packages.sign(session, self.keyring, package, party, signer, shown_digest=shown_digest, now=now)
                if checkout.state is not State.SIGNING:
                    checkout.state, checkout.updated_at = advance(checkout.state, Event.SIGN), now
                if package.state is not stage:
                    await self._ask_those_due(session, package)
            events.record(session, "package_signed", journey=checkout.visitor_id, at=now, role=party.role.value)
            return await self._standing(session, principal, package)

    async def decline(
        self, principal: Principal, package_id: uuid.UUID, *, reason: ClosingReason, comment: str
    ) -> None:
        """Say no, and why, as somebody whose turn it is: the package ends, the buyer's cart stays.

        :raises NotYourTurn: when nobody like this person is due
        :raises agreements.service.UnusableComment: when the comment is too long or no plain text
        """
        now, words = self.clock.now(), _comment(comment)
        async with self.db.begin(principal.db_scope(), CLOSE) as session:
            _, checkout, package = await self._lock(session, package_id)
            if not _sees(principal, package):
                raise PackageUnknown("There is no such package.")
            if package.state is PackageState.DECLINED and package.closed_by == principal.person_id:
                return
            if await self._turn(session, principal, package, limited=False) is None:
                raise NotYourTurn("Somebody else is due to sign, or it has ended.", state=package.state.value)
            await end(
                session,
                package,
                PackageEvent.DECLINE,
                reason,
                by=principal.person_id,
                now=now,
                base_url=self.base_url,
                comment=words,
            )
            _reopen(checkout, Event.DECLINE)
            events.record(session, "package_closed", journey=checkout.visitor_id, at=now, reason=reason.value)

    # the house

    async def sweep(self) -> None:
        """End what waited too long, each in its own commit, by our clock."""
        async with self.db.reading(for_staff()) as session:
            overdue = await packages.list_expired(session, self.clock.now(), limit=SWEPT_AT_ONCE)
        for package_id, company_id in overdue:
            await self._expire(package_id, company_id)

    async def of_order(self, principal: Principal, order_id: uuid.UUID) -> Package | None:
        """The package behind an order; None where one person's acceptance is."""
        async with self.db.reading(principal.db_scope()) as session:
            return await package_store.find_package_of_order(session, order_id)

    # below

    async def _plan(
        self, session: AsyncSession, principal: Principal, company: BuyerCompany, cart: Cart, checkout: Checkout
    ) -> tuple[Plan, dict[str, Any], dict[str, str]]:
        assert principal.person_id is not None, "a buyer is a person"
        checkout.email = checkout.email or principal.email
        now = self.clock.now()
        _, priced, terms, personal = await self.checkouts.offer_now(session, company, cart, checkout, now)
        totals, _ = whole(priced)
        documents = self.checkouts.asked_for(session, company, cart, priced)
        needs = await needs_of(session, company, principal.person_id, totals.total, documents)
        if not needs.several:
            raise SignaturesNotNeeded("One person is enough for this order.")
        if checkout.shown is not None and canonical.same_offer(checkout.shown, terms):
            terms = checkout.shown
        members = await accounts_store.list_members(session, company.id)
        plan = Plan(
            checkout=CheckoutView.of(checkout),
            cart=priced,
            totals=totals,
            needs=needs,
            approver=needs.approval,
            signatories=tuple(each for each in members if may_bind(each.membership, totals.total)),
            approvers=tuple(approvers(members, totals.total, requester=principal.person_id)),
        )
        return plan, terms, personal

    async def _lock(self, session: AsyncSession, package_id: uuid.UUID) -> tuple[Cart, Checkout, Package]:
        """Lock cart, checkout, package: always in this order."""
        found = await packages.find_package(session, package_id)
        if found is None:
            raise PackageUnknown("There is no such package.")
        named = await store.find_checkout_by_id(session, found.checkout_id)
        cart = await store.lock_cart(session, named.cart_id)
        checkout = await store.lock_checkout(session, found.checkout_id)
        package = await packages.lock_package(session, package_id)
        assert checkout is not None, "a package has its checkout"
        assert package is not None, "and is never deleted"
        return cart, checkout, package

    async def _order(
        self,
        session: AsyncSession,
        cart: Cart,
        checkout: Checkout,
        package: Package,
        party: Party,
        company: BuyerCompany,
        signer: Signer,
        shown_digest: str,
    ) -> Order:
        now = self.clock.now()

        async def executed(
            order_id: uuid.UUID, _: dict[str, Any], personal: dict[str, str]
        ) -> tuple[dict[str, Any], str]:
            # after credit and stock: the ledger's tail is locked last
            await packages.sign(session, self.keyring, package, party, signer, shown_digest=shown_digest, now=now)
            return await packages.execute(session, package, order_id, personal, now=now)

        return await self.checkouts.make_order(
            session, cart, checkout, company=company, shown=package.terms, basis=executed, by=signer.person_id
        )

    async def _refuse_other_order(
        self, session: AsyncSession, company: BuyerCompany, cart: Cart, checkout: Checkout, package: Package
    ) -> None:
        _, terms, _ = await self.checkouts.order_now(session, company, cart, checkout, self.clock.now())
        if not canonical.same_offer(package.terms, terms):
            raise PackageStale(
                f"Nothing was signed: the order would come to {terms['total']} {terms['currency']} now. The buyer has "
                "to send it anew.",
                changed=["order"],
                total={"amount": terms["total"], "currency": terms["currency"]},
            )

    async def _turn(
        self, session: AsyncSession, principal: Principal, package: Package, *, limited: bool = True
    ) -> Party | None:
        """The party as which this person may sign now, as the company's list says now.

        :raises SignatoryRequired: when they are due, and the total is above their limit
        """
        due = packages.due(package)
        if principal.kind is PrincipalKind.STAFF:
            sells = principal.staff_role in LEGAL_ROLES
            return next((each for each in due if sells and each.role is PartyRole.COUNTER_SIGNER), None)
        if principal.kind is not PrincipalKind.MEMBER or principal.person_id is None:
            return None
        membership = await accounts_store.find_membership(session, package.company_id, principal.person_id)
        if membership is None:
            return None
        party = next((each for each in due if each.person_id == principal.person_id), None)
        if party is None and membership.role in APPROVING and not involved(principal.person_id, package):
            party = next((each for each in due if each.role is PartyRole.APPROVER), None)
        if party is not None and limited and not may_bind(membership, package.total):
            raise SignatoryRequired(
                f"You may not sign for {package.content['company_name']} up to {package.total} (any more). Ask the "
                "buyer to name somebody else.",
                reason="above_limit",
            )
        return party

    async def _standing(
        self,
        session: AsyncSession,
        principal: Principal,
        package: Package,
        *,
        fresh: bool = False,
        brief: bool = False,
    ) -> Standing:
        """*fresh*: say what changed since it was drawn up. *brief*: without signatures and order, for a list."""
        changed: tuple[str, ...] = ()
        total_now = None
        if fresh and package.state in OPEN:
            changed, total_now = await self._changed(session, package)
        try:
            turn = None if changed else await self._turn(session, principal, package)
        except SignatoryRequired:
            turn = None
        if brief:
            return Standing(
                package=package,
                parties=(),
                company_name=package.content["company_name"],
                mine=package.created_by == principal.person_id,
                turn=turn,
                changed=(),
                total_now=None,
                order_number=None,
            )
        order = None if package.order_id is None else await store.find_order_by_id(session, package.order_id)
        signatures = {each.party_id: each for each in await package_store.list_signatures(session, package)}
        typed = {
            leaf["content"]["position"]: leaf["openings"]
            for leaf in await package_store.leaves_of(session, package)
            if leaf["kind"] == packages.SIGNATURE_KIND
        }
        return Standing(
            package=package,
            parties=tuple(
                SignedBy(
                    party=party,
                    signature=signatures.get(party.id),
                    known_as=party.name or _opened(typed, party, "signer_name"),
                    name=_opened(typed, party, "typed_name"),
                    title=_opened(typed, party, "title"),
                )
                for party in package.parties
            ),
            company_name=package.content["company_name"],
            mine=package.created_by == principal.person_id,
            turn=turn,
            changed=changed,
            total_now=total_now,
            order_number=None if order is None else order.number,
        )

    async def _changed(self, session: AsyncSession, package: Package) -> tuple[tuple[str, ...], Money | None]:
        company, now = await self._company(session, package), self.clock.now()
        checkout = await store.find_checkout_by_id(session, package.checkout_id)
        cart = await store.find_cart(session, checkout.cart_id)
        try:
            await packages.refuse_stale(session, self.keyring, package, company, now=now)
            await self._refuse_other_order(session, company, cart, checkout, package)
        except PackageStale as stale:
            total = stale.extra.get("total")
            changed = msgspec.convert(stale.extra["changed"], tuple[str, ...])
            if not isinstance(total, dict):
                return changed, None
            now_total = Money.parse(total["amount"], total["currency"])
            return changed, None if now_total == package.total else now_total
        except (Refused, Conflict):  # a line that is not on sale, a country without freight, terms that ended
            return ("order",), None
        return (), None

    async def _company(self, session: AsyncSession, package: Package) -> BuyerCompany:
        company = await accounts_store.find_company(session, package.company_id)
        assert company is not None, "a package is a company's"
        return buyer_company(company)

    async def _house(self, session: AsyncSession) -> str:
        return (await accounts_store.find_merchant(session)).email

    async def _expire(self, package_id: uuid.UUID, company_id: uuid.UUID) -> None:
        now = self.clock.now()
        async with self.db.begin(for_company(company_id), CLOSE) as session:
            _, checkout, package = await self._lock(session, package_id)
            if package.state not in OPEN or package.expires_at > now:
                return
            await end(
                session,
                package,
                PackageEvent.EXPIRE,
                ClosingReason.EXPIRED,
                by=None,
                now=now,
                base_url=self.base_url,
            )
            _reopen(checkout, Event.EXPIRE)
            events.record(session, "package_closed", journey=checkout.visitor_id, at=now, reason="expired")

    # letters

    async def _ask_those_due(self, session: AsyncSession, package: Package) -> None:
        for party in packages.due(package):
            await self._ask(session, package, party)

    async def _ask(self, session: AsyncSession, package: Package, party: Party) -> None:
        """A link of their own to whoever is named; to approvers and the seller's desk a page behind the log-in."""
        now = self.clock.now()
        if party.role is PartyRole.COUNTER_SIGNER:
            readers = [(party.email, "en", f"{self.base_url}/desk/signatures/{package.id}")]
        elif party.role is PartyRole.APPROVER:
            link = f"{self.base_url}/account/packages/{package.id}"
            readers = [(each.email, each.locale, link) for each in await approvers_asked(session, package)]
        else:
            assert party.person_id is not None, "signatories are named"
            person = await accounts_store.find_person(session, party.person_id)
            token = packages.invite(session, package, party, now=now)
            locale = package.locale if person is None else person.locale
            readers = [(party.email, locale, f"{self.base_url}/signing/{token}")]
        for to, locale, link in readers:
            await queue_mail(
                session, package_mail("package_to_sign", package, to=to, locale=locale, link=link), now=now
            )

    async def _tell_executed(self, session: AsyncSession, package: Package, order: Order) -> None:
        """To everybody who signed or gets a copy: a link of their own to the one signed document."""
        now = self.clock.now()
        for party in package.parties:
            if not party.email:
                continue
            token = packages.invite(session, package, party, now=now)
            letter = package_mail(
                "package_executed",
                package,
                to=party.email,
                locale=package.locale,
                link=f"{self.base_url}/signing/{token}",
                number=order.number,
                receipt=f"{self.base_url}/orders/{order.number}/receipt",
            )
            await queue_mail(session, letter, now=now)


def _named(plan: Plan, signatories: Sequence[uuid.UUID], house: str) -> list[Named]:
    by_id = {each.person.id: each.person for each in plan.signatories}
    wanted = list(dict.fromkeys(signatories))
    if len(wanted) != plan.needs.signatures or not by_id.keys() >= set(wanted) or not plan.possible:
        raise SignatoriesRefused(
            f"Name {plan.needs.signatures} of your company's signatories who may sign {plan.totals.total}.",
            needed=plan.needs.signatures,
        )
    named = [
        Named(
            role=PartyRole.BUYER_SIGNATORY,
            person_id=person_id,
            name=by_id[person_id].name,
            email=by_id[person_id].email,
        )
        for person_id in wanted
    ]
    if plan.approver is not None:
        if not [each for each in plan.approvers if each.person.id not in wanted]:
            raise SignatoriesRefused(
                "Somebody else than those who sign has to approve. Leave one of your approvers out.",
                needed=plan.needs.signatures,
            )
        named.append(Named(role=PartyRole.APPROVER))
    if plan.needs.countersigned:
        named.append(Named(role=PartyRole.COUNTER_SIGNER, email=house))
    copies = dict.fromkeys([*plan.needs.policy.copies, *plan.needs.seller_copies])
    return [*named, *(Named(role=PartyRole.COPY, email=each) for each in copies)]


async def _has_signed(session: AsyncSession, package: Package, person_id: uuid.UUID) -> bool:
    return any(each.person_id == person_id for each in await package_store.list_signatures(session, package))


def _sees(principal: Principal, package: Package) -> bool:
    if principal.kind is PrincipalKind.STAFF:
        return any(each.role is PartyRole.COUNTER_SIGNER for each in package.parties)
    return package.company_id == principal.company_id


def _takes_part(principal: Principal, package: Package) -> bool:
    if principal.kind is PrincipalKind.STAFF:
        return _sees(principal, package)
    approves = principal.role in APPROVING
    return approves or (principal.person_id is not None and involved(principal.person_id, package))


def _reopen(checkout: Checkout, event: Event) -> None:
    """The checkout is its buyer's again: from AWAITING nobody has declined yet by its table, but been asked in vain."""
    before = checkout.state
    checkout.state = advance(before, Event.REJECT if before is State.AWAITING and event is Event.DECLINE else event)
    checkout.version += 1


def _opened(typed: dict[int, Any], party: Party, field: str) -> str:
    return str(typed.get(party.position, {}).get(field, {}).get("value", ""))


def _comment(text: str) -> str:
    comment = text.strip().replace("\r\n", "\n")
    if len(comment) > COMMENT_MOST or not comment.replace("\n", "").replace("\t", "").isprintable():
        raise UnusableComment(f"Write up to {COMMENT_MOST} characters of plain text.")
    return comment
