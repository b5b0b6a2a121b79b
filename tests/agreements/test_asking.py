"""What the step asks for: by goods and amount, by the buyer's country, and across versions."""

from datetime import timedelta
from typing import Any

import pytest

from agreements.asking import Quoted
from agreements.model import Presentation, Verb
from agreements.service import BoxNotTicked, PresentationStale
from agreements.verify import verify_receipt
from kernel.clock import FixedClock
from kernel.db import Database, for_staff
from kernel.ids import new_id
from kernel.money import Money
from tests.agreements.conftest import BOXES, Step, make_member

NEWER = "# Terms\n\n## In short\n\n- Other terms.\n\n## 1. Scope\n\nAll orders.\n"


async def present(step: Step, *, locale: str = "en", **more: Any) -> Presentation:
    async with step.database.begin(step.principal.db_scope()) as session:
        return await step.agreements.present(
            session,
            step.principal,
            checkout_id=step.checkout_id,
            terms=step.terms,
            personal=step.personal,
            total=step.total,
            locale=locale,
            template_digest="sha256:" + "a" * 64,
            stylesheet_digest="sha256:" + "b" * 64,
            pay_within=timedelta(days=7),
            **more,
        )


async def publish(step: Step, label: str, *, material: bool, locale: str = "en") -> None:
    async with step.database.begin(for_staff()) as session:
        await step.agreements.publish_version(
            session,
            code="master-terms",
            label=label,
            locale=locale,
            title="Master Terms of Sale",
            source=NEWER,
            material=material,
        )


def labels(presentation: Presentation) -> dict[str, str]:
    return {document.code: document.label for document in presentation.documents}


async def test_goods_and_amount_bring_their_own_documents_and_the_presentation_says_by_which_rule(step: Step) -> None:
    large = step.but(total=Money(5_000_000, "EUR"))

    presentation = await present(large, categories=["ADHESIVES", "ADHESIVES.LUBRICANTS.SPRAYS"])

    assert list(labels(presentation)) == [
        *("master-terms", "data-processing", "privacy-notice", "dangerous-goods", "large-orders")
    ]
    assert presentation.content["rules"]["large-orders"] == ["Orders of 50,000 EUR and more"]
    assert presentation.content["asked"]["categories"] == ["ADHESIVES", "ADHESIVES.LUBRICANTS.SPRAYS"]
    assert "Conditions for Dangerous Goods v1.0 and the Conditions for Large Orders v1.0" in (
        presentation.statements[0].text
    )
    acceptance = await large.accept(presentation)
    checks = verify_receipt(await large.receipt(acceptance.order_id))
    assert {check.outcome for check in checks} == {"passed", "skipped"}


async def test_each_presented_version_names_the_digest_of_its_pdf(step: Step) -> None:
    presentation = await present(step)

    assert all(str(document.pdf_sha256).startswith("sha256:") for document in presentation.documents)


async def test_in_italy_onerous_clauses_are_approved_by_a_box_of_their_own(
    step: Step, database: Database, clock: FixedClock
) -> None:
    principal, _ = await make_member(database, clock, name="Initech S.p.A.", country="IT")
    italian = step.but(principal=principal, checkout_id=new_id())

    presentation = await present(italian)

    assert [statement.id for statement in presentation.statements[:4]] == ["agree", "onerous", "authority", "business"]
    onerous = presentation.statements[1]
    assert (onerous.verb, onerous.required) == (Verb.AGREE, True)
    assert onerous.text == (
        "By ticking this second box, Initech S.p.A. specifically approves, under articles 1341 and 1342 of the Italian "
        "Civil Code, these clauses: of the Master Terms of Sale v3.1: 3.3 Mistaken prices, 6.1 Time for complaints, "
        "8.2 Limit of liability, 10.2 Law and courts."
    )
    assert presentation.statements[3].text.endswith("not as a consumer (article 3 of the Italian Consumer Code).")
    with pytest.raises(BoxNotTicked) as refused:
        await italian.accept(presentation, ticked=BOXES)
    assert refused.value.extra == {"boxes": ["onerous"]}
    acceptance = await italian.accept(presentation, ticked=BOXES | {"onerous"})
    assert "onerous" in acceptance.ticked
    checks = verify_receipt(await italian.receipt(acceptance.order_id))
    assert {check.outcome for check in checks} == {"passed", "skipped"}


async def test_the_second_box_names_the_clauses_of_every_document_in_the_checkouts_language(
    step: Step, database: Database, clock: FixedClock
) -> None:
    principal, _ = await make_member(database, clock, name="Initech S.p.A.", country="IT")
    large = step.but(principal=principal, checkout_id=new_id(), total=Money(6_000_000, "EUR"))

    text = (await present(large, locale="es")).statements[1].text

    assert text.endswith(
        "según los artículos 1341 y 1342 del Código Civil italiano, estas cláusulas: de Condiciones Generales de Venta "
        "v3.1: 3.3 Precios erróneos, 6.1 Plazo de reclamación, 8.2 Límite de responsabilidad, 10.2 Ley y tribunales; "
        "de Condiciones para Pedidos Grandes v1.0: 2.1 Cambios, 3.1 Almacenaje."
    )


async def test_a_minor_version_does_not_ask_again_while_the_page_is_open(step: Step, clock: FixedClock) -> None:
    presentation = await present(step)
    await publish(step, "3.2", material=False)
    clock.advance(seconds=1)

    acceptance = await step.accept(presentation)

    receipt = await step.receipt(acceptance.order_id)
    assert receipt["acceptance"]["documents"][0]["label"] == "3.1"


async def test_a_material_version_asks_again_even_behind_a_minor_one(step: Step, clock: FixedClock) -> None:
    presentation = await present(step)
    await publish(step, "4.0", material=True)
    clock.advance(seconds=1)
    await publish(step, "4.1", material=False)
    clock.advance(seconds=1)

    with pytest.raises(PresentationStale) as refused:
        await step.accept(presentation)
    assert refused.value.extra == {"changed": ["documents"]}


async def test_a_quote_keeps_its_versions_unless_one_was_withdrawn(step: Step, clock: FixedClock) -> None:
    quoted = Quoted(at=clock.now(), labels={"master-terms": "3.1", "data-processing": "2.0", "privacy-notice": "1.4"})
    clock.advance(days=1)
    await publish(step, "4.0", material=True)
    clock.advance(seconds=1)
    assert labels(await present(step))["master-terms"] == "4.0"

    kept = await present(step, quoted=quoted)
    assert labels(kept)["master-terms"] == "3.1"
    async with step.database.begin(for_staff()) as session:
        for locale in ("en", "es"):
            await step.agreements.withdraw_version(session, code="master-terms", label="3.1", locale=locale)
    clock.advance(seconds=1)
    with pytest.raises(PresentationStale):
        await step.accept(kept)
    assert labels(await present(step, quoted=quoted))["master-terms"] == "4.0"


async def test_an_order_by_a_quote_is_accepted_on_the_versions_of_the_quote(step: Step, clock: FixedClock) -> None:
    quoted = Quoted(at=clock.now(), labels={"master-terms": "3.1"})
    await publish(step, "4.0", material=True)
    clock.advance(seconds=1)

    acceptance = await step.accept(await present(step, quoted=quoted))

    receipt = await step.receipt(acceptance.order_id)
    assert receipt["acceptance"]["documents"][0]["label"] == "3.1"
