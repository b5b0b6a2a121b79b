"""What stands against a book before it is published: errors, which stop it, and warnings, each with a question.

`check` reports everything it finds, also what `MemoryBook` would refuse one at a time.
"""

from collections.abc import Iterable
from datetime import datetime

from pricing.engine.book import BookContent
from pricing.engine.check_classes import Classes
from pricing.engine.check_content import bound_errors, content_errors, idle, sound_entries
from pricing.engine.check_findings import Finding, Severity, Thresholds, Witness, finding_text
from pricing.engine.memory import Book, frame_of
from pricing.engine.request import Buyer
from pricing.engine.rules import Rules

__all__ = ["Finding", "Severity", "Thresholds", "Witness", "check", "finding_text"]


def check(
    content: BookContent,
    *,
    at: datetime,
    buyers: Iterable[Buyer] = (),
    current: Book | None = None,
    thresholds: Thresholds = Thresholds(),  # noqa: B008 - it is frozen
) -> tuple[Finding, ...]:
    """All findings, errors first; prices are looked at when there is no error.

    *at*: when the content takes effect; what lies before is not looked at. *buyers*: those of today. They are told
    apart by the lists and rules that admit them; guests of every country the book names are added, and for an audience
    that nobody matches somebody made up. *current*: the book in force, whose prices are compared.
    """
    known = tuple(buyers)
    entries, details = sound_entries(content)
    found = [*content_errors(content, details, at), *idle(content, at)]
    classes = Classes(content, known)
    if known:
        found.extend(classes.unmatched(content))
    if not any(finding.severity is Severity.ERROR for finding in found):
        rules = Rules(frame_of(content))
        bounds = list(bound_errors(content, entries, rules, at))
        found.extend(bounds)
        if not bounds:
            # the columnar evaluator and numpy are for those who check, not for who serves or replays a price
            from pricing.engine.check_amounts import EntriesBook
            from pricing.engine.check_cells import Cells
            from pricing.engine.check_prices import PriceChecks
            from pricing.engine.check_rules import useless

            cells = Cells(entries, rules, classes, at, current)
            prices = PriceChecks(cells, EntriesBook(rules, entries), current, thresholds)
            found.extend(prices.run())
            found.extend(useless(cells, prices))
    return tuple(sorted(found, key=lambda finding: finding.severity is not Severity.ERROR))
