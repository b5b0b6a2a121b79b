"""Several signatures: one digest, a leaf for each, and exactly one order with the last of them."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from accounts.model import MemberRole, Person, StaffRole
from accounts.policies import ApprovalRule, Policy
from accounts.principal import Principal, PrincipalKind
from agreements import packages as signing
from agreements.commitments import commit
from agreements.model import Acceptance, LedgerEntry
from agreements.package_model import ClosingReason, Package, PackageSignature, SellingPolicy
from agreements.package_states import PackageState, PartyRole
from agreements.package_store import leaves_of
from agreements.packages import NotYourTurn, PackageStale, PackageUnknown, Signer, TypedNameMissing
from agreements.service import BoxNotTicked
from catalog.service import InsufficientStock
from checkout import freezing, store
from checkout.approvals import Approvals
from checkout.model import Checkout, Order
from checkout.needs import SignaturesNeeded
from checkout.packages import Packages, SignatoriesRefused, SignaturesNotNeeded, Standing
from checkout.states import State
from kernel.canonical import digest
from kernel.db import for_accounts, for_staff
from kernel.ids import new_id
from kernel.mail import OutgoingMail
from kernel.money import Money
from tests.checkout.conftest import BASE_URL, DIGEST, House, book
from tests.checkout.test_approvals import colleague, euros, set_policy

TOTAL = Money(25761, "EUR")


class Died(Exception):
    """Stands for whatever undoes a transaction after an edit."""


class Signing:
    """Acme's buyer and its chief sign; above 200 EUR the seller's legal desk does too."""

    def __init__(self, house: House, chief: Principal, legal: Principal) -> None:
        self.house, self.chief, self.legal = house, chief, legal
        self.packages = Packages(house.checkouts)

    async def fill(self, quantity: str = "2") -> None:
        await self.house.fill(self.house.acme, quantity=quantity)
        await self.house.details(self.house.acme)

    async def send(self, *signatories: Principal, locale: str = "en") -> Package:
        named = [each.person_id for each in signatories or (self.house.acme, self.chief) if each.person_id]
        return await self.packages.send(self.house.acme, named, locale=locale)

    async def sign(self, who: Principal, package: Package, **changed: Any) -> Standing:
        assert who.person_id is not None
        given: dict[str, Any] = {
            "person_id": who.person_id,
            "name": who.name or "",
            "email": who.email or "",
            "typed_name": who.name or "",
            "title": "Head of something",
            "ticked": frozenset({"intent", "authority"}),
            "locale": "en",
            "template_digest": DIGEST,
            "stylesheet_digest": DIGEST,
            "ip": "192.0.2.7",
            "user_agent": "Mozilla/5.0 (X11; a browser)",
            **changed,
        }
        return await self.packages.sign(who, package.id, Signer(**given), shown_digest=package.digest)

    async def states(self) -> tuple[State, PackageState]:
        [checkout], [package] = await self.house.rows(Checkout), await self.house.rows(Package)
        return checkout.state, package.state

    async def letters(self, kind: str) -> list[str]:
        """To whom letters of this kind went, by address."""
        return sorted(mail.recipient for mail in await self.house.rows(OutgoingMail) if mail.kind == kind)

    async def leaves(self) -> list[LedgerEntry]:
        return sorted(await self.house.rows(LedgerEntry), key=lambda each: each.seq)


@pytest.fixture
async def s(house: House) -> Signing:
    chief = await colleague(house, MemberRole.ADMIN)
    await set_policy(house, chief, Policy(two_signatures_above=euros(200), copies=("archive@acme.example",)))
    legal = await staff(house, StaffRole.LEGAL)
    async with house.database.begin(for_staff()) as session:
        assert legal.person_id is not None
        session.add(
            SellingPolicy(
                id=new_id(),
                countersign_above={"EUR": "200.00"},
                documents=[],
                copies=["register@meridian.example"],
                changed_by=legal.person_id,
                changed_at=house.clock.now(),
            )
        )
    return Signing(house, chief, legal)


async def staff(house: House, role: StaffRole) -> Principal:
    async with house.database.begin(for_accounts()) as session:
        person = Person(
            id=new_id(),
            email=f"{role.value}-{new_id()}@meridian.example",
            name=f"The {role.value} desk",
            locale="en",
            password_hash="-",
            staff_role=role,
            created_at=house.clock.now(),
        )
        session.add(person)
    return Principal(
        kind=PrincipalKind.STAFF,
        visitor_id=new_id(),
        person_id=person.id,
        email=person.email,
        name=person.name,
        staff_role=role,
    )


async def test_the_last_of_three_signatures_makes_the_order(s: Signing, house: House) -> None:
    await s.fill()
    with pytest.raises(SignaturesNeeded):
        await house.review(house.acme)
    package = await s.send()
    assert await s.states() == (State.AWAITING, PackageState.BUYER_SIGNING)
    assert digest(package.content) == package.digest
    assert package.content["order_digest"] == package.order_digest
    assert package.content["level"].startswith("Simple electronic signatures")

    await s.sign(house.acme, package)
    assert await s.states() == (State.SIGNING, PackageState.BUYER_SIGNING)
    await s.sign(s.chief, package)
    assert await s.states() == (State.SIGNING, PackageState.COUNTERSIGN)
    assert await house.rows(Order) == [], "signatures without an order are fine"
    done = await s.sign(s.legal, package)

    assert await s.states() == (State.PAYABLE, PackageState.EXECUTED)
    [order] = await house.rows(Order)
    assert (done.order_number, order.total) == (order.number, TOTAL)
    assert (order.canonical_digest, order.person_id) == (package.order_digest, house.acme.person_id)
    assert digest(order.canonical) == order.canonical_digest
    assert await house.rows(Acceptance) == []
    kinds = [each.kind for each in await s.leaves()]
    assert kinds == ["package_signature"] * 3 + ["package"]
    execution = (await s.leaves())[-1].content
    assert (execution["order_id"], execution["signatures"]) == (str(order.id), [0, 1, 2])
    assert (await house.orders.history(house.acme, order.number))[0].before is State.SIGNING
    letters = {(mail.kind, mail.recipient) for mail in await house.rows(OutgoingMail)}
    assert {
        ("package_to_sign", s.chief.email),
        ("package_to_sign", "orders@meridian.example"),
        ("package_executed", "archive@acme.example"),
        ("package_executed", "register@meridian.example"),
        ("order_received", house.acme.email),
    } <= letters
    await house.check_invariants()


async def test_each_signature_says_who_what_and_for_whom_and_tells_no_name(s: Signing, house: House) -> None:
    await s.fill()
    package = await s.send()
    await s.sign(house.acme, package, typed_name="the  BUYER")
    await s.sign(s.chief, package, typed_name="Somebody else", locale="es")

    async with house.database.begin(for_staff()) as session:
        locked = await signing.find_package(session, package.id)
        assert locked is not None
        leaves = await leaves_of(session, locked)
    first, second = (leaf["content"] for leaf in leaves)
    assert (first["role"], first["level"], first["name_matches"], second["name_matches"]) == (
        "buyer_signatory",
        "simple",
        True,
        False,
    ), "another name is flagged, not refused"
    assert "I am authorised to sign this for Acme S.L." in first["authority"]
    assert second["intent"].startswith("Al marcar esta casilla y pulsar «Firmar»")
    assert first["package_digest"] == second["package_digest"] == package.digest
    assert "BUYER" not in str(first)
    opening = leaves[0]["openings"]["typed_name"]
    assert opening["value"] == "the BUYER"
    assert first["commitments"]["typed_name"] == commit(opening["value"], opening["salt"])
    assert {each.name_matches for each in await house.rows(PackageSignature)} == {True, False}


async def test_only_who_is_due_signs_and_only_by_typing_and_ticking(s: Signing, house: House) -> None:
    other = await colleague(house, MemberRole.BUYER)
    await s.fill()
    package = await s.send()

    for stranger in (other, s.legal):
        with pytest.raises(NotYourTurn):
            await s.sign(stranger, package)
    with pytest.raises(PackageUnknown):
        await s.sign(house.globex, package)
    with pytest.raises(BoxNotTicked) as refusal:
        await s.sign(house.acme, package, ticked=frozenset({"intent"}))
    assert refusal.value.extra["boxes"] == ["authority"]
    with pytest.raises(TypedNameMissing):
        await s.sign(house.acme, package, typed_name=" ")
    assert await s.leaves() == []
    await s.sign(house.acme, package)
    await s.sign(house.acme, package)
    assert len(await s.leaves()) == 1
    await s.sign(s.chief, package)
    with pytest.raises(NotYourTurn):
        await s.sign(await staff(house, StaffRole.FINANCE), package)


async def test_exactly_as_many_as_the_policy_says_are_named_and_each_may_sign(s: Signing, house: House) -> None:
    modest = await colleague(house, MemberRole.BUYER, limit=euros(100))
    await s.fill()

    for named in ((house.acme,), (house.acme, house.acme), (house.acme, modest), (house.acme, house.globex)):
        with pytest.raises(SignatoriesRefused):
            await s.send(*named)
    house.clock.advance(seconds=1)
    await set_policy(house, s.chief, Policy())
    assert (await s.send(s.chief)).total == TOTAL, "the seller still counter-signs"


async def test_small_orders_need_one_person(s: Signing, house: House) -> None:
    await house.fill(house.acme, quantity="1")
    await house.details(house.acme)

    with pytest.raises(SignaturesNotNeeded):
        await s.send()
    await house.accept(house.acme, await house.review(house.acme))


async def test_an_approver_who_did_not_sign_approves_after_the_signatories(s: Signing, house: House) -> None:
    await set_policy(house, s.chief, Policy(approval=ApprovalRule.ALWAYS))
    await s.fill()
    with pytest.raises(SignaturesNeeded):
        await Approvals(house.checkouts).send(house.acme, note="", locale="en")
    with pytest.raises(SignatoriesRefused):
        await s.send(s.chief)  # nobody else could approve
    package = await s.send(house.acme)
    assert [each.role for each in package.parties] == [PartyRole.BUYER_SIGNATORY, PartyRole.APPROVER, *package_rest()]

    await s.sign(house.acme, package)
    assert (await s.states())[1] is PackageState.APPROVAL
    with pytest.raises(NotYourTurn):
        await s.sign(s.legal, package)
    await s.sign(s.chief, package)
    assert (await s.states())[1] is PackageState.COUNTERSIGN


def package_rest() -> list[PartyRole]:
    return [PartyRole.COUNTER_SIGNER, PartyRole.COPY]


@pytest.mark.parametrize("edit", ["cart", "details", "withdraw"])
async def test_an_edit_voids_what_was_signed(s: Signing, house: House, edit: str) -> None:
    await s.fill()
    package = await s.send()
    await s.sign(house.acme, package)

    if edit == "cart":
        await house.fill(house.acme, quantity="1")
    elif edit == "details":
        await house.details(house.acme, po_number="PO-9")
    else:
        await s.packages.withdraw(house.acme, package.id)

    assert await s.states() == (State.OPEN, PackageState.VOIDED)
    with pytest.raises(NotYourTurn):
        await s.sign(s.chief, package)
    assert len(await s.leaves()) == 1, "the signature stays in the ledger and binds nobody"
    assert await house.rows(Order) == []
    told = sorted([house.acme.email or "", s.chief.email or ""])
    assert await s.letters("package_ended") == told, "once each; the seller was not asked yet"
    await house.fill(house.acme, quantity="1")
    assert await s.letters("package_ended") == told, "a later edit voids nothing more"
    assert (await s.send()).digest != package.digest


async def test_an_edit_that_fails_writes_to_nobody(s: Signing, house: House) -> None:
    await s.fill()
    package = await s.send()

    with pytest.raises(Died):
        async with house.database.begin(house.acme.db_scope()) as session:
            checkout = await store.lock_checkout(session, package.checkout_id)
            assert checkout is not None
            now = house.clock.now()
            await freezing.edit(session, checkout, by=house.acme.person_id, now=now, base_url=BASE_URL)
            raise Died

    assert (await s.states())[1] is PackageState.BUYER_SIGNING
    assert await s.letters("package_ended") == []


async def test_who_was_asked_to_approve_or_to_counter_sign_hears_of_the_end_too(s: Signing, house: House) -> None:
    await set_policy(house, s.chief, Policy(approval=ApprovalRule.ALWAYS))
    await s.fill()
    package = await s.send(house.acme)
    await s.sign(house.acme, package)
    await house.fill(house.acme, quantity="1")
    assert await s.letters("package_ended") == sorted([house.acme.email or "", s.chief.email or ""])

    await s.fill()
    package = await s.send(house.acme)
    await s.sign(house.acme, package)
    await s.sign(s.chief, package)
    [desk] = [each.email for each in package.parties if each.role is PartyRole.COUNTER_SIGNER]
    assert desk not in await s.letters("package_ended")
    await s.packages.withdraw(house.acme, package.id)
    assert desk in await s.letters("package_ended")
    [letter] = [
        mail for mail in await house.rows(OutgoingMail) if (mail.kind, mail.recipient) == ("package_ended", desk)
    ]
    assert f"{BASE_URL}/desk/signatures/{package.id}" in letter.text


async def test_a_refusal_ends_it_with_the_reason_and_keeps_the_cart(s: Signing, house: House) -> None:
    await s.fill()
    package = await s.send()
    with pytest.raises(NotYourTurn):
        await s.packages.decline(s.legal, package.id, reason=ClosingReason.TERMS, comment="")
    await s.packages.decline(s.chief, package.id, reason=ClosingReason.PRICE, comment="Too dear")

    assert await s.states() == (State.OPEN, PackageState.DECLINED)
    assert await house.carts.count_lines(house.acme) == 1
    ended = [mail for mail in await house.rows(OutgoingMail) if mail.kind == "package_ended"]
    assert {mail.recipient for mail in ended} >= {house.acme.email, s.chief.email}
    assert all("Too dear" in mail.text for mail in ended)


async def test_the_seller_may_decline_after_the_buyers_have_signed(s: Signing, house: House) -> None:
    await s.fill()
    package = await s.send()
    await s.sign(house.acme, package)
    await s.sign(s.chief, package)

    await s.packages.decline(s.legal, package.id, reason=ClosingReason.OTHER, comment="Sanctions list")

    assert await s.states() == (State.OPEN, PackageState.DECLINED)
    assert await house.rows(Order) == []


async def test_it_expires_by_our_clock(s: Signing, house: House) -> None:
    await s.fill()
    package = await s.send()
    await s.sign(house.acme, package)
    house.clock.advance(days=7)

    with pytest.raises(PackageStale) as refusal:
        await s.sign(s.chief, package)
    assert refusal.value.extra["changed"] == ["expired"]
    await s.packages.sweep()
    await s.packages.sweep()

    assert await s.states() == (State.OPEN, PackageState.EXPIRED)


async def test_stock_is_judged_at_the_last_act(s: Signing, house: House) -> None:
    await s.fill("60")
    package = await s.send()
    await s.sign(house.acme, package)
    await s.sign(s.chief, package)
    async with house.database.begin(for_staff()) as session:
        await session.execute(
            sa.text("update stock set on_hand = 59 where sku_id = (select id from sku where code = 'CRUNCHY-ARMCHAIR')")
        )

    with pytest.raises(InsufficientStock):
        await s.sign(s.legal, package)

    assert (await s.states())[1] is PackageState.COUNTERSIGN, "it waits until there is stock, or its time has passed"
    assert [each.kind for each in await s.leaves()] == ["package_signature"] * 2
    assert await house.rows(Order) == []


async def test_a_new_price_makes_it_stale_and_says_so(s: Signing, house: House) -> None:
    await s.fill()
    package = await s.send()
    house.books.publish(book("110", root="b"), house.clock.now())

    with pytest.raises(PackageStale):
        await s.sign(house.acme, package)
    seen = await s.packages.find(house.acme, package.id)

    assert (seen.changed, seen.total_now, seen.turn) == (("order",), Money(28181, "EUR"), None)
    await s.packages.withdraw(house.acme, package.id)
    assert (await s.send()).total == Money(28181, "EUR")


async def test_links_are_hashed_revocable_and_sign_nothing(s: Signing, house: House) -> None:
    await s.fill()
    package = await s.send()
    [letter] = [m for m in await house.rows(OutgoingMail) if m.recipient == s.chief.email]
    token = letter.text.partition("/signing/")[2].split()[0]
    async with house.database.begin(for_staff()) as session:
        kept = (await session.scalars(sa.text("select encode(token_sha256, 'hex') from package_invitation"))).all()
    assert token not in kept

    assert (await s.packages.read(token)).package.id == package.id
    assert await s.leaves() == []
    [party] = [each for each in package.parties if each.person_id == s.chief.person_id]
    with pytest.raises(PackageUnknown):
        await s.packages.invite_anew(s.chief, package.id, party.id)
    await s.packages.invite_anew(house.acme, package.id, party.id)
    with pytest.raises(PackageUnknown):
        await s.packages.read(token)
    mails = await house.rows(OutgoingMail)
    newer = next(mail for mail in mails if mail.recipient == s.chief.email and token not in mail.text)
    fresh = newer.text.partition("/signing/")[2].split()[0]
    assert (await s.packages.read(fresh)).package.id == package.id
    house.clock.advance(days=8)
    with pytest.raises(PackageUnknown):
        await s.packages.read(fresh)


async def test_sixteen_last_signatures_at_once_make_one_order(s: Signing, house: House) -> None:
    await s.fill()
    package = await s.send()
    await s.sign(house.acme, package)
    await s.sign(s.chief, package)
    others = [await staff(house, StaffRole.LEGAL) for _ in range(3)]

    answers = await asyncio.gather(
        *(s.sign(who, package) for who in (s.legal, *others) for _ in range(4)), return_exceptions=True
    )

    assert all(isinstance(answer, Standing | NotYourTurn) for answer in answers), answers
    assert len(await house.rows(Order)) == 1
    assert [each.kind for each in await s.leaves()] == ["package_signature"] * 3 + ["package"]
    assert await house.stock() == (98, 2, 0)
    await house.check_invariants()


async def test_an_edit_that_races_with_the_last_signature_wins_or_comes_too_late(s: Signing, house: House) -> None:
    await s.fill()
    package = await s.send()
    await s.sign(house.acme, package)
    await s.sign(s.chief, package)

    await asyncio.gather(
        house.fill(house.acme, quantity="1"),
        *(s.sign(s.legal, package) for _ in range(3)),
        return_exceptions=True,
    )

    orders = await house.rows(Order)
    [now] = await house.rows(Package)
    assert now.state is (PackageState.EXECUTED if orders else PackageState.VOIDED)
    assert len(orders) <= 1
    kinds = [each.kind for each in await s.leaves()]
    assert kinds.count("package") == len(orders)


async def test_no_order_without_its_executed_package(s: Signing, house: House) -> None:
    await s.fill()
    package = await s.send()

    with pytest.raises(sa.exc.IntegrityError, match="ck_signature_package_executed"):
        async with house.database.begin(for_staff()) as session:
            await session.execute(
                sa.text("update signature_package set state = 'executed', closed_at = now() where id = :id"),
                {"id": package.id},
            )
