"""The engine for a program of one's own: a book from JSON, and what needs the whole of it. docs/engine.md shows it."""

from datetime import datetime
from functools import cached_property

import msgspec

from pricing.engine.book import BookContent
from pricing.engine.columns import Columns, columns_of
from pricing.engine.disclose import Disclosure, disclosed
from pricing.engine.leaves import root
from pricing.engine.memory import MemoryBook, entries_of, frame_of
from pricing.engine.replay import Checked
from pricing.engine.replay import replay as replayed
from pricing.engine.request import Quote, QuoteRequest
from pricing.engine.rules import BookError
from pricing.engine.sweep import Lines, Swept, lines_of
from pricing.engine.sweep import sweep as swept


class LoadedBook(MemoryBook):
    """A book in memory with its content, for `quote`, `sweep` and `check`. *root* is its name: `sha256:<hex>`."""

    def __init__(self, content: BookContent, house_key: bytes) -> None:
        super().__init__(content, root=root(content, house_key))
        self.content = content
        self._house_key = house_key

    @cached_property
    def columns(self) -> Columns:
        return columns_of(frame_of(self.content), entries_of(self.content))

    def leaves_for(self, answer: Quote) -> Disclosure:
        """What `replay` needs for *answer*, and no more than its buyer may see."""
        return disclosed(self.content, self._house_key, answer)


def load(data: bytes | str | BookContent, *, house_key: bytes = b"") -> LoadedBook:
    """A book from JSON, ready to be asked.

    *house_key* salts the leaves, so that nobody guesses a hidden price from its digest: a house gives its own; a book
    that keeps nothing from anybody needs none. Another key gives another root.

    :raises BookError: when *data* is no book, or one that cannot be priced
    :raises DuplicateKey: when two of its objects have the same key
    """
    if isinstance(data, BookContent):
        return LoadedBook(data, house_key)
    try:
        content = msgspec.json.decode(data, type=BookContent)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BookError(f"This is no price book: {error}") from error
    return LoadedBook(content, house_key)


def sweep(request: QuoteRequest | Lines, *, book: LoadedBook, at: datetime) -> Swept:
    """Price each line of *request* alone, all at once: no steps, no order rules, no tax. `Lines` are for millions of
    lines as arrays and for many buyers; see `pricing.engine.sweep`.

    :raises ValueError: when *at* has no time zone
    """
    if isinstance(request, Lines):
        return swept(request, book=book, at=at)
    lines = lines_of(book.columns, request.lines, currency=request.currency, buyers=(request.buyer,))
    return swept(lines, book=book, at=at, tax=request.tax)


def replay(answer: Quote | bytes, leaves: Disclosure | bytes) -> Checked:
    """Check *answer* against what was shown of its book, by the second program (`python -m pricing.engine.replay`)."""
    return replayed(*(part if isinstance(part, bytes) else msgspec.json.encode(part) for part in (answer, leaves)))
