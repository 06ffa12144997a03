"""Flags as they would be: those that are, with a draft's in their place."""

import msgspec

from axon.base import AxonError
from axon.flags import (
    NO_EFFECT,
    EvaluationContext,
    Flag,
    KeptFlag,
    join_document,
    joined,
    read_definitions,
    split_document,
)


class DraftWithoutTurns(AxonError):
    """No flag of the draft is asked for turns: mark one with `axon.turn` in its metadata.

    Flags that only clients ask leave nothing in turns that could be compared.
    """


class Answered(msgspec.Struct, frozen=True):
    """What the draft says about one turn."""

    variants: dict[str, str]
    """By flag of the draft; empty for off."""
    failed: tuple[str, ...]
    model: str | None
    """The alias that it would run on; None for the one that was asked for."""


class Draft:
    """A draft among the other flags, which it may require."""

    def __init__(self, document: bytes, kept: list[KeptFlag]) -> None:
        """`kept` are the flags in force now. Raises DefinitionInvalid and DraftWithoutTurns."""
        drafted = split_document(document)
        definitions = {one.name: one.definition for one in kept if one.definition} | drafted
        self._flags = read_definitions(join_document(definitions))
        self.flags: tuple[Flag, ...] = tuple(
            flag for key, flag in self._flags.flags.items() if key in drafted and flag.effects
        )
        """Those of the draft that are asked for turns."""
        if not self.flags:
            raise DraftWithoutTurns

    def answer(self, context: EvaluationContext) -> Answered:
        """Return what it says in a context; never raises."""
        variants = {flag.key: "" for flag in self.flags}
        failed: list[str] = []
        effect = NO_EFFECT
        for flag in self._flags.turn_flags:
            found = flag.evaluate(context)
            if found.variant is not None:
                effect = joined(effect, flag.effects[found.variant])
            if flag.key in variants:
                variants[flag.key] = found.variant or ""
                if found.error_code is not None:
                    failed.append(flag.key)
        return Answered(variants, tuple(failed), effect.model)
