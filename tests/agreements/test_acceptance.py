import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts.model import Authority, Company, Membership
from accounts.principal import Principal
from agreements import annexes
from agreements.model import (
    Acceptance,
    Annex,
    Consent,
    DeclineReason,
    LedgerEntry,
    Opening,
    Presentation,
    Verb,
)
from agreements.service import (
    ActorMissing,
    BoxNotTicked,
    DocumentsMissing,
    JobTitleMissing,
    PresentationConsumed,
    PresentationForeign,
    PresentationNotFound,
    PresentationStale,
    ReviewNotFound,
    SignatoryRequired,
    UnusableComment,
)
from kernel.canonical import digest
from kernel.clock import FixedClock
from kernel.db import Database, for_accounts, for_company, for_staff, for_visitor
from kernel.ids import new_id
from kernel.money import Money
from tests.agreements.conftest import BOXES, DEMO_DOCUMENTS, PERSONAL, TERMS, Step, make_member


async def count_evidence(database: Database) -> dict[str, int]:
    async with database.begin(for_staff()) as session:
        return {
            table.__name__: (await session.scalar(sa.select(sa.func.count()).select_from(table))) or 0
            for table in (Acceptance, LedgerEntry, Opening, Annex, Consent)
        }


async def test_the_agree_sentence_quotes_the_button_the_company_and_the_documents_with_versions(step: Step) -> None:
    presentation = await step.present()

    agree = presentation.statements[0]
    assert agree.text == (
        "By ticking this box and selecting “Place order - obligation to pay”, Acme GmbH agrees to the "
        "Master Terms of Sale v3.1 and the Data Processing Addendum v2.0."
    )
    assert [segment.text for segment in agree.segments if segment.document] == [
        "Master Terms of Sale v3.1",
        "Data Processing Addendum v2.0",
    ]
    assert presentation.button_label == "Place order - obligation to pay"
    assert presentation.notices == (
        "If the order is not paid within 7 days, it lapses and neither side owes anything.",
        "Where translations of the Master Terms of Sale differ, the Spanish text prevails.",
    )


async def test_in_spanish_sentence_button_and_documents_are_spanish(step: Step) -> None:
    presentation = await step.present("es")

    assert presentation.button_label == "Pedido con obligación de pago"
    assert presentation.statements[0].text == (
        "Al marcar esta casilla y pulsar «Pedido con obligación de pago», Acme GmbH acepta los siguientes documentos: "
        "Condiciones Generales de Venta v3.1 y Acuerdo de Tratamiento de Datos v2.0."
    )
    assert {document.locale for document in presentation.documents} == {"es"}


async def test_a_language_without_texts_gets_english_and_a_sentence_that_says_so(step: Step) -> None:
    presentation = await step.present("it")

    assert {document.locale for document in presentation.documents} == {"en"}
    assert "The Master Terms of Sale is available in English only; that text applies." in presentation.notices


async def test_each_kind_of_act_has_its_own_box_privacy_has_none_and_consent_is_optional_and_last(step: Step) -> None:
    presentation = await step.present()

    assert [(s.id, s.verb, s.box, s.required) for s in presentation.statements] == [
        ("agree", Verb.AGREE, True, True),
        ("authority", Verb.ATTEST, True, True),
        ("business", Verb.DECLARE, True, True),
        ("privacy", Verb.ACKNOWLEDGE, False, False),
        ("marketing", Verb.CONSENT, True, False),
    ]
    assert [s.id for s in presentation.statements if s.asks_job_title] == ["authority"]
    assert "agree" not in presentation.statements[3].text


async def test_the_order_is_digested_with_its_personal_fields_as_commitments(step: Step) -> None:
    presentation = await step.present()

    assert presentation.order_digest == digest(presentation.order_content)
    assert {**presentation.order_content, "personal": None} == {**TERMS, "personal": None}
    assert set(presentation.order_content["personal"]) == set(PERSONAL)
    shown = str(presentation.content) + str(presentation.order_content)
    assert not any(value in shown for value in (*PERSONAL.values(), str(step.principal.email)))


