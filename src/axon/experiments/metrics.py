"""The metrics that every turn's record has, without a line of code in a client."""

import re
from typing import Final, NamedTuple

from axon.statistics import Metric

DAY_US: Final = 86_400_000_000

RETENTION_DAYS_MAX: Final = 90

_RETENTION = re.compile(r"retention_([1-9][0-9]?)")
_EVENT = re.compile(r"event:(?P<type>[^\0]{1,256}?)(?:#(?P<member>[A-Za-z_][A-Za-z0-9_]{0,63}))?")


class Counted(NamedTuple):
    """How a metric is read from a row of `units` (axon.experiments.measuring): SQL expressions."""

    title: str
    x: str
    y: str = "0"
    kind: str = "ratio"
    better: str = "lower"
    measure: str = "number"
    only: str = "true"
    """Which units count at all."""
    before: str = ""
    """The same for the time before the experiment: the covariate, where units are users."""
    event_type: str = ""
    member: str = ""
    """Of the event's data, whose numbers are summed; empty counts the events."""
    days: int = 0
    """Of a retention."""

    def metric(self, name: str, purpose: str, unit: str) -> Metric:
        """Return what statistics are told of it."""
        adjusted = bool(self.before) and unit == "user"
        kind = "cuped" if adjusted else self.kind
        found: dict[str, str] = {"kind": kind, "better": self.better, "measure": self.measure}
        return Metric(name=name, title=self.title, purpose=purpose, **found)  # type: ignore[arg-type]

    def y_for(self, unit: str) -> str:
        """Return the second number: a denominator, or the same metric before the experiment."""
        return self.before if self.before and unit == "user" else self.y


COUNTED: Final = {
    "cost_per_turn": Counted("Cost of a turn", "cost", "turns", measure="nano_money"),
    "cost_per_unit": Counted(
        "Cost of a unit", "cost", kind="mean", measure="nano_money", before="cost_before"
    ),
    "input_tokens": Counted("Input tokens of a turn", "input", "turns", measure="tokens"),
    "output_tokens": Counted("Output tokens of a turn", "output", "turns", measure="tokens"),
    "latency": Counted("Time of a turn", "took_us", "answered", measure="microseconds"),
    "time_to_first_token": Counted(
        "Time to the first token", "first_us", "spoke", measure="microseconds"
    ),
    "error_rate": Counted("Failed turns", "failed", "turns", measure="share"),
    "refusal_rate": Counted("Refused turns", "refused", "turns", measure="share"),
    "thumbs_up_rate": Counted(
        "Thumbs up of those given", "liked", "rated", better="higher", measure="share"
    ),
    "regeneration_rate": Counted("Regenerated answers", "regenerated", "turns", measure="share"),
    "turns_per_conversation": Counted(
        "Turns of a conversation", "in_conversations", "conversations", better="higher"
    ),
    "turns_per_unit": Counted(
        "Turns of a unit", "turns", kind="mean", better="higher", before="turns_before"
    ),
}
"""By name; beside them `retention_N`, `event:TYPE` and `event:TYPE#MEMBER`."""


def counted(name: str) -> Counted | None:
    """Return how a metric is counted; None for a name that none has.

    `retention_N` is the share of units that had a turn on the Nth day after their first one;
    `event:TYPE` how many outside events a unit is the subject of, `event:TYPE#MEMBER` the sum of
    a member of their data.
    """
    if name in COUNTED:
        return COUNTED[name]
    found = _RETENTION.fullmatch(name)
    if found and int(found[1]) <= RETENTION_DAYS_MAX:
        days = int(found[1])
        return Counted(
            f"Back on day {days}",
            f"back_{days}",
            kind="mean",
            better="higher",
            measure="share",
            only=f"first_at_us + {(days + 1) * DAY_US} <= $4",
            days=days,
        )
    found = _EVENT.fullmatch(name)
    if found:
        kind, member = found["type"], found["member"] or ""
        return Counted(
            f"{kind} {member}".rstrip(), "", kind="mean", better="higher",
            event_type=kind, member=member,
        )  # fmt: skip
    return None
