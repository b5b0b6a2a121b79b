"""The pricing engine: pure, no clock, no I/O. docs/pricing.md teaches its rules."""

from pricing.engine.book import BookContent, Frame, SkuEntry
from pricing.engine.memory import Book, BookError, MemoryBook, entries_of, frame_of
from pricing.engine.request import Buyer, LineRequest, Quote, QuoteRequest, TaxInput, TaxRate
from pricing.engine.rules import Rules

__all__ = [
    "Book",
    "BookContent",
    "BookError",
    "Buyer",
    "Frame",
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
]
