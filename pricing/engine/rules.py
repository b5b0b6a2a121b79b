"""A book's frame, indexed once so that no line loops over all rules."""

from pricing.engine.book import Frame


class Rules:
    """Everything of a book that is not per SKU, ready for evaluation. Build one per book and keep it.

    :raises BookError: naming what this engine cannot price
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
