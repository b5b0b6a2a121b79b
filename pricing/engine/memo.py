"""Memory of what was worked out, of bounded size."""

from collections import deque
from collections.abc import Hashable
from typing import Final, TypeVar

MEMO_LIMIT: Final = 10_000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(dict[K, V]):
    """Put things in by `keep`: when full, the one kept first goes. (To drop all at once would hold up one request.)"""

    __slots__ = ("_limit", "_order")

    def __init__(self, limit: int = MEMO_LIMIT) -> None:
        super().__init__()
        self._limit = limit
        self._order: deque[K] = deque()

    def keep(self, key: K, value: V) -> V:
        if key not in self:
            if len(self) >= self._limit:
                del self[self._order.popleft()]
            self._order.append(key)
        self[key] = value
        return value
