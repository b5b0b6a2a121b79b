"""Cursors: where a page ended, in letters that need no escaping. They hold nothing secret and are trusted in nothing:
whoever makes one up gets what is theirs to see, or nothing.
"""

import base64
import binascii
from typing import Any, TypeVar

import msgspec

from kernel.errors import NotFound

_Read = TypeVar("_Read")


class NoSuchPage(NotFound):
    problem = "page-not-found"
    title = "There is no such page"


def cursor_of(state: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(state)).decode().rstrip("=")


def read_cursor(text: str, of: type[_Read]) -> _Read:
    """:raises NoSuchPage: when *text* is none of ours"""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=of)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, ValueError):
        raise NoSuchPage("This cursor is none of ours. Send the `next` of a page as it is, or begin without.") from None
