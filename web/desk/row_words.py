"""What is wrong with a row of a file, in the reader's language.

The English stands where it is found out (`kernel.csv_rows.Said`); every text of it is listed here, to be translated.
"""

from collections.abc import Mapping
from typing import Any, Final

from babel.numbers import format_decimal

from kernel.csv_rows import filled
from pricing.engine.derive import TEXTS as DERIVATION_TEXTS
from web.labels import N_
from web.pages import translations

TEXTS: Final = (
    N_("byte {number} of the line is not UTF-8"),
    N_("did you mean {name}?"),
    N_("has {length} characters, more than the {most} allowed; shorten it"),
    N_("holds a value twice"),
    N_("is no day or time of the calendar"),
    N_("known columns: {names}"),
    N_("may have up to {places} decimals"),
    N_("may hold up to {most} values"),
    N_("must be 1 to 64 characters out of A-Z a-z 0-9 . _ / + -"),
    N_("must be a date such as 2026-12-01 or an instant such as 2026-12-01T08:00:00Z"),
    N_("must be a plain number such as 1234.5: decimal point, no thousands separator, no exponent"),
    N_("must be a whole number such as 10"),
    N_("must be an ISO 4217 code such as EUR"),
    N_("must be at least {bound}"),
    N_("must be at most {bound}"),
    N_("must be greater than {bound}"),
    N_("must be one line without control characters"),
    N_("must be one of {names}"),
    N_("must be yes or no"),
    N_("must hold no control characters"),
    N_("must not be empty"),
    N_("must say its offset from UTC, such as 2026-12-01T08:00:00Z or ...+01:00"),
    N_("save it as UTF-8 (in a spreadsheet: CSV UTF-8)"),
    N_("the column is missing"),
    N_("the column is there twice; keep one"),
    N_("the file has {size} bytes, more than the {most} allowed; split it"),
    N_("the file is UTF-16"),
    N_("the file is separated by tabs; save it separated by commas"),
    N_("the first line must hold the column names, and it is empty"),
    N_("the line holds a NUL byte, so this is no text file"),
    N_("the line is longer than {most} bytes"),
    N_("the rest of the file was not read"),
    N_("the row has {count} values, the header has {width}"),
    N_("add the missing ones"),
    N_("delete the others"),
    N_("a value that holds the separator needs double quotes"),
    N_("this is a spreadsheet, not a CSV file"),
    N_("unknown column"),
    N_("a double quote opened in this row is never closed"),
    N_("a value is too long, or a double quote opened in this row is never closed"),
    N_("the line ends are those of old Macintosh files; save the file with Unix or Windows line ends"),
    N_("double quotes must surround a whole value, and be doubled inside it"),
    N_("did you mean {name}? Rename it, or remove it"),
    N_("is in the file twice"),
    N_("known are {names}. Rename it, or remove it"),
    N_("the file is of an old spreadsheet, or protected; save it as .xlsx without a password"),
    N_("unknown table"),
    N_("what was packed is damaged; pack it again"),
    N_("a cell holds more than {most} characters; shorten it"),
    N_("a cell of the sheet has no place; save it again"),
    N_("a cell of the sheet has no text; save the file again"),
    N_("cells are merged; unmerge them, so that each row holds its own values: {cells}"),
    N_("format the cell as text and type it again"),
    N_("is a date and time without an offset; format the cell as text and type 2026-12-01T08:00:00Z"),
    N_("is a date in the spreadsheet"),
    N_("is a formula whose result was not saved; open the file in a spreadsheet and save it"),
    N_("is a time of day in the spreadsheet"),
    N_("is a truth value"),
    N_("is an error of the spreadsheet; mend the formula or type the value"),
    N_("is formatted as a percentage; format the cell as text and type {number}"),
    N_("is no day of the calendar"),
    N_("is no number"),
    N_("the cells of the row are in disorder; save the file again"),
    N_("the file declares a document type, which no spreadsheet writes; save it again"),
    N_("the file holds more styles or sheets than any spreadsheet needs; copy the tables to a new one"),
    N_("the file holds {count} parts, more than the {most} allowed"),
    N_("the file is damaged, or no workbook; save it again as .xlsx"),
    N_("the file is damaged; save it again as .xlsx"),
    N_("the file is no workbook; save it as .xlsx"),
    N_("the file is protected by a password; save it without one"),
    N_("the file lacks its part {name}, or it is damaged; save it again"),
    N_("the file unfolds from {size} to {unfolded} bytes, more than is allowed; split it"),
    N_("the file's part {name} is damaged; save it again"),
    N_("the row has a value beyond column {most}; delete it"),
    N_("the rows of the sheet are in disorder; save it again"),
    N_("a fixed price has no sum; layer {layer} is one of sums"),
    N_("a flat row has one tier; several make a volume or graduated row"),
    N_("a margin is below 100"),
    N_("a package row needs it"),
    N_("a rule that holds an amount needs exactly one currency"),
    N_("a {model} row takes bounds written with >, the first of them >0"),
    N_("acts in {levels} layers only; {layer} is a {level} one"),
    N_("another {level} layer has this position"),
    N_("belongs to package rows only"),
    N_("cannot be asked in {layer}, a {level} layer"),
    N_("is below the minimum"),
    N_("is below {column}"),
    N_("layer {layer} has no such group"),
    N_("line {line} has the same key; keep one of the two"),
    N_("must be BUY+GET such as 10+1"),
    N_("must be a number of decimals from 0 to 12"),
    N_("must be an ISO 3166 country code such as DE"),
    N_("must be below 100"),
    N_("must be later than valid_from"),
    N_("must hold CURRENCY:PRICE such as EUR:9.90;USD:11.50, joined by semicolons"),
    N_("must hold FROM:PERCENT such as 10:2;50:5, joined by semicolons"),
    N_("must hold GROUP:priority or GROUP:lowest, joined by semicolons"),
    N_("must hold quantities in ascending order, none twice"),
    N_("must hold tiers in ascending order, none twice"),
    N_("must hold tiers such as 1:12.50;10:11.90+5, joined by semicolons"),
    N_("names a currency twice"),
    N_("names a group twice"),
    N_("one of minimum, maximum and multiple must be filled in"),
    N_("only percent and amount can make dearer"),
    N_("round_to and round_mode are filled in together"),
    N_("the catalogue has no such SKU"),
    N_("the catalogue has no such category"),
    N_("the catalogue has no such brand"),
    N_("the catalogue has no such SKU; import it first, or with this"),
    N_("the file must hold one row"),
    N_("the period overlaps that of line {line} for the same list, SKU and unit"),
    N_("there is no such layer in layers.csv"),
    N_("there is no such list in price_lists.csv"),
    N_("{sku} is sold in {units}"),
    N_("reading takes more than {minutes} minutes; split the file"),
    N_("the file arrived otherwise than it was sent; upload it again"),
    N_("the file holds no table that prices are read from"),
)
_SPANISH: Final = dict(DERIVATION_TEXTS.values())
"""By the English: these are worded where derivations are checked."""


def row_text(error: Mapping[str, Any], locale: str) -> str:
    """*error*: as a report keeps it; one kept by an older release has its English alone."""
    if locale == "en" or not error.get("parts"):
        return str(error["message"])
    say = translations(locale).gettext
    return "; ".join(
        filled(_SPANISH.get(text) or say(text), params, lambda number: format_decimal(number, locale=locale))
        for text, params in error["parts"]
    )
