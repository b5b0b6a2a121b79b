"""Named places where a crash would hurt most, so that a test can crash there.

A failpoint stands before and after each commit and each network call of a flow that moves money. In production it costs
a comparison. `TARIFA_FAILPOINT=checkout.place:after_commit` makes the process die there by SIGKILL, once it is reached.
"""

import os
import signal
from typing import Final, Literal

Moment = Literal["before_commit", "after_commit", "before_call", "after_call"]
COMMIT_MOMENTS: Final[tuple[Moment, ...]] = ("before_commit", "after_commit")
CALL_MOMENTS: Final[tuple[Moment, ...]] = ("before_call", "after_call")
VARIABLE: Final = "TARIFA_FAILPOINT"

_registry: dict[str, "Failpoint"] = {}


class Failpoint:
    """One commit or one network call of a flow, by a dotted name such as `checkout.place`.

    :raises ValueError: when the name is taken, for two places under one name could not be told apart
    """

    def __init__(self, name: str, *, call: bool = False) -> None:
        if name in _registry:
            raise ValueError(f"failpoint {name} is registered twice")
        self.name = name
        self.moments: tuple[Moment, ...] = CALL_MOMENTS if call else COMMIT_MOMENTS
        _registry[name] = self

    def reach(self, moment: Moment) -> None:
        """Say that the flow is here. Does not return when the process is told to die here."""
        if os.environ.get(VARIABLE) == f"{self.name}:{moment}":
            os.kill(os.getpid(), signal.SIGKILL)


def registered(prefix: str = "") -> tuple[str, ...]:
    """Return every `name:moment` below a dotted prefix, in order of name."""
    return tuple(
        f"{point.name}:{moment}"
        for name, point in sorted(_registry.items())
        if name.startswith(prefix)
        for moment in point.moments
    )
