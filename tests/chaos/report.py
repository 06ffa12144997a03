"""The figures of a campaign: what was acknowledged and why the rest was not, by kill target."""

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass

from tests.chaos.ledger import Attempt

CAUSES_SHOWN = 4
_CAUSE_LENGTH = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One kill: what, and when on the oracle's clock."""

    target: tuple[str, ...]
    at_ns: int

    @property
    def name(self) -> str:
        """Return the target in words."""
        return " + ".join(self.target)


def figures(strikes: list[Strike], attempts: list[Attempt]) -> list[str]:
    """Return the lines of a table: an attempt belongs to the last kill before its end."""
    times = [strike.at_ns for strike in strikes]
    names = ["(before the first)", *(strike.name for strike in strikes)]
    kills = Counter(names)
    acknowledged: Counter[str] = Counter()
    causes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for attempt in attempts:
        name = names[bisect_right(times, attempt.ended_ns)]
        if attempt.acknowledged:
            acknowledged[name] += 1
        else:
            causes[name][_cause(attempt.error)] += 1
    lines = [f"{'killed':22}{'times':>6}{'acknowledged':>14}{'not':>7}  why not"]
    for name, count in sorted(kills.items()):
        most = causes[name].most_common(CAUSES_SHOWN)
        why = "; ".join(f"{number} {cause}" for cause, number in most)
        lines.append(
            f"{name:22}{count:6}{acknowledged[name]:14}{causes[name].total():7}  {why}".rstrip()
        )
    return lines


def _cause(error: str) -> str:
    return error.rpartition("Error code: ")[2][:_CAUSE_LENGTH]
