"""What was typed into a form of the desk, read as the book wants it; what cannot be read is said beside its field.

Numbers keep the house's point; in Spanish a single comma is taken for one. Instants are UTC.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from kernel.money import MalformedDecimal, normal, ratio
from web.http import Form
from web.labels import N_
from web.pages import translations

CODE: Final = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
COUNTRY: Final = re.compile(r"[A-Z]{2}")
CURRENCY: Final = re.compile(r"[A-Z]{3}")
_BETWEEN: Final = re.compile(r"[,;\s]+")
_COMMA_DECIMAL: Final = re.compile(r"-?[0-9]+,[0-9]+")
PRIORITY_MOST: Final = 1_000_000

TEXTS: Final = {
    "required": N_("Fill this in."),
    "decimal": N_("Write a number like 12.50, with a point and without thousands separators."),
    "too_large": N_("No order comes to that much. Write a smaller amount."),
    "too_long": N_("Write a number of at most 18 digits before the point and 12 after it."),
    "negative": N_("This cannot be below 0."),
    "positive": N_("This must be above 0."),
    "over_hundred": N_("A discount of more than 100 % would make the price negative."),
    "whole": N_("Write a whole number, like 10."),
    "instant": N_("Write a date and time like 2026-12-01T00:00. It is read as UTC."),
    "ends_before": N_("The end must lie after the start."),
    "code": N_("Write a code of 1 to 200 characters without line breaks."),
    "segments": N_("Write one segment a line, each of at most 200 characters and without semicolons."),
    "segments_most": N_("A company is in at most %(most)s segments."),
    "segments_same": N_("Nothing is changed yet. Tick or untick a segment."),
    "codes": N_("Write one code a line, each of at most 200 characters."),
    "country": N_("Write countries as two capital letters, like ES, PT."),
    "currency_one": N_("Write one currency that we know as three capital letters, like EUR."),
    "net_days": N_("Write 1 to 365 days."),
    "currency": N_("Write currencies as three capital letters, like EUR, USD."),
    "tick": N_("Tick at least one."),
    "file": N_("Choose a file that is not empty."),
    "choose": N_("Choose one from the list."),
    "unknown_sku": N_("The catalogue has no SKU %(name)s."),
    "unknown_category": N_("The catalogue has no category %(name)s."),
    "unknown_brand": N_("The catalogue has no brand %(name)s."),
    "unknown_company": N_("There is no company %(name)s."),
    "tiers_ascend": N_("Each line must begin at a larger quantity than the one before it, which begins at %(last)s."),
    "graduated_from_zero": N_("Graduated prices begin above 0."),
    "price_missing": N_("Write at least one price."),
    "row_exists": N_("This list has a price of this unit and start already. Edit that one, or choose another start."),
    "rule_exists": N_("There is a rule of this code already. Choose another code."),
    "more_than_left": N_("At most %(left)s can be given back."),
    "too_fine": N_("Write no more decimals than %(currency)s has."),
    "steps": N_("Write one step a line: the quantity it begins at and the percentage, like 10 5."),
    "steps_ascend": N_("The steps must ascend."),
    "one_currency": N_("A condition on an amount needs exactly one currency. Name it below."),
    "scope_empty": N_("Say what the rule is for: everything, or SKUs, categories or brands."),
    "bounds_crossed": N_("The upper bound lies below the lower one."),
    "long_text": N_("Write at most %(most)s characters."),
    "list_exists": N_("There is a price list of this code already. Choose another code."),
    "bound_exists": N_("There is a floor or ceiling of this code already. Choose another code."),
    "quantity_rule_exists": N_("There is a quantity rule of this code already. Choose another code."),
    "both_titles": N_("Write the title in both languages, or in neither."),
    "unknown_list": N_("There is no price list %(name)s."),
    "unknown_unit": N_("No SKU is sold by %(name)s."),
    "margin": N_("No price has a margin of 100 % or more."),
    "margins_crossed": N_("The largest margin lies below the smallest one."),
    "follows_itself": N_("A list cannot follow itself."),
    "prices": N_("Write one currency and price a line, like EUR 12.50."),
    "currency_twice": N_("%(name)s is stated twice."),
    "limit_missing": N_("State at least one: minimum, maximum or multiple."),
    "layer_missing": N_("Write at least one layer."),
    "groups_missing": N_("Write at least one group."),
    "code_twice": N_("%(name)s stands here twice."),
    "decimals": N_("Write 0 to 12, or leave it empty for the currency's own."),
}


LABELS: Final = {
    "code": N_("Code"),
    "title": N_("Title"),
    "title_en": N_("Title in English"),
    "title_es": N_("Title in Spanish"),
    "place": N_("Layer and group"),
    "priority": N_("Priority"),
    "effect": N_("Effect"),
    "percent": N_("Percentage"),
    "amount": N_("Amount"),
    "price": N_("Fixed unit price"),
    "buy": N_("Buy"),
    "get": N_("Get free"),
    "steps": N_("Steps by quantity"),
    "skus": N_("SKUs"),
    "sku": N_("SKUs"),
    "categories": N_("Categories"),
    "brands": N_("Brands"),
    "excluded_skus": N_("Without these SKUs"),
    "excluded_categories": N_("Without these categories"),
    "excluded_brands": N_("Without these brands"),
    "company": N_("Company"),
    "segments": N_("Segments"),
    "segment": N_("Segments"),
    "others": N_("Other segments"),
    "file": N_("File"),
    "audience_countries": N_("Countries of delivery"),
    "min_quantity": N_("Quantity at least"),
    "max_quantity": N_("Quantity at most"),
    "min_line_amount": N_("Line amount at least"),
    "max_line_amount": N_("Line amount at most"),
    "min_subtotal": N_("Order subtotal at least"),
    "max_subtotal": N_("Order subtotal at most"),
    "currencies": N_("Currencies"),
    "countries": N_("Delivered to"),
    "starts_at": N_("Starts"),
    "ends_at": N_("Ends"),
    "list": N_("Price list"),
    "unit": N_("Unit"),
    "quantity": N_("Quantities"),
    "at": N_("Prices as of"),
    "effective_at": N_("Instant"),
    "when": N_("When"),
    "note": N_("Why"),
    "warning": N_("Warnings"),
    "reason": N_("Reason"),
    "accept": N_("What was found"),
    "comment": N_("Comment"),
    "currency": N_("Currency"),
    "base": N_("Follows"),
    "derived_percent": N_("Percent added"),
    "multiple_of": N_("Rounded to a multiple of"),
    "mode": N_("How it is rounded"),
    "ending": N_("Added after rounding"),
    "min_margin": N_("Margin at least"),
    "max_margin": N_("Margin at most"),
    "side": N_("Floor or ceiling"),
    "limit": N_("Stated as"),
    "prices": N_("Prices"),
    "margin": N_("Margin"),
    "minimum": N_("Minimum"),
    "maximum": N_("Maximum"),
    "multiple": N_("Multiple"),
    "package_size": N_("Units in a package"),
    "package_free": N_("Units free"),
    "strategy": N_("Which list counts"),
    "unit_decimals": N_("Decimals of unit prices"),
    "line_decimals": N_("Decimals of lines"),
    "tax_decimals": N_("Decimals of taxes"),
    "tax_level": N_("Tax is rounded by"),
}
LINE_LABELS: Final = {
    "from": N_("From quantity, line %(line)s"),
    "price": N_("Unit price, line %(line)s"),
    "fee": N_("Fee, line %(line)s"),
    "layer_code": N_("Layer, line %(line)s"),
    "layer_groups": N_("Groups, line %(line)s"),
    "layer_place": N_("Place, line %(line)s"),
}


class Typed:
    """Reads the fields of one form; *errors* maps a field's name to the sentence beside it."""

    def __init__(self, form: Form, locale: str) -> None:
        self.form = form
        self.locale = locale
        self.errors: dict[str, str] = {}

    def refuse(self, name: str, reason: str, /, **params: str) -> None:
        """Note *reason*, a key of `TEXTS`, against the field; its first error stands."""
        self.errors.setdefault(name, say(reason, self.locale, **params))

    def text(self, name: str, *, required: bool = False, most: int = 200) -> str:
        value = self.form.get(name)
        if required and not value:
            self.refuse(name, "required")
        if len(value) > most:
            self.refuse(name, "long_text", most=str(most))
        return value

    def code(self, name: str, *, required: bool = True) -> str:
        value = self.form.get(name)
        if not value and required:
            self.refuse(name, "required")
        elif value and CODE.fullmatch(value) is None:
            self.refuse(name, "code")
        return value

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        value = self.form.get(name)
        if value not in allowed:
            self.refuse(name, "choose")
        return value

    def decimal(self, name: str, *, required: bool = False, positive: bool = False, signed: bool = False) -> str | None:
        """The number in its normal form, below 0 only where *signed*; None where nothing (readable) was typed."""
        value = self.form.get(name)
        if not value:
            if required:
                self.refuse(name, "required")
            return None
        try:
            number = decimal(value, self.locale)
        except MalformedDecimal:
            digits = value.replace(".", "", 1).lstrip("-")
            self.refuse(name, "too_long" if digits.isascii() and digits.isdigit() else "decimal")
            return None
        if number.startswith("-") and not signed:
            self.refuse(name, "negative")
            return None
        if positive and number == "0":
            self.refuse(name, "positive")
            return None
        return number

    def whole(self, name: str) -> int:
        """A whole number; nothing typed is 0."""
        value = self.form.get(name) or "0"
        if re.fullmatch(r"-?[0-9]{1,7}", value) is None or abs(int(value)) > PRIORITY_MOST:
            self.refuse(name, "whole")
            return 0
        return int(value)

    def instant(self, name: str) -> datetime | None:
        value = self.form.get(name)
        if not value:
            return None
        try:
            found = datetime.fromisoformat(value)
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError):
            self.refuse(name, "instant")
            return None

    def window(self) -> tuple[datetime | None, datetime | None]:
        """The fields `starts_at` and `ends_at`."""
        starts_at, ends_at = self.instant("starts_at"), self.instant("ends_at")
        if starts_at is not None and ends_at is not None and ends_at <= starts_at:
            self.refuse("ends_at", "ends_before")
        return starts_at, ends_at

    def codes(self, name: str) -> tuple[str, ...]:
        """Codes, one a line (a code may hold commas and blanks), each once."""
        parts = [part.strip() for part in self.form.get(name).split("\n")]
        found = tuple(dict.fromkeys(part for part in parts if part))
        if any(CODE.fullmatch(part) is None for part in found):
            self.refuse(name, "codes")
        return found

    def letters(self, name: str, pattern: re.Pattern[str], reason: str) -> tuple[str, ...]:
        """Countries or currencies, separated by anything."""
        found = tuple(dict.fromkeys(part for part in _BETWEEN.split(self.form.get(name)) if part))
        if any(pattern.fullmatch(part) is None for part in found):
            self.refuse(name, reason)
        return found


