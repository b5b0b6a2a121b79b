"""Which documents are asked for, and what a country's law adds, as the legal desk edits them: at once, with a log."""

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from agreements import legal_store, store
from agreements.in_force import find_in_force
from agreements.legal_model import AgreementAct, CountryProfile, DocumentRule
from agreements.rules import Judged, OrderFacts, judge
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import Conflict, NotFound, Refused
from kernel.ids import new_id

NAME_MOST: Final = 200
COUNTRY: Final = re.compile(r"[A-Z]{2}")
LOCALES: Final = ("en", "es")


class RuleNotFound(NotFound):
    problem = "document-rule-not-found"
    title = "There is no such rule"


class RuleMoved(Conflict):
    problem = "document-rule-moved"
    title = "The rule was changed meanwhile"


class RuleUnusable(Refused):
    """`extra["fields"]` names the fields to mend, each with a sentence."""

    problem = "document-rule-unusable"
    title = "The rule cannot be kept as it is"

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__(" ".join(fields.values()), fields=self.fields)


class RuleTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule says; None is any. *document* is a code."""

    document: str
    name: str
    starts_at: datetime
    ends_at: datetime | None = None
    countries: tuple[str, ...] | None = None
    categories: tuple[str, ...] | None = None
    companies: tuple[str, ...] | None = None
    currency: str | None = None
    from_minor: int | None = None
    to_minor: int | None = None


class RuleDesk:
    def __init__(self, db: Database, clock: Clock) -> None:
        self.db = db
        self.clock = clock

    async def list_rules(self) -> Sequence[DocumentRule]:
        """By document, then by name; those that have ended too."""
        async with self.db.reading(for_staff()) as session:
            return await legal_store.list_rule_rows(session)

    async def find(self, rule_id: uuid.UUID) -> DocumentRule:
        """:raises RuleNotFound: when there is none"""
        async with self.db.reading(for_staff()) as session:
            found = await legal_store.find_rule(session, rule_id)
        if found is None:
            raise RuleNotFound("There is no such rule.")
        return found

    async def put(self, rule_id: uuid.UUID | None, terms: RuleTerms, *, version: int, by: uuid.UUID) -> uuid.UUID:
        """Change a rule, or add one where *rule_id* is None. Checkouts go by it from their next page on; an agreement
        that somebody is looking at is refused as changed when it asks for others now.

        :param version: of the rule that *by* looked at
        :raises RuleUnusable: naming the fields to mend
        :raises RuleMoved: when somebody changed it since
        :raises RuleNotFound: when there is none
        """
        _check(terms)
        async with self.db.begin(for_staff()) as session:
            document = await store.find_document(session, terms.document)
            if document is None:
                raise RuleUnusable({"document": "Choose a document."})
            rule = None
            if rule_id is not None:
                rule = await legal_store.lock_rule(session, rule_id)
                if rule is None:
                    raise RuleNotFound("There is no such rule.")
                if rule.version != version or rule.document_id != document.id:
                    raise RuleMoved("Somebody else changed the rule since you opened this page.")
            before = None if rule is None else _said(rule)
            if rule is None:
                rule = DocumentRule(
                    id=new_id(), document_id=document.id, name=terms.name, starts_at=terms.starts_at, version=0
                )
                session.add(rule)
            rule.name, rule.starts_at, rule.ends_at = terms.name, terms.starts_at, terms.ends_at
            rule.countries, rule.categories = _listed(terms.countries), _listed(terms.categories)
            rule.companies, rule.currency = _listed(terms.companies), terms.currency
            rule.from_minor, rule.to_minor = terms.from_minor, terms.to_minor
            rule.version += 1
            self._note(
                session,
                "rule_added" if before is None else "rule_changed",
                f"{document.code}: {terms.name}",
                by,
                {"rule": str(rule.id), "before": before, "after": _said(rule)},
            )
            return rule.id

    async def try_it(self, facts: OrderFacts) -> dict[str, list[Judged]]:
        """What each rule says to such an order now, by document: why it is asked for, or why not."""
        now = self.clock.now()
        async with self.db.reading(for_staff()) as session:
            rules = (await find_in_force(session, now)).rules
        found: dict[str, list[Judged]] = {}
        for rule in rules:
            found.setdefault(rule.document, []).append(judge(rule, facts, now))
        return found

    async def list_profiles(self) -> Sequence[CountryProfile]:
        async with self.db.reading(for_staff()) as session:
            return await legal_store.list_profiles(session)

    async def put_profile(
        self, country: str, *, onerous: Mapping[str, str], business: Mapping[str, str], version: int, by: uuid.UUID
    ) -> None:
        """Say which law a country's buyers are asked under, by language; empty texts add nothing.

        :param version: of the profile that *by* looked at; 0 where there was none
        :raises RuleUnusable: naming the fields to mend
        :raises RuleMoved: when somebody changed it since
        """
        texts = [*onerous.values(), *business.values()]
        wrong = {}
        if COUNTRY.fullmatch(country) is None:
            wrong["country"] = "Write the country as two capital letters, like IT."
        if any(len(text) > NAME_MOST or not text.isprintable() for text in texts):
            wrong["reference"] = f"Write up to {NAME_MOST} characters on one line."
        if wrong:
            raise RuleUnusable(wrong)
        kept = {name: {locale: text for locale, text in each.items() if text} for name, each in
                (("onerous", onerous), ("business", business))}  # fmt: skip
        async with self.db.begin(for_staff()) as session:
            found = await legal_store.lock_profile(session, country)
            if (0 if found is None else found.version) != version:
                raise RuleMoved("Somebody else changed this country since you opened this page.")
            before = (
                None if found is None else {"onerous": found.onerous_reference, "business": found.business_reference}
            )
            if found is None:
                found = CountryProfile(country=country, onerous_reference={}, business_reference={}, version=0)
                session.add(found)
            found.onerous_reference, found.business_reference = kept["onerous"], kept["business"]
            found.version += 1
            self._note(session, "country_changed", country, by, {"before": before, "after": kept})

    def _note(self, session: Any, act: str, subject: str, by: uuid.UUID, details: dict[str, Any]) -> None:
        session.add(
            AgreementAct(id=new_id(), at=self.clock.now(), person_id=by, act=act, subject=subject, details=details)
        )


def _check(terms: RuleTerms) -> None:
    named = terms.from_minor is not None or terms.to_minor is not None
    wrong = {
        "name": not 0 < len(terms.name) <= NAME_MOST or not terms.name.isprintable(),
        "ends_at": terms.ends_at is not None and terms.ends_at <= terms.starts_at,
        "countries": any(COUNTRY.fullmatch(country) is None for country in terms.countries or ()),
        "currency": (terms.currency is not None) is not named,
        "amount_from": (terms.from_minor or 0) < 0
        or (terms.to_minor is not None and terms.to_minor <= (terms.from_minor or 0)),
    }
    sentences = {
        "name": f"Write a name of 1 to {NAME_MOST} characters; buyers read it.",
        "ends_at": "The end must lie after the start.",
        "countries": "Write countries as two capital letters.",
        "currency": "Name a currency exactly when you name an amount.",
        "amount_from": "The lower amount must lie below the upper one.",
    }
    if any(wrong.values()):
        raise RuleUnusable({name: sentences[name] for name, refused in wrong.items() if refused})


def _said(rule: DocumentRule) -> dict[str, Any]:
    """What a rule says, for the log."""
    names = ("name", "countries", "categories", "companies", "currency", "from_minor", "to_minor")
    return {
        **{name: value for name in names if (value := getattr(rule, name)) is not None},
        "starts_at": rule.starts_at.isoformat(),
        "ends_at": None if rule.ends_at is None else rule.ends_at.isoformat(),
    }


def _listed(codes: tuple[str, ...] | None) -> list[str] | None:
    return sorted(set(codes)) if codes else None
