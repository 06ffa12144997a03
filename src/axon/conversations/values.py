"""What crosses the room's door: owners, leases, conversations, items and turns."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import msgspec

from axon.conversations.history import HistoryTurn, OpenedWindow
from axon.records import TokenUsage

HISTORY = "history"
"""What a degraded turn lacks."""

Authority = Literal["valkey", "postgres", "nobody"]
"""Who gave a lease; a brand-new conversation needs none."""


class Unchanged(Enum):
    """Says of a member that it is not named, where None has a meaning."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The person whose conversation it is: the organization and the subject's number."""

    org_id: str
    user: int


class Lease:
    """The right to write the next record of a conversation, while it lasts."""

    __slots__ = ("authority", "deadline", "epoch", "window")

    def __init__(
        self, authority: Authority, deadline: float, epoch: bytes, window: OpenedWindow
    ) -> None:
        """`deadline` is a monotonic instant in seconds, `window` what the lease was given on."""
        self.authority = authority
        self.deadline = deadline
        self.epoch = epoch
        self.window = window


class Begun(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A turn that has its place in a conversation; end it with one `commit` or `abort`."""

    owner: Owner
    conversation_id: str
    sequence: int
    """The place of the record to come; 0 when it gets one later."""
    fence: int
    lease: Lease
    history: tuple[HistoryTurn, ...]
    complete: bool
    """Whether `history` reaches the beginning of the conversation; without a place, as far as
    anybody knows."""
    follows: str = ""
    """The response that a turn without a place continues, if it is to continue one."""

    @property
    def degraded(self) -> tuple[str, ...]:
        """Return what the turn has to do without: its history, when it has no place yet."""
        return () if self.sequence else (HISTORY,)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnplacedTurn:
    """Where a turn is to stand once its place can be told."""

    owner: Owner
    conversation_id: str
    """Of a turn that continues a response, one of its own until then."""
    follows: str
    """The response it continues; empty when it continues the conversation's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkOrigin:
    """What a conversation was copied from."""

    conversation_id: str
    item_id: str | None
    """The last item that was copied; None when there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation as it stands, without its items."""

    owner: Owner
    conversation_id: str
    created_us: int
    updated_us: int
    head_sequence: int
    metadata: Mapping[str, str]
    title: str | None
    model: str | None
    """The alias that answered last."""
    implicit: bool
    archived: bool
    forked_from: ForkOrigin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What is to be changed of a conversation; what is UNCHANGED stays."""

    metadata: Mapping[str, str] | Unchanged = UNCHANGED
    title: str | Unchanged | None = UNCHANGED
    """None takes the title away."""
    archived: bool | Unchanged = UNCHANGED


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredItem:
    """An item as the API shows it."""

    item_id: str
    kind: str
    author: str
    status: str
    content: bytes
    """The item's JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which items are asked for."""

    after: str | None
    """The item before the first; None begins at the beginning."""
    limit: int
    order: Literal["asc", "desc"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPage:
    """Some items in the order asked for."""

    items: tuple[StoredItem, ...]
    has_more: bool


class TurnPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a turn stands; conversation_id is empty for a turn outside any conversation."""

    conversation_id: str
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTurn:
    """A turn as it was journaled, opened."""

    owner: Owner
    turn_id: str
    conversation_id: str
    """Empty for a turn outside any conversation."""
    sequence: int
    surface: str
    model: str
    status: str
    """in_progress, completed, incomplete, failed or cancelled."""
    reason: str
    stored: bool
    answer: bytes
    """What the turn's record calls its answer; empty while it runs, or when its key is gone."""
    input: tuple[StoredItem, ...]
    """Empty for a turn outside any conversation, and while a turn runs."""
    output: tuple[StoredItem, ...]
    usage: TokenUsage
    accepted_us: int
    completed_us: int
    """0 while it runs."""
    without_history: bool = False

    @property
    def degraded(self) -> tuple[str, ...]:
        """Return what the turn had to do without, as `Begun.degraded` does."""
        return (HISTORY,) if self.without_history else ()


_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewItem:
    """An item that has no id yet."""

    kind: str
    author: str
    content: bytes
    """Its JSON object as the API shows it, without an id."""
    model_tokens: int = 0
    """Estimated length; 0 when nobody counted, and then its bytes stand for it."""

    @property
    def prefix(self) -> str:
        """Return the prefix of the id this item will get."""
        return _PREFIXES.get(self.kind, "item")

    def with_id(self, item_id: str) -> bytes:
        """Return the content with its id in front (an id we made needs no escaping).

        An object that brings an id of its own keeps it behind ours, and readers take the last of
        two, so callers take it out first.
        """
        rest = self.content.lstrip()[1:].lstrip()
        comma = b"" if rest.startswith(b"}") else b","
        return b'{"id":"%b"%b%b' % (item_id.encode(), comma, rest)
