"""When one approval is not enough: how much a draft moves, measured against what this house has set.

Measured are the SKUs that a draft touches: those whose rows it changes, or that a changed rule, limit or list is for.
Their prices are looked at as the checks before a publication do it, for today's buyers, at every break.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from pricing.content import LeafName, sku_of
from pricing.engine import check
from pricing.engine.book import BookContent, DecimalText, PriceRow, Scope
from pricing.engine.check import Finding, Thresholds
from pricing.engine.memory import Book
from pricing.engine.request import Buyer
from pricing.engine.rules import in_scope

SCOPED: Final = frozenset({"adjustment", "bound", "quantity_rule"})
OF_ALL: Final = frozenset({"strategy", "policy", "layers"})


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What asks for a second approver; None: never. *percent*: a price moves by more; *skus*: more of them are touched;
    *margin*: a touched price leaves less, (price - cost) / price in percent.
    """

    percent: DecimalText | None = None
    skus: int | None = None
    margin: DecimalText | None = None

    @property
    def asks(self) -> bool:
        return self != NO_POLICY


NO_POLICY: Final = Policy()


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """Why a second approver is asked for: *reason* is a field of `Policy`, *limit* what it says, *found* what the draft
    has; *sku* and *currency* of the worst price, None where *skus* are counted.
    """

    reason: str
    limit: str
    found: str
    sku: str | None = None
    currency: str | None = None


def demands(
    policy: Policy,
    content: BookContent,
    changes: Mapping[LeafName, Any],
    latest: Mapping[LeafName, Any],
    *,
    derived: Iterable[PriceRow],
    at: datetime,
    buyers: Collection[Buyer],
    current: Book | None,
) -> tuple[Demand, ...]:
    """*content*: what would be published; *changes*: of the draft, over *latest*, what was stated last; *derived*: the
    rows of *content* that follow from formulas; *current*: the book published last.
    """
    if not policy.asks:
        return ()
    skus = touched(content, changes, latest, derived=derived, current=current)
    found = []
    if policy.skus is not None and len(skus) > policy.skus:
        found.append(Demand(reason="skus", limit=str(policy.skus), found=str(len(skus))))
    if skus and (policy.percent is not None or policy.margin is not None):
        thresholds = Thresholds(margin_percent=policy.margin or "0", jump_percent=policy.percent or "25")
        looked_at = check(_of_skus(content, skus), at=at, buyers=buyers, current=current, thresholds=thresholds)
        found += _worst(looked_at, "price_jumps", "percent", policy.percent)
        found += _worst(looked_at, "low_margin", "margin", policy.margin)
    return tuple(found)


def touched(
    content: BookContent,
    changes: Mapping[LeafName, Any],
    latest: Mapping[LeafName, Any],
    *,
    derived: Iterable[PriceRow],
    current: Book | None,
) -> frozenset[str]:
    """The SKUs of *content* whose price the draft may move."""
    known = {facts.sku for facts in content.skus}
    real = {name: noun for name, noun in changes.items() if latest.get(name) != noun}
    if any(kind in OF_ALL for kind, _ in real):
        return frozenset(known)
    found = {sku for name in real if (sku := sku_of(name)) is not None}
    sides = [(noun, latest.get(name)) for name, noun in real.items() if name[0] in SCOPED]
    scopes = [noun.scope for pair in sides for noun in pair if noun is not None]
    found |= set(_in_scopes(content, scopes))
    lists = {key[0] for kind, key in real if kind == "list"}
    if lists:
        found |= {row.sku for row in content.rows if row.list in lists}
    found |= set(_moved(derived, current))
    return frozenset(found & known)


def _in_scopes(content: BookContent, scopes: Collection[Scope]) -> Iterator[str]:
    if scopes:
        yield from (facts.sku for facts in content.skus if any(in_scope(scope, facts) for scope in scopes))


def _moved(derived: Iterable[PriceRow], current: Book | None) -> Iterator[str]:
    """SKUs with a derived row that the current book has otherwise."""
    of_sku: dict[str, list[PriceRow]] = {}
    for row in derived:
        of_sku.setdefault(row.sku, []).append(row)
    for sku, rows in of_sku.items():
        entry = None if current is None else current.entry(sku)
        if entry is None or any(row not in entry.rows for row in rows):
            yield sku


def _of_skus(content: BookContent, skus: Collection[str]) -> BookContent:
    """The content as far as it prices these SKUs; the facts of others stay, for rules may name them."""
    return msgspec.structs.replace(
        content,
        rows=tuple(row for row in content.rows if row.sku in skus),
        costs=tuple(cost for cost in content.costs if cost.sku in skus),
    )


def _worst(found: Iterable[Finding], code: str, measure: str, limit: str | None) -> list[Demand]:
    """The finding of *code* whose *measure* lies furthest out."""
    of_code = [finding for finding in found if finding.code == code]
    if not of_code or limit is None:
        return []
    jumps = measure == "percent"
    worst = max(of_code, key=lambda each: abs(_number(each, measure)) if jumps else -_number(each, measure))
    return [
        Demand(
            reason=measure,
            limit=limit,
            found=worst.params[measure],
            sku=worst.params["sku"],
            currency=worst.params["currency"],
        )
    ]


def _number(finding: Finding, measure: str) -> Decimal:
    return Decimal(finding.params[measure].replace("∞", "Infinity"))
