"""The settings of turns, and of the conversations they are in."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from axon.base import MIB


class ConversationsSettings(Struct, frozen=True, kw_only=True):
    """What a serving process holds of conversations, and how long a change of one waits."""

    opened_bytes_max: Annotated[
        int,
        Meta(
            ge=0,
            description="Memory for histories that are kept opened, so that the next turn need "
            "not read them again; the least recently used go first.",
        ),
    ] = 256 * MIB
    remembered_turns_max: Annotated[
        int,
        Meta(
            ge=0,
            description="Ended turns whose conversation is remembered, at some 400 bytes each, so "
            "that continuing one by `previous_response_id` costs no SQL.",
        ),
    ] = 100_000
    idempotency_keys_max: Annotated[
        int,
        Meta(
            ge=1,
            description="Idempotency keys in memory, at some 300 bytes each; those that PostgreSQL "
            "has make room, and while it has none of them a request with a new one is a 503.",
        ),
    ] = 100_000
    change_wait_s: Annotated[
        float,
        Meta(
            ge=0,
            description="How long a change without a turn waits for the turns before it; then 409.",
        ),
    ] = 10.0


class TurnsSettings(Struct, frozen=True, kw_only=True):
    """One request and its answer."""

    wait_s: Annotated[
        float,
        Meta(ge=0, description="How long a turn waits for the one before it; then 409."),
    ] = 30.0
    timeout_s: Annotated[float, Meta(gt=0, description="Longest turn, waiting included.")] = 600.0
    history_unavailable: Annotated[
        Literal["answer", "refuse"],
        Meta(
            description="While no store can tell what a conversation holds: answer a turn without "
            "it and give it its place later, or refuse it with 503."
        ),
    ] = "answer"
    progress_every_s: Annotated[
        float,
        Meta(gt=0, description="How much of a running answer a crash can cost at most."),
    ] = 2.0
