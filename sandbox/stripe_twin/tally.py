"""How many answers and webhooks the twins of a test run sent, and whether each was checked against the contract.

`STRIPE_TWIN_TALLY` names a folder; without it nothing is counted. Each process writes a letter for each thing that
happens into a file of its own, at once, so that a twin that is killed has told all it did.
"""

import os
from collections import Counter
from pathlib import Path
from typing import Final, Literal

VARIABLE: Final = "STRIPE_TWIN_TALLY"

What = Literal["answer", "answer checked", "event checked", "webhook", "webhook checked", "webhook twisted", "broken"]
_LETTERS: Final[dict[What, bytes]] = {
    "answer": b"a",
    "answer checked": b"A",
    "event checked": b"E",
    "webhook": b"w",
    "webhook checked": b"W",
    "webhook twisted": b"T",
    "broken": b"!",
}
_files: dict[tuple[str, int], int] = {}


def count(what: What) -> None:
    """Note that *what* happened: ``answer`` and ``webhook`` as they leave, ``... checked`` when the contract allowed
    them, ``webhook twisted`` for one that a test had made a lie of, ``broken`` for what the contract refused.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        return
    mine = (folder, os.getpid())
    if mine not in _files:
        _files[mine] = os.open(Path(folder) / str(os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(_files[mine], _LETTERS[what])


class Tally(Counter[What]):
    """What a folder's processes counted."""

    @classmethod
    def of(cls, folder: Path) -> "Tally":
        told = cls()
        for file in folder.iterdir():
            letters = file.read_bytes()
            for what, letter in _LETTERS.items():
                told[what] += letters.count(letter)
        return told

    @property
    def skipped(self) -> int:
        """What left without being checked."""
        answers = self["answer"] - self["answer checked"]
        return answers + self["webhook"] - self["webhook checked"] - self["webhook twisted"]

    @property
    def fine(self) -> bool:
        return self.skipped == 0 and self["broken"] == 0

    def __str__(self) -> str:
        return (
            f"Stripe twin: {self['answer']:,} answers, {self['webhook']:,} webhooks ({self['webhook twisted']:,} lies "
            f"that tests asked for), {self['event checked']:,} events, against Stripe's types: {self.skipped} not "
            f"checked, {self['broken']} broken"
        )