async def test_accepting_writes_acceptance_ledger_openings_and_annex_at_once(step: Step) -> None:
    presentation = await step.present()
    order_id = new_id()

    acceptance = await step.accept(presentation, order_id=order_id)

    assert (acceptance.order_id, acceptance.order_digest) == (order_id, presentation.order_digest)
    assert acceptance.ticked == ["agree", "authority", "business"]
    assert await count_evidence(step.database) == {
        "Acceptance": 1,
        "LedgerEntry": 1,
        "Opening": 6,
        "Annex": 1,
        "Consent": 0,
    }
    async with step.database.begin(step.principal.db_scope()) as session:
        assert (await step.agreements.lock_to_accept(session, step.principal, presentation.id)).order_id == order_id
        stored = await session.get_one(Presentation, presentation.id)
        assert (stored.order_id, stored.salts) == (order_id, {})


async def test_the_callers_roll_back_leaves_no_evidence_and_the_presentation_open(step: Step) -> None:
    presentation = await step.present()

    with pytest.raises(ZeroDivisionError):
        async with step.database.begin(step.principal.db_scope()) as session:
            await step.agreements.accept(
                session,
                step.principal,
                await step.agreements.lock_to_accept(session, step.principal, presentation.id),
                checkout_id=step.checkout_id,
                terms=TERMS,
                personal=PERSONAL,
                ticked=BOXES,
                job_title="Buyer",
                order_id=new_id(),
                ip="192.0.2.7",
                user_agent="",
            )
            raise ZeroDivisionError

    assert set((await count_evidence(step.database)).values()) == {0}
    await step.accept(presentation)


async def test_address_and_browser_are_kept_encrypted_and_apart(step: Step) -> None:
    acceptance = await step.accept(await step.present())

    async with step.database.begin(for_staff()) as session:
        annex = await session.get_one(Annex, acceptance.id)
        everything = [
            str(row)
            for table in ("agreement_presentation", "acceptance", "acceptance_ledger", "acceptance_opening")
            for row in (await session.execute(sa.text(f"select * from {table}"))).all()
        ]
    assert b"192.0.2.7" not in annex.ciphertext
    opened = annexes.opened(step.agreements.keyring, annex)
    assert b"192.0.2.7" in opened
    assert b"a browser" in opened
    assert not any("192.0.2.7" in row for row in everything)


@pytest.mark.parametrize("missing", sorted(BOXES))
async def test_a_required_box_that_is_not_ticked_is_named_and_nothing_is_recorded(step: Step, missing: str) -> None:
    presentation = await step.present()

    with pytest.raises(BoxNotTicked) as refused:
        await step.accept(presentation, ticked=BOXES - {missing})

    assert refused.value.extra == {"boxes": [missing]}
    assert set((await count_evidence(step.database)).values()) == {0}


async def test_no_box_ticked_names_all_and_an_invented_box_counts_for_nothing(step: Step) -> None:
    presentation = await step.present()

    with pytest.raises(BoxNotTicked) as refused:
        await step.accept(presentation, ticked=frozenset({"everything", "privacy"}))
    assert refused.value.extra == {"boxes": ["agree", "authority", "business"]}

    acceptance = await step.accept(presentation, ticked=BOXES | {"everything", "privacy"})
    assert acceptance.ticked == ["agree", "authority", "business"]


@pytest.mark.parametrize("job_title", ["", "   ", "x" * 121, "Buyer\x00", "Buyer\nand seller"])
async def test_a_job_title_must_be_one_readable_line(step: Step, job_title: str) -> None:
    presentation = await step.present()

    with pytest.raises(JobTitleMissing):
        await step.accept(presentation, job_title=job_title)


async def test_a_consumed_presentation_names_its_order_and_orders_nothing_again(step: Step) -> None:
    presentation = await step.present()
    first = await step.accept(presentation)

    with pytest.raises(PresentationConsumed) as refused:
        await step.accept(presentation)

    assert refused.value.order_id == first.order_id
    assert (await count_evidence(step.database))["Acceptance"] == 1


