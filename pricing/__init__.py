"""What it costs and why: the engine, drafts and publication of price books, and the channels that read them.

The engine's public face: `from pricing import load, quote, sweep, explain, check, replay`. docs/engine.md shows it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pricing.engine.check import check, finding_text
    from pricing.engine.evaluate import quote
    from pricing.engine.explain import explain
    from pricing.engine.request import Buyer, LineRequest, QuoteRequest, TaxInput, TaxRate
    from pricing.face import LoadedBook, load, replay, sweep

__all__ = [
    "Buyer",
    "LineRequest",
    "LoadedBook",
    "QuoteRequest",
    "TaxInput",
    "TaxRate",
    "check",
    "explain",
    "finding_text",
    "load",
    "quote",
    "replay",
    "sweep",
]

# Taken from their modules when first asked for: who replays an answer or serves a page needs no columnar evaluator.
_MODULES: Final = {
    "check": "engine.check",
    "explain": "engine.explain",
    "finding_text": "engine.check",
    "quote": "engine.evaluate",
    **dict.fromkeys(("Buyer", "LineRequest", "QuoteRequest", "TaxInput", "TaxRate"), "engine.request"),
    **dict.fromkeys(("LoadedBook", "load", "replay", "sweep"), "face"),
}


if not TYPE_CHECKING:  # or every name would be one to a type checker

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
