"""Countries by name in the reader's language."""

from functools import cache
from typing import Final

from babel import Locale

NO_COUNTRIES: Final = {"EU", "EZ", "UN", "XA", "XB", "QO", "AC", "CP", "CQ", "DG", "EA", "IC", "TA", "ZZ"}


@cache
def country_options(locale: str) -> tuple[tuple[str, str], ...]:
    """Return (ISO 3166-1 code, name) sorted by name."""
    names = Locale.parse(locale).territories
    found = [
        (code, name) for code, name in names.items() if len(code) == 2 and code.isalpha() and code not in NO_COUNTRIES
    ]
    return tuple(sorted(found, key=lambda option: option[1]))
