"""The settings of retrieval."""

from typing import Annotated

from msgspec import Meta, Struct

from axon.base import KIB, MIB

_URL = {"form": "an address like http://host:port/path"}


class RetrievalSettings(Struct, frozen=True, kw_only=True):
    """Who finds passages for turns whose flags ask for some; see docs/flags.md."""

    url: Annotated[
        str,
        Meta(
            pattern="^(https?://.*)?$",
            extra=_URL,
            description="The retriever, with the path that is posted to. Empty: none.",
        ),
    ] = ""
    key: Annotated[str, Meta(description="The API key it wants.")] = ""
    timeout_ms: Annotated[
        int,
        Meta(ge=1, le=10_000, description="How long a turn waits; then it goes on without."),
    ] = 800
    passages_max: Annotated[int, Meta(ge=1, le=100, description="Taken, the best first.")] = 6
    bytes_max: Annotated[
        int, Meta(ge=KIB, le=MIB, description="Longest answer; a longer one is not used.")
    ] = 32 * KIB
