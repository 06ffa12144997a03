"""How fast gateways and workers notice each other's end, and how long they bear with Valkey's."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """All in seconds; gateways and workers of one installation need the same."""

    pulse_every_s: float = 1.0
    pulse_lasts_s: float = 3.0
    """A worker says every `pulse_every_s` that it lives; silent for this long it is taken for dead:
    three times, so that neither a busy loop nor a restart of Valkey looks like a death."""
    watch_every_s: float = 0.5
    """How often a gateway looks whether its jobs are still in somebody's hands."""
    away_patience_s: float = 2.0
    """A job of which nothing was shown waits this long for a Valkey that is away, or for a lane's
    first worker, then runs in the gateway. The embedded Valkey is back half a second after a crash.
    """
    away_max_s: float = 20.0
    """A job that has shown output waits this long for the rest."""
    past_kept_s: float = 60.0
    """How long a process that was restarted keeps what workers told the one before it."""
    kept_after_end_s: float = 10.0
    """How long output stays in Valkey after its end was read: the turn is not yet durable then."""


PACE = Pace()
"""What everything but a test uses."""
