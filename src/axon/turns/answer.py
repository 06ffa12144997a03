"""The two shapes of an answer (chat completions and responses) behind one small interface."""

from typing import Protocol

import msgspec

from axon.records import TokenUsage


class OutputItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item the turn said, as the API shows it."""

    item_id: str
    kind: str
    author: str
    content: bytes
    """The item's JSON object."""


class TurnFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a turn did not end well, in OpenAI's terms; `gateway` turns it into an answer."""

    status: int
    code: str
    message: str
    kind: str = "server_error"
    param: str | None = None
    retry_after_ms: int | None = None
    body: bytes | None = None
    """The engine's own error body when it may be shown as it is."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine's part of a turn ended."""

    status: str
    """completed, incomplete, failed or cancelled."""
    reason: str = ""
    failure: TurnFailure | None = None


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """The last of an answer, shown only once it is durable."""

    shown: bytes
    """What a follower of the stream still has to see, the terminal event last."""
    body: bytes
    """The whole answer for a client that did not stream."""
    kept: bytes
    """What is stored of the answer, before sealing."""
    output: list[OutputItem] = []


class Answer(Protocol):
    """Turns what an engine sends into what a client of one surface reads."""

    upstream_id: str
    usage: TokenUsage | None
    complete: bool
    """True once the engine said why it stopped."""

    def open(self) -> bytes:
        """Return what a follower sees before the first output."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Take complete SSE events; return what may be shown now. Raises BrokenUpstream."""
        ...

    def take_whole(self, data: bytes) -> None:
        """Take an unstreamed answer. Raises BrokenUpstream."""
        ...

    def said_anything(self) -> bool:
        """Return whether there is any output."""
        ...

    def said_no(self) -> bool:
        """Return whether the model refused to answer, in its own words or by its filter."""
        ...

    def said_text(self) -> str:
        """Return the output as one text, for counting."""
        ...

    def items(self, status: str) -> list[OutputItem]:
        """Return the output so far as items, each marked with `status`."""
        ...

    def ending(self) -> Ending:
        """Return how the answer ended, judged by what the engine said."""
        ...

    def close(self, ending: Ending, usage: TokenUsage) -> Closing:
        """Return the last of the answer."""
        ...
