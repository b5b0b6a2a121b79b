"""Which versions an order is asked for: rules choose the documents, time and language choose their versions.

A signed quote keeps the rules of its day and the labels it names, but for those withdrawn since.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Self

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from agreements import legal_store, wording
from agreements.in_force import InForce, Version, find_in_force
from agreements.model import DocumentKind, PresentedDocument
from agreements.rules import OrderFacts, asked_for, may_concern
from kernel.money import Money

LEAVES_MOST: Final = 200
"""Of a company's rows in the ledger: what it agreed to last stands in the newest, but for documents of rare goods."""


class Quoted(msgspec.Struct, frozen=True, kw_only=True):
    """What a signed quote keeps: its instant, and the label of each document it names."""

    at: datetime
    labels: Mapping[str, str]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at to choose the documents. It stands in the presentation: who accepts is judged by the same."""

    country: str
    company: str | None = None
    categories: tuple[str, ...] = ()
    """Of the goods, from the top category down to each line's own; sorted."""
    quoted: Quoted | None = None

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """Of a presentation's content."""
        return msgspec.convert(content["asked"], cls)


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """*versions*: one of each document, in order. *rules*: the names of those that asked for it, by document."""

    versions: tuple[Version, ...]
    rules: dict[str, tuple[str, ...]]
    readable: tuple[Version, ...]
    """Every version in force or followed by another since, but those withdrawn: by document, the latest first."""


async def choose(session: AsyncSession, asked: Asked, locale: str, *, total: Money | None, now: datetime) -> Chosen:
    """What an order is asked for at *now*: in *locale*, else in English, else in the language there is."""
    return choose_of(await find_in_force(session, now), asked, locale, total=total, now=now)


def choose_of(in_force: InForce, asked: Asked, locale: str, *, total: Money | None, now: datetime) -> Chosen:
    """As `choose`, of what was found in force at *now*."""
    facts = OrderFacts(
        country=asked.country, company=asked.company, categories=frozenset(asked.categories), total=total
    )
    rules = asked_for(in_force.rules, facts, asked.quoted.at if asked.quoted else now)
    kept = asked.quoted.labels if asked.quoted else {}
    by_code: dict[str, list[Version]] = {}
    for version in in_force.versions:
        if version.document.code in rules:
            by_code.setdefault(version.document.code, []).append(version)
    versions = []
    for code, published in by_code.items():
        labels = {version.label for version in published}
        label = kept[code] if kept.get(code) in labels else published[0].label
        versions.append(_in_language([version for version in published if version.label == label], locale))
    return Chosen(
        versions=tuple(versions),
        rules={code: tuple(rule.name for rule in rules[code]) for code in by_code},
        readable=in_force.versions,
    )


async def choose_all(session: AsyncSession, asked: Asked, locale: str, *, now: datetime) -> Chosen:
    """Every document that some order of the company may be asked for, whatever it holds and comes to."""
    in_force = await find_in_force(session, now)
    wanted = may_concern(in_force.rules, country=asked.country, company=asked.company or "", at=now)
    by_code: dict[str, list[Version]] = {}
    for version in in_force.versions:
        if version.document.code in wanted:
            by_code.setdefault(version.document.code, []).append(version)
    return Chosen(
        versions=tuple(
            _in_language([each for each in published if each.label == published[0].label], locale)
            for published in by_code.values()
        ),
        rules={code: tuple(rule.name for rule in in_force.rules if rule.document == code) for code in by_code},
        readable=in_force.versions,
    )


def uncovered(presented: Sequence[PresentedDocument], chosen: Chosen) -> tuple[str, ...]:
    """Codes of contracts among those chosen that were not presented, or of which a material version came since."""
    known = {document.code: document for document in presented}
    return tuple(
        version.document.code
        for version in chosen.versions
        if version.document.kind is DocumentKind.AGREE
        and (
            version.document.code not in known
            or not (
                known[version.document.code].label == version.label
                or _followed_by_minor_ones(known[version.document.code], chosen.readable)
            )
        )
    )


def still_stands(presented: Sequence[PresentedDocument], chosen: Chosen) -> bool:
    """Whether what was presented may be accepted still: the same documents, each in the version chosen now or in one
    after which only minor versions came. Withdrawn versions never.
    """
    if [document.code for document in presented] != [version.document.code for version in chosen.versions]:
        return False
    return all(
        (document.label, document.locale, document.html_sha256) == (version.label, version.locale, version.html_sha256)
        or _followed_by_minor_ones(document, chosen.readable)
        for document, version in zip(presented, chosen.versions, strict=True)
    )


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A document whose version is another than the company agreed to last. *material*: so is a version since."""

    code: str
    since: str
    label: str
    material: bool


async def last_agreed(session: AsyncSession, company_id: uuid.UUID) -> dict[str, str]:
    """By document, the label that the company agreed to last: as the ledger has it, in whatever way it agreed."""
    found: dict[str, str] = {}
    for leaf in await legal_store.list_agreed_leaves(session, company_id, LEAVES_MOST):
        for document in leaf.content["documents"]:
            if document.get("kind") == DocumentKind.AGREE:
                found.setdefault(document["code"], document["label"])
    return found


def changes_since(agreed: Mapping[str, str], chosen: Chosen) -> tuple[Change, ...]:
    """What is asked for now and differs from what was agreed to last; documents never agreed to are no change."""
    changes = []
    for version in chosen.versions:
        code, since = version.document.code, agreed.get(version.document.code)
        if since is not None and since != version.label:
            newer = [each for each in chosen.readable if each.document.code == code]
            labels = [each.label for each in newer]
            newer = newer[labels.index(version.label) : labels.index(since) if since in labels else None]
            changes.append(
                Change(code=code, since=since, label=version.label, material=any(each.material for each in newer))
            )
    return tuple(changes)


def _followed_by_minor_ones(document: PresentedDocument, readable: Sequence[Version]) -> bool:
    for version in (each for each in readable if each.document.code == document.code):
        if (version.label, version.locale) == (document.label, document.locale):
            return version.html_sha256 == document.html_sha256
        if version.material and version.label != document.label:
            return False
    return False


def _in_language(texts: Sequence[Version], locale: str) -> Version:
    by_locale = {version.locale: version for version in reversed(texts)}
    return by_locale.get(locale) or by_locale.get(wording.DEFAULT_LOCALE) or texts[0]
