"""What is wrong with a value, in words: a pattern says it to a program, not to a person."""

from typing import Final

from web.api import wire

_PATTERN: Final = "Expected `str` matching regex "
_WORDS: Final = {
    wire.QUANTITY: 'Write a decimal number above zero, like "12" or "2.5": at most 18 digits and 12 decimals, no sign.',
    wire.CODE: "Leave out control characters.",
    wire.CURRENCY: "Write a three-letter ISO 4217 code in capitals, such as EUR.",
    wire.COUNTRY: "Write a two-letter ISO 3166-1 code in capitals, such as ES.",
}


def in_words(message: str) -> str:
    """The message, or a sentence in its place where it only cites a pattern of ours."""
    if not message.startswith(_PATTERN):
        return message
    return next((words for pattern, words in _WORDS.items() if message == _PATTERN + repr(pattern)), message)
