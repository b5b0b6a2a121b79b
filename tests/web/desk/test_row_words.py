"""What is wrong with a file's row is said in the reader's language, whatever of it may be wrong."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kernel.csv_rows import RowError, joined, parts_of, said
from pricing.engine.derive import TEXTS as DERIVATION_TEXTS
from pricing.import_csv import NO_SUCH
from web.desk.row_words import TEXTS, row_text
from web.messages import collect

MODULES = (
    "kernel.csv_rows",
    "kernel.tables",
    "kernel.xlsx_read",
    "pricing.import_csv",
    "pricing.imports",
    "pricing.staging",
)
SAYS = {"said": 0, "CellError": 0, "Unreadable": 0, "_Refused": 1, "refuse": -1, "_odd": -1}
"""Which argument of a call is what a reader is told."""


def told(module: ModuleType) -> Iterator[str]:
    """Every text that the module tells of a row, found in its source."""
    assert module.__file__
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            arguments = node.args if name == "joined" else node.args[SAYS[name] :][:1] if name in SAYS else []
            for argument in arguments:
                yield from texts(argument, module)


def texts(node: ast.expr, module: ModuleType) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body, module)
        yield from texts(node.orelse, module)
    elif isinstance(node, ast.Name) and isinstance(getattr(module, node.id, None), str):
        yield getattr(module, node.id)
    else:
        assert not isinstance(node, ast.JoinedStr), f"{module.__name__}:{node.lineno} cannot be translated: use `said`"


@pytest.mark.parametrize("name", MODULES)
def test_every_text_that_a_row_may_meet_is_there_to_be_translated(name: str) -> None:
    found = set(told(importlib.import_module(name)))
    assert sorted(found - set(TEXTS)) == []


def test_no_text_is_kept_that_nothing_says() -> None:
    said_somewhere = {text for name in MODULES for text in told(importlib.import_module(name))}
    assert sorted(set(TEXTS) - said_somewhere - set(NOT_IN_CALLS)) == []
    assert {message.id for message in collect()} >= set(TEXTS)


NOT_IN_CALLS = (
    *NO_SUCH.values(),
    "add the missing ones",
    "delete the others",
    "a value that holds the separator needs double quotes",
    "a double quote opened in this row is never closed",
    "a value is too long, or a double quote opened in this row is never closed",
    "the line ends are those of old Macintosh files; save the file with Unix or Windows line ends",
    "double quotes must surround a whole value, and be doubled inside it",
)
"""Held in a name before they are said."""


@pytest.mark.parametrize(
    ("message", "english", "spanish"),
    [
        ("must be yes or no", "must be yes or no", "debe ser yes o no"),
        (
            said("may hold up to {most} values", most=1000),
            "may hold up to 1,000 values",
            "puede contener hasta 1.000 valores",
        ),
        (
            joined(
                said("the row has {count} values, the header has {width}", count=3, width=4), "add the missing ones"
            ),
            "the row has 3 values, the header has 4; add the missing ones",
            "la fila tiene 3 valores y la cabecera 4; añada los que faltan",
        ),
        (
            said(DERIVATION_TEXTS["derivation_twice"][0], list="{SALE}"),
            "The list {SALE} has two derivations. Keep one.",
            "La tarifa {SALE} tiene dos derivaciones. Deje una.",
        ),
        ("{what} an older release said", "{what} an older release said", "{what} an older release said"),
    ],
)
def test_a_sentence_is_said_in_both_languages(message: str, english: str, spanish: str) -> None:
    error = RowError("a.csv", 1, "", "", message, "", parts_of(message))
    assert str(message) == english
    assert row_text({"message": error.message, "parts": error.parts}, "en") == english
    assert row_text({"message": error.message, "parts": error.parts}, "es") == spanish
    assert row_text({"message": error.message}, "es") == english, "reports of before have no parts"