async def test_the_second_tabs_presentation_leads_to_the_order_of_the_first(step: Step, globex: Principal) -> None:
    first, second = await step.present(), await step.present()
    async with step.database.begin(step.principal.db_scope()) as session:
        assert (await step.agreements.lock_to_accept(session, step.principal, second.id)).order_id is None

    made = await step.accept(first)

    with pytest.raises(PresentationConsumed) as refused:
        await step.accept(second)
    assert refused.value.order_id == made.order_id
    async with step.database.begin(step.principal.db_scope()) as session:
        assert (await step.agreements.lock_to_accept(session, step.principal, second.id)).order_id == made.order_id
        assert (await step.agreements.lock_to_accept(session, globex, second.id)).order_id is None


async def test_sixteen_accepts_at_once_from_two_tabs_make_one_acceptance(step: Step) -> None:
    tabs = [await step.present(), await step.present()]

    results = await asyncio.gather(*(step.accept(tabs[n % 2]) for n in range(16)), return_exceptions=True)

    accepted = [result for result in results if isinstance(result, Acceptance)]
    refused = [result.order_id for result in results if isinstance(result, PresentationConsumed)]
    assert (len(accepted), len(refused)) == (1, 15)
    assert set(refused) == {accepted[0].order_id}
    assert (await count_evidence(step.database))["LedgerEntry"] == 1


async def test_many_checkouts_accepted_at_once_form_one_unbroken_ledger(step: Step) -> None:
    steps = [step.but(checkout_id=new_id()) for _ in range(13)]
    presentations = [await each.present() for each in steps]

    await asyncio.gather(*(each.accept(shown) for each, shown in zip(steps, presentations, strict=True)))

    async with step.database.begin(for_staff()) as session:
        state = await step.agreements.check_ledger(session)
    assert (state.size, state.broken_at) == (13, None)


async def test_an_expired_presentation_is_stale(step: Step, clock: FixedClock) -> None:
    presentation = await step.present()
    clock.advance(minutes=60)

    with pytest.raises(PresentationStale) as refused:
        await step.accept(presentation)

    assert refused.value.extra == {"changed": ["expired"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"terms": {**TERMS, "total": "120.99"}},
        {"terms": {**TERMS, "price_root": "sha256:" + "1" * 64}},
        {"personal": {**PERSONAL, "ship_to.name": "Somebody else"}},
        {"personal": {**PERSONAL, "ship_to.line2": "Door 2"}},
        {"personal": {}},
    ],
)
async def test_an_order_that_differs_from_the_one_presented_is_stale(
    step: Step, changes: dict[str, dict[str, str]]
) -> None:
    presentation = await step.present()

    with pytest.raises(PresentationStale) as refused:
        await step.but(**changes).accept(presentation)

    assert refused.value.extra == {"changed": ["order"]}


async def test_a_version_published_or_withdrawn_meanwhile_makes_the_presentation_stale(
    step: Step, clock: FixedClock
) -> None:
    presentation = await step.present()
    source = (DEMO_DOCUMENTS / "master-terms-3.1.en.md").read_text(encoding="utf-8")
    clock.advance(minutes=1)
    async with step.database.begin(for_staff()) as session:
        await step.agreements.publish_version(
            session,
            code="master-terms",
            label="3.2",
            locale="en",
            title="Master Terms of Sale",
            source=source.replace("24 months", "36 months"),
            material=True,
        )

    with pytest.raises(PresentationStale) as refused:
        await step.accept(presentation)
    assert refused.value.extra == {"changed": ["documents"]}

    again = await step.present()
    assert "Master Terms of Sale v3.2" in again.statements[0].text
    clock.advance(minutes=1)
    async with step.database.begin(for_staff()) as session:
        await step.agreements.withdraw_version(session, code="master-terms", label="3.2", locale="en")
    with pytest.raises(PresentationStale):
        await step.accept(again)
    await step.accept(await step.present())


