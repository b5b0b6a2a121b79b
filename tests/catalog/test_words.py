import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from catalog.words import code_key, sort_key, words
from kernel.db import Database, for_visitor


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fijación de ACERO", ["fijacion", "de", "acero"]),
        ("M8x40", ["m8", "40"]),
        ("M8 x 40 X 2 \N{MULTIPLICATION SIGN} 3", ["m8", "40", "2", "3"]),
        ("1,5 mm", ["1.5", "mm"]),
        ("8.8. End.", ["8.8", "end"]),
        ("zinc-plated", ["zinc", "plated"]),
        ("bolt bolt", ["bolt"]),
        ("¿¡%_'\"\\:*&|!()<->", []),
        ("", []),
    ],
)
def test_a_text_is_taken_apart_into_its_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


async def test_the_index_takes_texts_apart_as_a_query_does(database: Database) -> None:
    samples = [
        "Fijación de ACERO, cincado 1,5 mm",
        "M8x40 2x3x4 8\N{MULTIPLICATION SIGN}12 x 9",
        "v1.2.3. Ñandú ﬁn Ⅷ K İstanbul ẞ",
        "¿¡%_'\"\\:*&|!()<-> 。日本",
        "a\tb\nc\u00a0d 1 x 2",
        "",
    ]
    async with database.begin(for_visitor()) as session:
        for sample in samples:
            indexed = await session.scalar(sa.text("SELECT tarifa_words(:sample)"), {"sample": sample})
            assert list(dict.fromkeys((indexed or "").split())) == words(sample), sample


def test_names_are_sorted_without_regard_to_case_and_accents_and_with_numbers_by_value() -> None:
    names = ["M10 bolt", "Ácido", "zócalo", "m8 bolt", "acero", "M8 bolt long"]

    assert sorted(names, key=lambda name: sort_key(name, "en")) == [
        "acero",
        "Ácido",
        "m8 bolt",
        "M8 bolt long",
        "M10 bolt",
        "zócalo",
    ]


def test_enye_is_a_letter_of_its_own_in_spanish_alone() -> None:
    names = ["ñandú", "nuez", "noche", "oso", "Ñu"]

    assert sorted(names, key=lambda name: sort_key(name, "es")) == ["noche", "nuez", "ñandú", "Ñu", "oso"]
    assert sorted(names, key=lambda name: sort_key(name, "en")) == ["ñandú", "noche", "Ñu", "nuez", "oso"]


@given(st.text(), st.sampled_from(["en", "es"]))
def test_a_sort_key_is_stable_and_tells_different_names_apart(name: str, locale: str) -> None:
    assert sort_key(name, locale) == sort_key(name, locale)
    assert (sort_key(name, locale) == sort_key(name + "a", locale)) is False


@given(st.from_regex(r"[A-Za-z0-9._/+-]{1,64}", fullmatch=True))
def test_punctuation_and_case_of_a_code_do_not_matter_to_its_key(code: str) -> None:
    assert code_key(code.lower().replace("-", " ")) == code_key(code)


@given(st.text(max_size=80))
def test_words_hold_nothing_that_a_query_could_trip_over(text: str) -> None:
    assert all(set(word) <= set("abcdefghijklmnopqrstuvwxyz0123456789.") for word in words(text))
    assert all(word[0] != "." and word[-1] != "." for word in words(text))