def summary_of(errors: dict[str, str], locale: str) -> dict[str, str]:
    """The errors for the top of the page, where each must name its field."""
    gettext = translations(locale).gettext
    order = list(LABELS)
    named = {}
    for name, text in sorted(errors.items(), key=lambda item: order.index(item[0]) if item[0] in LABELS else -1):
        field, _, line = name.rpartition("-")
        if field in LINE_LABELS and line.isdigit():
            label = gettext(LINE_LABELS[field]) % {"line": int(line) + 1}
        else:
            label = gettext(LABELS[name]) if name in LABELS else ""
        named[name] = f"{label}: {text}" if label else text
    return named


def decimal(text: str, locale: str) -> str:
    """The normal form of a typed number.

    :raises MalformedDecimal: when it is none
    """
    if locale == "es" and _COMMA_DECIMAL.fullmatch(text):
        text = text.replace(",", ".")
    return normal(text)


def less(one: str, other: str) -> bool:
    """Whether a decimal string is less than another."""
    (a, b), (c, d) = ratio(one), ratio(other)
    return a * d < c * b


def say(reason: str, locale: str, /, **params: str) -> str:
    """The sentence of a reason in the reader's language."""
    text = translations(locale).gettext(TEXTS[reason])
    return text % params if params else text


def instant_field(at: datetime | str | None) -> str:
    """An instant as a form field shows it; the stored form of one is taken too."""
    if at is None:
        return ""
    if isinstance(at, str):
        at = msgspec.convert(at, datetime)
    exact = "auto" if at.second or at.microsecond else "minutes"
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=exact)
