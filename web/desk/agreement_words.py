"""What the legal desk says of a field that cannot be kept, in the reader's language."""

from collections.abc import Iterable
from typing import Final

from web.labels import N_
from web.pages import translations

REFUSED: Final = {
    "code": N_("Write a code of small letters, digits and hyphens, like master-terms."),
    "kind": N_("Choose one from the list."),
    "label": N_("Write a version number like 3.2."),
    "language": N_("Write the language as two small letters, like en."),
    "title": N_("Write a title of 1 to 200 characters."),
    "onerous_clauses": N_(
        "Write one clause a line, by its number in the text and its name, like: 8.2 Limit of liability."
    ),
    "change_note": N_("Write up to 2,000 characters of plain text."),
    "comment": N_("Write 1 to 2,000 characters of plain text."),
    "effective_at": N_("Choose a later instant: this one has passed."),
    "reason": N_("Say why, in up to 2,000 characters."),
    "name": N_("Write a name of 1 to 200 characters; buyers read it."),
    "document": N_("Choose one from the list."),
    "countries": N_("Write countries as two capital letters, like ES, PT."),
    "categories": N_("Write one category code a line; the catalogue has no such category."),
    "companies": N_("Write one company code a line; there is no such company."),
    "currency": N_("Name a currency exactly when you name an amount."),
    "amount_from": N_("Write an amount like 50000.00, below the upper one."),
    "amount_to": N_("Write an amount like 50000.00."),
    "starts_at": N_("Say from when the rule holds."),
    "ends_at": N_("The end must lie after the start."),
    "country": N_("Write the country as two capital letters, like IT."),
    "reference": N_("Write up to 200 characters on one line."),
}


def errors_of(fields: Iterable[str], locale: str) -> dict[str, str]:
    """The sentence beside each of these fields."""
    gettext = translations(locale).gettext
    return {name: gettext(REFUSED[name]) for name in fields}
