"""The texts of pages in two languages: `python -m web.messages update|check`.

English stands in templates and code; `web/locale/es/messages.po` holds the Spanish. A text without a translation fails
`make check`, so no page is ever half in each language.
"""

import re
import sys
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

WEB: Final = Path(__file__).parent
PO_FILE: Final = WEB / "locale" / "es" / "messages.po"
METHODS: Final = [("templates/**.html", "jinja2"), ("**.py", "python")]
OPTIONS: Final = {"templates/**.html": {"trimmed": "true"}}
KEYWORDS: Final = {"_": None, "gettext": None, "ngettext": (1, 2), "gettext_noop": None, "_n": (1, 2), "N_": None}
PLACEHOLDER: Final = re.compile(r"%\((\w+)\)[sd]|\{(\w*)\}")


def collect() -> Catalog:
    """Return every text of templates and code that a reader sees."""
    catalog = Catalog(project="Tarifa", fuzzy=False)
    found = extract_from_dir(WEB, method_map=METHODS, options_map=OPTIONS, keywords=KEYWORDS)
    for filename, _line, message, comments, context in sorted(found, key=lambda row: (row[0], row[1])):
        catalog.add(message, None, [(f"web/{filename}", 0)], auto_comments=comments, context=context)
    return catalog


def update() -> None:
    """Bring the translation file's list of texts up to date, keeping what is translated."""
    existing = _read()
    existing.update(collect(), no_fuzzy_matching=True)
    existing.obsolete.clear()
    PO_FILE.parent.mkdir(parents=True, exist_ok=True)
    with PO_FILE.open("wb") as file:
        write_po(file, existing, width=120, sort_output=True, omit_header=False, include_lineno=False)


def check() -> list[str]:
    """Return what is wrong: texts without a translation, placeholders that differ, texts nobody shows any more."""
    existing, wanted = _read(), collect()
    wrong = []
    for message in wanted:
        if not message.id:
            continue
        translated = existing.get(message.id, message.context)
        texts = [] if translated is None else _texts(translated.string)
        if not texts or not all(texts):
            wrong.append(f"no Spanish for {message.id!r} ({message.locations[0][0]})")
            continue
        names = {frozenset(PLACEHOLDER.findall(text)) for text in _texts(message.id)}
        wrong.extend(
            f"placeholders differ in the Spanish for {message.id!r}"
            for text in texts
            if frozenset(PLACEHOLDER.findall(text)) not in names
        )
    known = {message.id for message in wanted}
    wrong.extend(f"no page shows {message.id!r} any more" for message in existing if message.id not in known | {""})
    return wrong


def _read() -> Catalog:
    if not PO_FILE.exists():
        return Catalog(locale="es", project="Tarifa", fuzzy=False)
    with PO_FILE.open("rb") as file:
        return read_po(file, locale="es")


def _texts(value: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def main() -> int:
    if sys.argv[1:] == ["update"]:
        update()
        sys.stdout.write(f"{PO_FILE.relative_to(WEB.parent)} is up to date\n")
        return 0
    if sys.argv[1:] == ["check"]:
        wrong = check()
        sys.stdout.writelines(f"{line}\n" for line in wrong)
        if wrong:
            sys.stdout.write(
                "Run `make messages`, translate what is new in web/locale/es/messages.po, and try again.\n"
            )
        return 1 if wrong else 0
    sys.stderr.write("usage: python -m web.messages update|check\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
