"""Which webhooks are owed, and the lies that tests ask for: held, dropped, doubled, reversed, delayed, forged."""

import threading
from dataclasses import dataclass
from typing import Literal, get_args

from sandbox.stripe_twin.errors import JsonObject
from sandbox.stripe_twin.store import Record, Store

TwistKind = Literal["hold", "drop", "duplicate", "reverse", "delay", "timestamp", "wrong_secret", "rewrite"]

_STATES: dict[TwistKind | None, str] = {"hold": "held", "reverse": "held", "drop": "dropped"}


@dataclass
class Twist:
    """A fault for the next *times* webhooks whose event type begins with *events*.

    ``duplicate`` sends *copies*; ``reverse`` holds them until *times* have come and sends the last first; ``delay``
    waits *seconds*; ``timestamp`` signs *seconds* away from now (negative is old); ``rewrite`` sets *fields* of the
    event, such as ``api_version`` or ``livemode``, and signs the result.
    """

    kind: TwistKind
    times: int = 1
    events: str = ""
    seconds: float = 0.0
    copies: int = 2
    fields: JsonObject | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(TwistKind):
            raise ValueError(f"kind is one of {', '.join(get_args(TwistKind))}, not {self.kind!r}")
        if self.times < 1 or self.copies < 1:
            raise ValueError("times and copies are at least 1")
        self.group = f"reverse-{id(self)}"
        self.batch = self.times

    def marks(self) -> JsonObject:
        """What the delivery must remember of this twist until it is sent."""
        match self.kind:
            case "reverse":
                return {"group": self.group}
            case "timestamp":
                return {"signed_seconds_away": self.seconds}
            case "wrong_secret":
                return {"wrong_secret": True}
            case "rewrite":
                return {"fields": self.fields or {}}
            case _:
                return {}


class Outbox:
    """Adds deliveries to the store inside the transaction that stores their event, so none is lost or invented."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._twists: list[Twist] = []
        self._lock = threading.Lock()
        self.holding = False

    def plan(self, twist: Twist) -> None:
        with self._lock:
            self._twists.append(twist)

    def planned(self) -> int:
        with self._lock:
            return len(self._twists)

    def clear(self) -> None:
        with self._lock:
            self._twists.clear()
            self.holding = False

    def add(self, event: Record, endpoint: Record, *, now: float) -> None:
        twist = self._take(event.body["type"])
        kind = twist.kind if twist else None
        state = _STATES.get(kind, "held" if self.holding else "pending")
        due_at = now + twist.seconds if twist and kind == "delay" else now
        marks = twist.marks() if twist else {}
        for _ in range(twist.copies if twist and kind == "duplicate" else 1):
            self._store.add_delivery(event.id, endpoint.id, state=state, due_at=due_at, twist=marks)
        if twist and kind == "reverse" and self._store.count_held(twist.group) >= twist.batch:
            self._store.release_deliveries(reverse=True, now=now, group=twist.group)

    def _take(self, event_type: str) -> Twist | None:
        with self._lock:
            for twist in self._twists:
                if event_type.startswith(twist.events):
                    twist.times -= 1
                    if twist.times == 0:
                        self._twists.remove(twist)
                    return twist
        return None
