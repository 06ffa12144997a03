"""What a variant does to a turn: the shape of its value where its flag says `axon.turn`."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from axon.flags.mistakes import Mistakes, Path
from axon.flags.values import JsonValue

SYSTEM_CHARS_MAX = 100_000
"""Of a system prompt. It is in the record of every turn it acts on."""

_Name = Annotated[str, Meta(min_length=1, max_length=256)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]


class _Shape(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What is not named is left as the client asked."""


class SystemPrompt(_Shape, frozen=True):
    """A system prompt of ours, beside the client's or in its place."""

    text: Annotated[str, Meta(min_length=1, max_length=SYSTEM_CHARS_MAX)]
    version: Annotated[str, Meta(max_length=64)] = ""
    """A name for this text, for people; the flag's version names it exactly."""
    replace: bool = False
    """Whether the client's own is left out; else it follows ours."""


class Sampling(_Shape, frozen=True):
    """How the answer is drawn, and its length."""

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    seed: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None
    output_tokens_max: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    force: bool = False
    """Whether they count also where the client names its own."""


class TurnEffect(_Shape, frozen=True):
    """What one variant does to a turn; one without any member does nothing, as a control."""

    model: _Name | None = None
    """The alias that the turn runs on, and that its price and its limits are those of."""
    system: SystemPrompt | None = None
    sampling: Sampling | None = None
    tools: bool | None = None
    """False: the model is told of no tools. True keeps another flag from saying so."""
    safety: Annotated[str, Meta(pattern="^[a-z0-9_-]{1,32}$")] | None = None
    """A level, by the name it has in the turn's record."""
    use_rag: bool | None = None
    """Whether passages are looked for and given to the model with the question."""


NO_EFFECT = TurnEffect()


def read_effects(
    variants: Mapping[str, JsonValue], path: Path, mistakes: Mistakes
) -> dict[str, TurnEffect]:
    """Return what each variant does; what is wrong with one is told to `mistakes`."""
    effects: dict[str, TurnEffect] = {}
    for name, value in variants.items():
        try:
            effect = msgspec.convert(value, TurnEffect)
            effects[name] = NO_EFFECT if effect == NO_EFFECT else effect
        except msgspec.ValidationError as error:
            message, _, where = str(error).partition(" - at `$.")
            at = path / name
            for step in where.rstrip("`").split(".") if where else ():
                at = at / step
            mistakes.add(at, message)
    return effects


def joined(first: TurnEffect, second: TurnEffect) -> TurnEffect:
    """Return what both do together; of a member that both name, the first's counts."""
    named = {name: getattr(first, name) for name in TurnEffect.__struct_fields__}
    return msgspec.structs.replace(
        second, **{name: value for name, value in named.items() if value is not None}
    )
