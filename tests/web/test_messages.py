"""What pages say: in both languages, for every error, with names instead of codes."""

import importlib
import pkgutil

import pytest

from kernel.errors import DomainError
from web.labels import ATTRIBUTES, MEASURES, UNITS, VALUES
from web.messages import check
from web.pages import labels
from web.sentences import SENTENCES, sentence_of

ROOMS = ("accounts", "agreements", "catalog", "checkout")
NEVER_ON_A_PAGE = {
    # raised to programs: the API, imports, webhooks, the command line
    "cart-needs-person", "key-refused", "webhook-refused", "import-running",
    "documents-folder-unusable", "company-code-taken", "person-taken", "no-such-company",
    # a broken installation or our own mistake: logged, and shown as such
    "merchant-missing", "stock-move-impossible", "event-refused", "agreement-documents-missing",
    # carried by another error, or answered by a redirect
    "details-refused", "account-needed", "details-missing",
    "payment-session-unknown",
}  # fmt: skip


def slugs() -> dict[str, str]:
    """Every problem of the rooms, by slug, with where it is defined."""
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            importlib.import_module(module.name)
    found: dict[str, str] = {}
    waiting = [DomainError]
    while waiting:
        for error in waiting.pop().__subclasses__():
            waiting.append(error)
            if error.__module__.partition(".")[0] in ROOMS and "problem" in vars(error):
                found[error.problem] = f"{error.__module__}.{error.__qualname__}"
    return found


def test_every_text_has_its_spanish() -> None:
    assert check() == []


def test_every_error_of_a_page_has_a_sentence() -> None:
    assert {slug: place for slug, place in slugs().items() if slug not in {*SENTENCES, *NEVER_ON_A_PAGE}} == {}


def test_no_error_is_called_unseen_that_has_a_sentence_or_is_gone() -> None:
    assert NEVER_ON_A_PAGE & set(SENTENCES) == set()
    assert NEVER_ON_A_PAGE - set(slugs()) == set()


def test_a_sentence_carries_what_the_error_carries_with_units_by_name() -> None:
    params = {"sku": "HB88-M5-16", "units": ["each", "box"]}

    assert sentence_of("unit-unknown", "x", params, "en") == "HB88-M5-16 is sold by: units, boxes."
    assert sentence_of("unit-unknown", "x", params, "es") == "HB88-M5-16 se vende por: unidades, cajas."


def test_an_error_without_a_sentence_or_its_details_shows_its_message() -> None:
    assert sentence_of("something-new", "Its message.", {}, "es") == "Its message."
    assert sentence_of("unit-unknown", "Its message.", {}, "es") == "Its message."


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("length_mm", "16", ("Length", "mm", "16\N{NO-BREAK SPACE}mm")),
        ("area_mm2", "2.5", ("Cross-section", "mm²", "2.5\N{NO-BREAK SPACE}mm²")),
        ("bore_code", "04", ("Bore code", "", "04")),
        ("size_mm", "40x62", ("Size", "mm", "40 \N{MULTIPLICATION SIGN} 62\N{NO-BREAK SPACE}mm")),
        ("never_heard_of", "xyz", ("Never heard of", "", "xyz")),
    ],
)  # fmt: skip
def test_an_attribute_is_shown_by_its_name_and_measure(key: str, value: str, shown: tuple[str, str, str]) -> None:
    names = labels("en")
    attribute = names.attribute(key)

    assert (attribute.name, attribute.measure, names.value(value, key)) == shown


def test_units_agree_with_their_number() -> None:
    assert [labels("en").unit("each", count) for count in ("1", "1.0", "0", "2", "2.5")] == [
        "unit", "unit", "units", "units", "units",
    ]  # fmt: skip
    assert labels("es").unit("metre", "1") == "metro"
    assert labels("es").unit("half_dozen", 2) == "half dozen"


def test_the_spanish_names_differ_unless_the_word_is_the_same() -> None:
    same = {"Base", "Material", "zinc"}
    names = labels("es")
    untranslated = [name for key, name in ATTRIBUTES.items() if names.attribute(key).name == name and name not in same]

    assert untranslated == []
    assert all(names.value(value) != shown for value, shown in VALUES.items() if shown not in same)
    assert all(ending == ending.lower() for ending in MEASURES)
    assert all(names.unit(unit) != one or unit == "kg" for unit, (one, _) in UNITS.items())
