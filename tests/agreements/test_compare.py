"""What differs between two texts, as people read it."""

from agreements.compare import Piece, as_text, compare

BEFORE = """# Terms

## 1. Price

1.1 Prices are net.

1.2 **Freight** is added.

## 2. Law

2.1 Spanish law applies.
"""


def test_equal_texts_and_mere_markup_differ_in_nothing() -> None:
    assert compare(BEFORE, BEFORE) == ()
    assert compare(BEFORE, BEFORE.replace("**Freight**", "Freight").replace("\n\n", "\n\n\n")) == ()


def test_an_edited_paragraph_shows_its_words_under_its_heading() -> None:
    (passage,) = compare(BEFORE, BEFORE.replace("Prices are net.", "Prices are gross."))

    assert (passage.under, passage.heading) == ("1. Price", False)
    assert passage.pieces == (
        Piece("same", "1.1 Prices are "),
        Piece("removed", "net"),
        Piece("added", "gross"),
        Piece("same", "."),
    )


def test_paragraphs_that_came_and_went_are_shown_whole() -> None:
    after = BEFORE.replace("1.2 **Freight** is added.", "1.2 Delivery takes nine weeks from now on.") + "\n## 3. New\n"

    assert as_text(compare(BEFORE, after)) == (
        "1. Price\n[+1.2 Delivery takes nine weeks from now on.+]\n\n1. Price\n[-1.2 Freight is added.-]\n\n[+3. New+]"
    )