async def test_a_stored_presentation_that_was_altered_is_refused(step: Step, owner_url: str) -> None:
    presentation = await step.present()
    engine = sa.create_engine(owner_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(sa.text("select set_config('tarifa.scope', 'staff', true)"))
        changed = connection.execute(
            sa.text("update agreement_presentation set content = jsonb_set(content, '{button_label}', '\"Next\"')")
        )
        assert changed.rowcount == 1
    engine.dispose()

    with pytest.raises(PresentationStale) as refused:
        await step.accept(presentation)

    assert refused.value.extra == {"changed": ["signature"]}


async def test_a_stranger_finds_no_such_presentation(step: Step, globex: Principal) -> None:
    presentation = await step.present()

    with pytest.raises(PresentationNotFound) as theirs:
        await step.but(principal=globex).accept(presentation)
    with pytest.raises(PresentationNotFound) as absent:
        await step.but(principal=globex).accept(replace(presentation, id=new_id()))

    assert (theirs.value.message, theirs.value.extra) == (absent.value.message, absent.value.extra)
    async with step.database.begin(globex.db_scope()) as session:
        assert (await step.agreements.lock_to_accept(session, globex, presentation.id)).order_id is None


async def test_a_colleague_or_another_cart_may_not_use_a_presentation(step: Step, clock: FixedClock) -> None:
    presentation = await step.present()
    async with step.database.begin(for_accounts()) as session:
        company = await session.get_one(Company, presentation.company_id)
    colleague, _ = await make_member(step.database, clock, company)

    with pytest.raises(PresentationForeign):
        await step.but(principal=colleague).accept(presentation)
    with pytest.raises(PresentationForeign):
        await step.but(checkout_id=new_id()).accept(presentation)

    assert set((await count_evidence(step.database)).values()) == {0}


async def test_a_member_who_is_no_signatory_is_told_whom_to_ask(step: Step, clock: FixedClock) -> None:
    colleague, _ = await make_member(step.database, clock, signatory=False)

    with pytest.raises(SignatoryRequired, match="Ask one of them") as refused:
        await step.but(principal=colleague).present()

    assert refused.value.extra == {"reason": "not_signatory"}


@pytest.mark.parametrize(("limit", "may"), [(12100, True), (12099, False)])
async def test_a_signatory_signs_up_to_the_limit(step: Step, clock: FixedClock, limit: int, *, may: bool) -> None:
    signatory, _ = await make_member(step.database, clock, limit=Money(limit, "EUR"))

    if may:
        await step.but(principal=signatory).present()
    else:
        with pytest.raises(SignatoryRequired, match=r"up to 120\.99 EUR, and this order comes to 121\.00 EUR"):
            await step.but(principal=signatory).present()


async def test_a_limit_in_another_currency_binds_nobody(step: Step, clock: FixedClock) -> None:
    signatory, _ = await make_member(step.database, clock, limit=Money(10**9, "USD"))

    with pytest.raises(SignatoryRequired):
        await step.but(principal=signatory).present()


async def test_a_signatory_struck_from_the_list_meanwhile_may_not_accept(step: Step) -> None:
    presentation = await step.present()
    async with step.database.begin(for_accounts()) as session:
        await session.execute(sa.update(Membership).values(signatory=False, authority=None))

    with pytest.raises(SignatoryRequired):
        await step.accept(presentation)


async def test_self_declared_authority_is_said_on_the_page_and_recorded(step: Step, clock: FixedClock) -> None:
    founder, _ = await make_member(step.database, clock, name="Initech Ltd", authority=Authority.SELF_DECLARED)
    mine = step.but(principal=founder)

    presentation = await mine.present()
    acceptance = await mine.accept(presentation)

    assert presentation.statements[1].text == (
        "I act for Initech Ltd and am authorised to enter into this contract. "
        "Meridian Industrial Supply S.L. has not checked this and relies on my word."
    )
    assert (await mine.receipt(acceptance.order_id))["acceptance"]["authority"] == "self_declared"


async def test_consent_is_recorded_apart_and_can_be_withdrawn(step: Step) -> None:
    acceptance = await step.accept(await step.present(), ticked=BOXES | {"marketing"})

    assert acceptance.ticked == ["agree", "authority", "business"]
    async with step.database.begin(step.principal.db_scope()) as session:
        (consent,) = await session.scalars(sa.select(Consent))
        assert consent.statement.startswith("Meridian Industrial Supply S.L. may send me offers")
        assert await step.agreements.withdraw_consent(session, step.principal, "marketing") == 1
        assert await step.agreements.withdraw_consent(session, step.principal, "marketing") == 0


async def test_a_visitor_cannot_be_shown_an_agreement_to_accept(step: Step) -> None:
    with pytest.raises(ActorMissing):
        await step.but(principal=Principal.visitor(new_id())).present()


async def test_without_a_document_to_agree_to_nothing_is_presented(step: Step) -> None:
    async with step.database.begin(for_staff()) as session:
        for code, label in (("master-terms", "3.1"), ("data-processing", "2.0")):
            for locale in ("en", "es"):
                await step.agreements.withdraw_version(session, code=code, label=label, locale=locale)

    with pytest.raises(DocumentsMissing):
        await step.present()


async def test_declining_keeps_the_reason_and_the_presentation(step: Step, globex: Principal) -> None:
    presentation = await step.present()
    async with step.database.begin(step.principal.db_scope()) as session:
        declined = await step.agreements.decline(
            session,
            step.principal,
            presentation_id=presentation.id,
            reason=DeclineReason.TERMS,
            comment=" §8\r\n",
        )
        assert (declined.reason, declined.comment) == (DeclineReason.TERMS, "§8")
        with pytest.raises(UnusableComment):
            await step.agreements.decline(
                session, step.principal, presentation_id=presentation.id, reason=DeclineReason.OTHER, comment="\x00"
            )
    async with step.database.begin(globex.db_scope()) as session:
        with pytest.raises(PresentationNotFound):
            await step.agreements.decline(session, globex, presentation_id=presentation.id, reason=DeclineReason.OTHER)

    await step.accept(presentation)
    async with step.database.begin(step.principal.db_scope()) as session:
        with pytest.raises(PresentationConsumed):
            await step.agreements.decline(
                session, step.principal, presentation_id=presentation.id, reason=DeclineReason.TERMS
            )


async def test_a_review_link_shows_what_was_presented_until_it_expires(step: Step, clock: FixedClock) -> None:
    presentation = await step.present()
    async with step.database.begin(step.principal.db_scope()) as session:
        review, token = await step.agreements.send_to_legal(session, step.principal, presentation_id=presentation.id)
        assert token not in repr(review)

    async with step.database.begin(for_staff()) as session:
        shown = await step.agreements.open_review(session, token)
        assert shown.content == presentation.content
        assert not any(value in str(shown.order_content) for value in PERSONAL.values())
        with pytest.raises(ReviewNotFound):
            await step.agreements.open_review(session, token + "x")
    clock.advance(days=14)
    async with step.database.begin(for_staff()) as session:
        with pytest.raises(ReviewNotFound):
            await step.agreements.open_review(session, token)


async def test_another_company_sees_no_row_of_an_acceptance(step: Step, globex: Principal) -> None:
    await step.accept(await step.present(), ticked=BOXES | {"marketing"})
    tables = ("agreement_presentation", "acceptance", "acceptance_ledger", "acceptance_opening", "acceptance_annex")

    for scope, expected in ((globex.db_scope(), 0), (for_visitor(), 0), (step.principal.db_scope(), 1)):
        async with step.database.begin(scope) as session:
            for table in (*tables, "consent"):
                seen = await session.scalar(sa.text(f"select least(count(*), 1) from {table}"))
                assert seen == expected, (scope, table)


async def test_presenting_for_another_company_is_refused_by_the_database(step: Step, globex: Principal) -> None:
    assert globex.company is not None
    with pytest.raises((SignatoryRequired, sa.exc.ProgrammingError)):
        async with step.database.begin(for_company(globex.company.id)) as session:
            await step.agreements.present(
                session,
                step.principal,
                checkout_id=step.checkout_id,
                terms=TERMS,
                personal=PERSONAL,
                total=step.total,
                locale="en",
                template_digest="",
                stylesheet_digest="",
                pay_within=timedelta(hours=36),
            )
