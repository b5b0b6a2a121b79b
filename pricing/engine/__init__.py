"""The pricing engine: pure, no clock, no I/O. docs/pricing.md teaches its rules."""

from pricing.engine.book import BookContent, Frame, SkuEntry
from pricing.engine.evaluate import quote
from pricing.engine.leaves import Leaf, leaf_digest, leaves, root
from pricing.engine.memory import Book, MemoryBook, entries_of, frame_of
from pricing.engine.request import Buyer, LineRequest, Quote, QuoteRequest, TaxInput, TaxRate
from pricing.engine.rules import BookError, Rules

__all__ = [
    "Book",
    "BookContent",
    "BookError",
    "Buyer",
    "Frame",
    "Leaf",
    "LineRequest",
    "MemoryBook",
    "Quote",
    "QuoteRequest",
    "Rules",
    "SkuEntry",
    "TaxInput",
    "TaxRate",
    "entries_of",
    "frame_of",
    "leaf_digest",
    "leaves",
    "quote",
    "root",
]
