"""The pricing engine: pure, no clock, no I/O. docs/pricing.md teaches its rules."""

from pricing.engine.book import BookContent, Frame, SkuEntry
from pricing.engine.check import Finding, Severity, Witness, check, finding_text
from pricing.engine.disclose import Disclosure, ShownLeaf, disclosed
from pricing.engine.evaluate import quote
from pricing.engine.explain import cliff_text, explain, loser_text, next_break_text, refusal_text, step_text
from pricing.engine.leaves import Leaf, leaf_digest, leaves, root
from pricing.engine.memory import Book, MemoryBook, entries_of, frame_of
from pricing.engine.request import Buyer, LineRequest, Quote, QuoteRequest, TaxInput, TaxRate
from pricing.engine.rules import BookError, Rules

__all__ = [
    "Book",
    "BookContent",
    "BookError",
    "Buyer",
    "Disclosure",
    "Finding",
    "Frame",
    "Leaf",
    "LineRequest",
    "MemoryBook",
    "Quote",
    "QuoteRequest",
    "Rules",
    "Severity",
    "ShownLeaf",
    "SkuEntry",
    "TaxInput",
    "TaxRate",
    "Witness",
    "check",
    "cliff_text",
    "disclosed",
    "entries_of",
    "explain",
    "finding_text",
    "frame_of",
    "leaf_digest",
    "leaves",
    "loser_text",
    "next_break_text",
    "quote",
    "refusal_text",
    "root",
    "step_text",
]
