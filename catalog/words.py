"""How text is compared: the words of a search, the key of a pasted code, and the order of names.

Pure. The embedded PostgreSQL has neither unaccent nor ICU, so accents are folded and names ordered here; the SQL
function `tarifa_words` does for the index what `words` does for a query.
"""

import re
import unicodedata
from typing import Final

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_MARKS: Final = re.compile("[\u0300-\u036f]")
_TIMES: Final = re.compile("([0-9]) *[x\N{MULTIPLICATION SIGN}] *(?=[0-9])")
_DECIMAL_COMMA: Final = re.compile(r"([0-9]),(?=[0-9])")
_OTHER: Final = re.compile(r"[^a-z0-9.]+")
_LOOSE_POINT: Final = re.compile(r"(?<![0-9])\.|\.(?![0-9])")
_NUMBER: Final = re.compile(r"[0-9]+")

# articles, prepositions and conjunctions of both languages, and the x of "M8 x 40"
_ENGLISH: Final = "a an and by for from in of on or the to with x"
_SPANISH: Final = "al con de del e el en la las lo los o para por sin su un una y"
STOP_WORDS: Final = frozenset(f"{_ENGLISH} {_SPANISH}".split())


def plain(text: str) -> str:
    """Return a text PostgreSQL can take: NUL and lone surrogates, which it can't store, are replaced."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def fold(text: str) -> str:
    """Lower case without accents: `Fijación` -> `fijacion`."""
    return _MARKS.sub("", unicodedata.normalize("NFKD", text)).lower()


def words(text: str) -> list[str]:
    """Return the distinct words of *text*, folded: `M8x40, 1,5 mm` -> m8, 40, 1.5, mm."""
    text = _DECIMAL_COMMA.sub(r"\1.", _TIMES.sub(r"\1 ", fold(text)))
    return list(dict.fromkeys(_LOOSE_POINT.sub(" ", _OTHER.sub(" ", text)).split()))


def code_key(code: str) -> str:
    """Return letters and digits only, so that `hb 88-m8x40` finds HB-88-M8X40."""
    return re.sub("[^a-z0-9]", "", fold(code))


def sort_key(name: str, locale: str) -> str:
    """Return a text whose code points order like *name*: case and accents aside, numbers by value, ñ after n."""
    name = name.lower()
    if locale[:2] == "es":
        name = unicodedata.normalize("NFC", name).replace("ñ", "n\N{LATIN SMALL LETTER Z WITH STROKE}")
    folded = fold(name)
    return _NUMBER.sub(lambda number: number[0].lstrip("0").zfill(12), folded) + "\t" + name
