"""A set of flags, all read from one document, ready to be asked."""

from collections.abc import Mapping

from axon.flags.flag import Flag
from axon.flags.values import (
    ERROR,
    FLAG_NOT_FOUND,
    TYPE_MISMATCH,
    Evaluation,
    EvaluationContext,
    Primitive,
)


class FlagSet:
    """Flags that are asked in memory: nothing here waits, and nothing here raises."""

    __slots__ = ("flags", "metadata", "turn_flags", "version", "versions")

    def __init__(
        self, flags: Mapping[str, Flag], metadata: Mapping[str, Primitive], version: str
    ) -> None:
        """`version` names what the whole document says: equal for equal definitions."""
        self.flags = flags
        self.metadata = metadata
        self.version = version
        self.versions: Mapping[str, int] = {}
        """Of each flag, as its history counts; of a set that was read from the store."""
        asked = [flag for flag in flags.values() if flag.effects and not flag.is_off]
        self.turn_flags = tuple(sorted(asked, key=lambda flag: flag.key))
        """Those that are asked for every turn, in the order of their keys; one that is off for
        everybody is not."""

    def evaluate(self, key: str, context: EvaluationContext, kind: str = "") -> Evaluation:
        """Return what the flag answers; off with the reason when it cannot be told.

        A caller who can only use one kind of value names it: another one is TYPE_MISMATCH.
        """
        flag = self.flags.get(key)
        if flag is None:
            return Evaluation(
                key=key, reason=ERROR, error_code=FLAG_NOT_FOUND, detail="there is no such flag"
            )
        if kind and kind != flag.kind:
            return flag.failed(TYPE_MISMATCH, f"its variants are of kind {flag.kind}")
        return flag.evaluate(context)

    def evaluate_all(self, context: EvaluationContext) -> list[Evaluation]:
        """Return what every flag answers, in the order of the document."""
        return [flag.evaluate(context) for flag in self.flags.values()]


EMPTY = FlagSet({}, {}, "")
"""No flags: what is asked while no definition was ever seen."""
