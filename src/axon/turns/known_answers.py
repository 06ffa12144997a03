"""What the answers of flags mean for turns, worked out once for each set of flags."""

from typing import NamedTuple

from axon.flags import EMPTY, FlagSet, TurnEffect
from axon.records import Assignment


class Meaning(NamedTuple):
    """What one answer of one flag means."""

    assignment: Assignment
    effect: TurnEffect


Answered = tuple[str, str | None, str]
"""A flag's key, its variant and its reason."""


class KnownAnswers:
    """The meanings of a process; bounded by the flags there may be, and their variants."""

    __slots__ = ("_flag_set", "_known")

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._flag_set = EMPTY
        self._known: dict[Answered, Meaning] = {}

    def of(self, flag_set: FlagSet) -> dict[Answered, Meaning]:
        """Return what is known of this set, to be added to; of another one nothing is kept."""
        if flag_set is not self._flag_set:
            self._flag_set, self._known = flag_set, {}
        return self._known
