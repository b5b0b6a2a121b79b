"""Whom a book is checked for: one buyer of each class that its lists and rules can tell apart."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pricing.engine.book import Adjustment, BookContent, PriceList
from pricing.engine.check_findings import Finding, warning
from pricing.engine.request import Buyer
from pricing.engine.rules import admits

_Marks = tuple[frozenset[int], frozenset[int]]


class BuyerClass(NamedTuple):
    """*buyer* stands for all who match the same audiences; *public* is a guest whose goods go to the same country."""

    buyer: Buyer
    public: Buyer


class Classes:
    """The classes of a book's buyers: guests of every country it names, each buyer passed in, and, for an audience that
    none of them matches, somebody made up of what it states, so that a contract is checked before its company exists.
    """

    def __init__(self, content: BookContent, buyers: Iterable[Buyer]) -> None:
        nouns: list[PriceList | Adjustment] = [*content.lists, *content.adjustments]
        self._audiences = list(dict.fromkeys(noun.audience for noun in nouns))
        self._countries = list(dict.fromkeys(frozenset(one.conditions.countries) for one in content.adjustments))
        self._named_companies = {audience.company for audience in self._audiences}
        self._named_segments = {segment for audience in self._audiences for segment in audience.segments}
        stated = [country for audience in self._audiences for country in audience.countries]
        self._named_countries = frozenset(stated).union(*self._countries)
        self._found: dict[_Marks, Buyer] = {}
        self._seen: set[Buyer] = set()
        for country in (None, *sorted(self._named_countries)):
            self._add(Buyer(country=country))
        for buyer in buyers:
            self._add(buyer)
        self._real = {number for admitted, _ in self._found for number in admitted}
        for number, audience in enumerate(self._audiences):
            if number not in self._real:
                self._add(
                    Buyer(
                        company=audience.company,
                        segments=audience.segments[:1],
                        country=audience.countries[0] if audience.countries else None,
                    )
                )

    def __iter__(self) -> Iterator[BuyerClass]:
        for buyer in self._found.values():
            country = buyer.country if buyer.country in self._named_countries else None
            yield BuyerClass(buyer, Buyer(country=country))

    def unmatched(self, content: BookContent) -> Iterator[Finding]:
        """Lists and rules for whom no buyer of today, and no guest, is."""
        numbers = {audience: number for number, audience in enumerate(self._audiences)}
        for kind, nouns in (("list", content.lists), ("adjustment", content.adjustments)):
            for noun in nouns:
                if numbers[noun.audience] not in self._real:
                    yield warning("matches_nobody", kind=kind, key=noun.code)

    def _add(self, buyer: Buyer) -> None:
        told = Buyer(
            company=buyer.company if buyer.company in self._named_companies else None,
            segments=tuple(sorted(self._named_segments.intersection(buyer.segments))),
            country=buyer.country if buyer.country in self._named_countries else None,
        )
        if told not in self._seen:
            self._seen.add(told)
            self._found.setdefault(self._marks(told), buyer)

    def _marks(self, buyer: Buyer) -> _Marks:
        return (
            frozenset(number for number, audience in enumerate(self._audiences) if admits(audience, buyer)),
            frozenset(number for number, countries in enumerate(self._countries) if buyer.country in countries),
        )


def who(buyer: Buyer) -> str:
    """A buyer's name in a finding: the company, or what makes up somebody who has none."""
    return buyer.company or ", ".join(filter(None, [*buyer.segments, buyer.country]))
