"""Nouns of pricing as the desk's API says them."""

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from pricing.content import root_text
from pricing.engine.check import Finding
from pricing.findings import finding_text
from pricing.model import PriceDraft, PriceReview
from pricing.reviews import approvals, standing
from pricing.second_look import Demand
from pricing.service import Acknowledgement, Change, LeafState, Standing
from web.api.desk import wire
from web.api.desk.asking import etag_of
from web.people import names_of
from web.services import Services

People = Callable[[uuid.UUID | None], wire.DeskPerson | None]


async def people_of(services: Services, ids: Iterable[uuid.UUID | None]) -> People:
    """Who these are; None stays None: the house's own command line."""
    names = await names_of(services, ids)
    return lambda person_id: None if person_id is None else wire.DeskPerson(id=person_id, name=names[person_id])


def draft_summary(found: PriceDraft, people: People) -> wire.DeskDraftSummary:
    return wire.DeskDraftSummary(
        id=found.id,
        title=found.title,
        state=wire.DeskDraftState(found.state.value),
        version=found.version,
        author=people(found.author_id),
        created_at=found.created_at,
        closed_at=found.closed_at,
    )


async def draft(services: Services, found: PriceDraft) -> wire.DeskDraft:
    steps = await services.reviews.list_steps(found.id)
    given, last = approvals(steps, found.version), standing(steps, found.version)
    people = await people_of(services, [found.author_id, *(each.person_id for each in given)])
    published = services.books.published()
    publication = await services.pricing.find_publication_of(found.id)
    base = None if found.base_root is None else root_text(found.base_root)
    return wire.DeskDraft(
        **msgspec.structs.asdict(draft_summary(found, people)),
        base_root=base,
        moved=bool(published) and published[-1].root != base,
        changes=await services.pricing.count_changes(found.id),
        review=None if last is None else wire.DeskStep(last.step.value),
        publication=None if publication is None else publication.number,
        approvals=tuple(person for each in given if (person := people(each.person_id)) is not None),
    )


def leaf(state: LeafState) -> wire.DeskObject:
    return wire.DeskObject(kind=wire.DeskKind(state.kind), key=state.key, etag=etag_of(state), content=state.content)


def change(found: Change, people: People) -> wire.DeskChange:
    assert found.changed_at is not None, "a draft's change says when it was made"
    return wire.DeskChange(
        kind=wire.DeskKind(found.kind),
        key=found.key,
        before=found.before,
        after=found.after,
        changed_by=people(found.changed_by),
        changed_at=found.changed_at,
    )


async def findings(services: Services, found: Sequence[Standing], language: str) -> tuple[wire.DeskFinding, ...]:
    people = await people_of(services, [each.acknowledged.by for each in found if each.acknowledged is not None])
    return tuple(finding(each.finding, each.digest, each.acknowledged, people, language) for each in found)


def finding(
    found: Finding, digest: str, word: Acknowledgement | None, people: People, language: str, *, text: str | None = None
) -> wire.DeskFinding:
    """*text*: as it was said when a publication was made."""
    witness = found.witness
    return wire.DeskFinding(
        digest=digest,
        code=found.code,
        severity=wire.DeskSeverity(found.severity.value),
        text=finding_text(found, language) if text is None else text,
        params=found.params,
        witness=None
        if witness is None
        else wire.DeskWitness(
            buyer=buyer(witness.buyer),
            currency=witness.currency,
            sku=witness.sku,
            unit=witness.unit,
            quantity=witness.quantity,
            at=witness.at,
        ),
        acknowledged=None
        if word is None
        else wire.DeskAcknowledgement(by=people(word.by), at=word.at, reason=word.reason),
    )


def buyer(found: Any) -> wire.DeskBuyer:
    return wire.DeskBuyer(company=found.company, segments=found.segments, country=found.country)


def demand(found: Demand) -> wire.DeskDemand:
    return wire.DeskDemand(**msgspec.structs.asdict(found))


async def review(services: Services, steps: Sequence[PriceReview]) -> wire.DeskReview:
    people = await people_of(services, [each.person_id for each in steps])
    return wire.DeskReview(
        steps=tuple(
            wire.DeskReviewStep(
                step=wire.DeskStep(each.step.value),
                version=each.draft_version,
                by=person,
                at=each.taken_at,
                comment=each.comment,
            )
            for each in steps
            if (person := people(each.person_id)) is not None
        )
    )
