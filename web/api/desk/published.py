"""Publications and files as the desk's API says them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from pricing.content import root_text
from pricing.engine.check import Finding
from pricing.import_model import PriceImport
from pricing.model import PricePublication
from pricing.second_look import Demand
from pricing.service import Acknowledgement
from web.api.desk import shaping, wire_published
from web.services import Services

ERRORS_SHOWN = 200


async def summaries(
    services: Services, found: Sequence[PricePublication]
) -> tuple[wire_published.DeskPublicationSummary, ...]:
    people = await shaping.people_of(
        services, [person for each in found for person in (each.author_id, each.published_by)]
    )
    return tuple(_summary(services, each, people) for each in found)


async def publication(services: Services, found: PricePublication) -> wire_published.DeskPublication:
    words = [_word(finding) for finding in found.findings]
    people = await shaping.people_of(
        services,
        [
            found.author_id,
            found.published_by,
            found.approved_by,
            found.second_approved_by,
            *(word.by for word in words if word is not None),
        ],
    )
    return wire_published.DeskPublication(
        **msgspec.structs.asdict(_summary(services, found, people)),
        approval=wire_published.DeskApproval(found.approval.value),
        approved_by=people(found.approved_by),
        approved_at=found.approved_at,
        second_approved_by=people(found.second_approved_by),
        second_approved_at=found.second_approved_at,
        demands=tuple(shaping.demand(msgspec.convert(each, Demand)) for each in found.demands),
        findings=tuple(
            shaping.finding(
                msgspec.convert({name: each[name] for name in Finding.__struct_fields__}, Finding),
                each["digest"],
                word,
                people,
                "en",
                text=each["text"],
            )
            for each, word in zip(found.findings, words, strict=True)
        ),
    )


def staged(found: PriceImport, people: shaping.People) -> wire_published.DeskImport:
    report: dict[str, Any] = found.report or {"errors": [], "errors_total": 0, "notes": []}
    return wire_published.DeskImport(
        id=found.id,
        draft=found.draft_id,
        name=found.name,
        size=found.size,
        state=wire_published.DeskImportState(found.state.value),
        share_read=found.share_read,
        rows_read=found.rows_read,
        errors_total=report["errors_total"],
        errors=tuple(
            wire_published.DeskRowError(
                sheet=each["file"],
                row=each["line"] or 0,
                cell=each["cell"] or "",
                column=each["column"] or "",
                value=str(each["value"] or ""),
                error=each["message"],
            )
            for each in report["errors"][:ERRORS_SHOWN]
        ),
        notes=tuple(report["notes"]),
        added=found.added,
        changed=found.changed,
        removed=found.removed,
        created_by=people(found.created_by),
        created_at=found.created_at,
        read_at=found.read_at,
        closed_at=found.closed_at,
    )


def _summary(
    services: Services, found: PricePublication, people: shaping.People
) -> wire_published.DeskPublicationSummary:
    now, books = services.clock.now(), services.books
    standing = wire_published.DeskStanding.PAST
    if found.effective_at > now:
        standing = wire_published.DeskStanding.UPCOMING
    elif books.published() and books.in_force(now).number == found.number:
        standing = wire_published.DeskStanding.IN_FORCE
    return wire_published.DeskPublicationSummary(
        number=found.number,
        root=root_text(found.root),
        standing=standing,
        effective_at=found.effective_at,
        published_at=found.published_at,
        author=people(found.author_id),
        published_by=people(found.published_by),
        draft=found.draft_id,
        restores=found.restores,
        note=found.note,
    )


def _word(finding: dict[str, Any]) -> Acknowledgement | None:
    return msgspec.convert(finding["acknowledged"], Acknowledgement) if "acknowledged" in finding else None
