"""A Stripe test server of our own, checked against Stripe's types; docs/stripe-twin.md says what it does."""

from sandbox.stripe_twin.faults import Fault, SeededFaults
from sandbox.stripe_twin.outbox import Twist
from sandbox.stripe_twin.running import RunningTwin, running_twin
from sandbox.stripe_twin.sessions import Attempt
from sandbox.stripe_twin.twin import Twin

__all__ = ["Attempt", "Fault", "RunningTwin", "SeededFaults", "Twin", "Twist", "running_twin"]
