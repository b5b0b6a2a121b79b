"""Faults of the API that tests ask for: what a network and a payment provider do on a bad day."""

import random
import threading
from dataclasses import dataclass, field
from typing import Literal, get_args

from sandbox.stripe_twin.errors import JsonObject

FaultKind = Literal["error", "timeout", "lose_answer", "reset", "slow", "garbage"]


@dataclass
class Fault:
    """For the next *times* requests of *method* (any if None) whose path begins with *path*:

    - ``error``: answer *status* without doing it; *after* does it first; *saved* lets the idempotency key remember it
    - ``timeout``: say nothing for *seconds*, then close the connection, having done nothing
    - ``lose_answer``: do it, then close the connection without an answer
    - ``reset``: break the connection off at once, having done nothing
    - ``slow``: wait *seconds*, then do it and answer
    - ``garbage``: do it, then answer 200 with something that is no JSON
    """

    kind: FaultKind
    method: str | None = None
    path: str = "/v1/"
    times: int = 1
    status: int = 500
    seconds: float = 1.0
    after: bool = False
    saved: bool | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"kind is one of {', '.join(get_args(FaultKind))}, not {self.kind!r}")
        if self.times < 1:
            raise ValueError("times is at least 1")
        if self.saved is None:
            # Stripe saves a 500 that an operation ran into, but not a refusal at its door.
            self.saved = self.status >= 500

    def error_body(self) -> JsonObject:
        match self.status:
            case 409:
                fields = {"type": "invalid_request_error", "code": "lock_timeout", "message": _LOCKED}
            case 429:
                fields = {"type": "invalid_request_error", "code": "rate_limit", "message": _TOO_MANY}
            case _:
                fields = {"type": "api_error", "message": _OUR_FAULT}
        return {"error": fields}


_LOCKED = "This object cannot be accessed right now because another API request or Stripe process is accessing it."
_TOO_MANY = "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
_OUR_FAULT = "An unknown error occurred (a fault that a test asked the Stripe twin for)."


@dataclass
class SeededFaults:
    """A fault of *kinds* at *rate* for each of the next *requests*, the same for the same *seed*."""

    seed: int
    rate: float
    requests: int
    kinds: tuple[FaultKind, ...] = ("error", "lose_answer", "reset")
    path: str = "/v1/"
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def draw(self) -> Fault | None:
        if self._random.random() >= self.rate:
            return None
        status = self._random.choice((500, 429, 409))
        return Fault(kind=self._random.choice(self.kinds), status=status, seconds=0.2)


class FaultPlan:
    """Taken in the order they were asked for; a restart of the twin forgets them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._seeded: SeededFaults | None = None

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def seed(self, seeded: SeededFaults) -> None:
        with self._lock:
            self._seeded = seeded

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()
            self._seeded = None

    def waiting(self) -> int:
        with self._lock:
            return sum(fault.times for fault in self._faults)

    def take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.method in {None, method} and path.startswith(fault.path):
                    fault.times -= 1
                    if fault.times == 0:
                        self._faults.remove(fault)
                    return fault
            if self._seeded is None or not path.startswith(self._seeded.path):
                return None
            self._seeded.requests -= 1
            drawn = self._seeded.draw()
            if self._seeded.requests <= 0:
                self._seeded = None
            return drawn
