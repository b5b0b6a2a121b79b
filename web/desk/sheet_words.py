"""What the first sheet of an exported workbook says of the others, in the reader's language."""

from datetime import UTC, datetime
from typing import Final

from pricing.import_csv import FILES
from web.labels import N_
from web.pages import translations

SHEETS: Final = {
    "policy.csv": N_("One row: how the book chooses among lists and how it rounds."),
    "price_lists.csv": N_("The price lists: currency, whom they are for, when they hold."),
    "derivations.csv": N_(
        "Lists whose prices follow another list, or cost. Their prices are worked out at publication."
    ),
    "price_rows.csv": N_("The prices: one row for a list, SKU, unit and start. Tiers read 1:12.50;10:11.90."),
    "layers.csv": N_("In which order rules act."),
    "adjustments.csv": N_("Discounts, surcharges and other rules."),
    "bounds.csv": N_("Floors and ceilings that no price may pass."),
    "quantity_rules.csv": N_("Minimum, maximum and multiple of what may be ordered."),
}
RULES: Final = (
    N_(
        "Edit the other sheets and import this file at the desk, into a draft. You see what changes before it counts; "
        "one wrong row, and nothing changes."
    ),
    N_(
        "A sheet holds the whole of what it describes: a row you delete is removed from the draft. A sheet you delete "
        "leaves its part as it is."
    ),
    N_(
        "Keep the names of sheets and columns. Columns may stand in any order. Every cell is text, so that nothing is "
        "reinterpreted; numbers take a decimal point, dates read 2026-12-01, yes and no are words."
    ),
    N_(
        "An apostrophe before a text that begins with =, +, - or @ keeps it from becoming a formula. It is dropped on "
        "import."
    ),
)


def about_lines(name: str, at: datetime, locale: str) -> list[tuple[str, str]]:
    """Rows of two cells, the first of which is the header."""
    say = translations(locale).gettext
    lines = [(say("Prices"), name), (say(N_("Exported")), f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"), ("", "")]
    lines += [(file.name.removesuffix(".csv"), say(SHEETS[file.name])) for file in FILES]
    return [*lines, ("", ""), *(("", say(rule)) for rule in RULES)]
