"""Passwords: which are refused, and how the others are kept.

The rules follow NIST SP 800-63B: length counts, composition does not, common and expected passwords are refused, no
scheduled change, anything that can be typed is allowed. NIST asks 15 characters of a password that stands alone, ASVS
5.0 asks 8 and recommends 15. We ask 12: guesses are limited by account and address, the stored form costs an attacker
of a stolen table 64 MiB and a tenth of a second a guess, and each further character loses buyers in the middle of a
checkout.
"""

import asyncio
import re
import string
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kernel.errors import Refused

MINIMUM_LENGTH: Final = 12
MAXIMUM_LENGTH: Final = 128
_DISTINCT_CHARACTERS: Final = 5
_AT_ONCE: Final = 4
_SHORTEST_CONTEXT: Final = 4
_SHORTEST_RUN: Final = 3
_ROWS: Final = ("abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "qazwsxedcrfvtgbyhnujm")
_LETTERS_FOR_SIGNS: Final = str.maketrans("0134578@$!", "oieastbasi")
_COMMON: Final = frozenset(Path(__file__).with_name("common_passwords.txt").read_text("utf-8").split())


class WeakPassword(Refused):
    """`reason` is `too_short`, `too_long` or `too_common`."""

    problem = "weak-password"
    title = "Choose another password"


class Passwords:
    """Hashes and checks by Argon2id, in threads, few at a time: each takes 64 MiB for a tenth of a second."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = PasswordHasher() if hasher is None else hasher
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._nobodys = self._hasher.hash("the password of nobody")

    async def hash(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, _bytes(password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether *password* is the one *stored*; without a stored one, a No that takes the same time."""
        async with self._turn:
            right = await asyncio.to_thread(self._verify, password, self._nobodys if stored is None else stored)
        return right and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether *stored* was made with other costs than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, password: str, stored: str) -> bool:
        if len(password) > MAXIMUM_LENGTH:
            password = ""  # never set, so never right; costs the same as any other
        try:
            return self._hasher.verify(stored, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False


def check_password(password: str, *, context: Iterable[str] = ()) -> None:
    """Refuse what an attacker tries first.

    *context* is what they know anyway: the person's e-mail and name, the company's name.

    :raises WeakPassword: saying what is wrong with it
    """
    normal = _normal(password)
    if len(normal) < MINIMUM_LENGTH:
        raise WeakPassword(
            f"Use at least {MINIMUM_LENGTH} characters: three or four unrelated words are easy to keep in mind.",
            reason="too_short",
            minimum=MINIMUM_LENGTH,
        )
    if len(password) > MAXIMUM_LENGTH or len(normal) > MAXIMUM_LENGTH:
        raise WeakPassword(f"Use at most {MAXIMUM_LENGTH} characters.", reason="too_long", maximum=MAXIMUM_LENGTH)
    if _is_expected(normal.casefold(), context):
        raise WeakPassword(
            "This password is among the first that attackers try. Put three or four unrelated words together.",
            reason="too_common",
        )


def _normal(password: str) -> str:
    """The same text however the keyboard composed it."""
    return unicodedata.normalize("NFKC", password)


def _bytes(password: str) -> bytes:
    return _normal(password).encode("utf-8", "surrogatepass")


def _is_expected(folded: str, context: Iterable[str]) -> bool:
    if len(set(folded)) < _DISTINCT_CHARACTERS or folded in _COMMON:
        return True
    known = {part for text in context for part in re.findall(r"\w+", text.casefold()) if len(part) >= _SHORTEST_CONTEXT}
    spelled_out = folded.strip(string.digits + string.punctuation).translate(_LETTERS_FOR_SIGNS)
    return any(_is_made_of(_letters(text), known) for text in (folded, spelled_out))


def _letters(text: str) -> str:
    return re.sub(r"[\W\d_]", "", text)


def _is_made_of(letters: str, known: set[str]) -> bool:
    """Whether nothing is left of *letters* but common passwords, known words and runs along the keyboard.

    Digits and signs were taken out before, for everybody adds those: `Password-2026!` is made of `password`. So a
    number alone (a telephone number, dates) is made of nothing, and refused.
    """
    reachable = [True] + [False] * len(letters)
    for end in range(1, len(letters) + 1):
        reachable[end] = any(
            reachable[start] and _is_guessable(letters[start:end], known) for start in range(max(0, end - 32), end)
        )
    return reachable[-1]


def _is_guessable(word: str, known: set[str]) -> bool:
    if word in _COMMON or word in known:
        return True
    return len(word) >= _SHORTEST_RUN and (
        len(set(word)) == 1 or any(word in row or word in row[::-1] for row in _ROWS)
    )
