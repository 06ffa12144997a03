"""What the model is shown of a conversation: whole turns with their items opened."""

from collections.abc import Iterable, Sequence

import msgspec

from axon.records import SealedItem
from axon.sealing import key_id_of

PINNED_AUTHORS = frozenset({"system", "developer"})
"""Their items are instructions: a window that leaves out old turns keeps them."""

SUMMARY = "compaction"
"""OpenAI's kind of an item that stands for what was said before it."""

_NO_IDS: frozenset[str] = frozenset()


class HistoryItem(msgspec.Struct, frozen=True, gc=False):
    """One item, opened."""

    item_id: str
    kind: str
    author: str
    model_tokens: int
    content: bytes
    """The item's JSON as the API shows it."""
    memo: list[bytes] = []
    """What the reader of the window made of the content, kept for the next time; a window in
    memory is read once a turn, and its items do not change."""

    @property
    def pinned(self) -> bool:
        """Return whether every window keeps this item."""
        return self.author in PINNED_AUTHORS


class HistoryTurn(msgspec.Struct, frozen=True):
    """The items of one place in a conversation, with what fitting them needs to know."""

    turn_id: str
    """Of the turn, or of the change that brought the items without a turn."""
    sequence: int
    items: tuple[HistoryItem, ...]
    model_tokens: int
    pinned_tokens: int
    """The part of `model_tokens` that every window keeps."""
    calls: frozenset[str]
    """Calls that are not answered within this turn."""
    answers: frozenset[str]
    """Calls of other turns that are answered here."""
    summary: HistoryItem | None
    """The turn's item of kind SUMMARY, which stands for all turns before it."""

    @classmethod
    def of(cls, turn_id: str, sequence: int, items: Sequence[HistoryItem]) -> "HistoryTurn":
        """Return the turn; its items are read once, here, so that fitting need not."""
        tokens = pinned = 0
        calls = answers = _NO_IDS
        summary = None
        for item in items:
            tokens += item.model_tokens
            if item.pinned:
                pinned += item.model_tokens
            if asked := call_of(item):
                calls |= {asked}
            elif answered := answer_of(item):
                answers |= {answered}
            elif item.kind == SUMMARY and summary is None:
                summary = item
        return cls(
            turn_id,
            sequence,
            tuple(items),
            tokens,
            pinned,
            calls - answers,
            answers - calls,
            summary,
        )


class WindowTurn(msgspec.Struct, frozen=True, array_like=True):
    """The items of one place in a conversation, still sealed: what the cache holds."""

    turn_id: str
    sequence: int
    items: list[SealedItem]
    contents: tuple[bytes, ...] = ()
    """The same items opened, in the same order, when the caller has them at hand: it spares
    opening them again for the next turn. Never leaves the process."""


class OpenedWindow(msgspec.Struct, frozen=True):
    """The newest turns of a conversation, opened, and what they prove."""

    head: int
    """Sequence of the conversation's last record: the window is true for this one only."""
    head_fence: int
    turns: tuple[HistoryTurn, ...]
    complete: bool
    """Whether `turns` reaches the beginning of the conversation."""
    key_ids: frozenset[bytes]
    """The keys it was opened with: when one is erased, the window must go too."""
    sealed_bytes: int
    opened_bytes: int

    def followed_by(self, turn: HistoryTurn, fence: int, items: list[SealedItem]) -> "OpenedWindow":
        """Return the window one record later; `items` are the turn's, sealed."""
        return OpenedWindow(
            head=turn.sequence,
            head_fence=fence,
            turns=(*self.turns, turn) if turn.items else self.turns,
            complete=self.complete,
            key_ids=self.key_ids.union([key_id_of(item.blob) for item in items]),
            sealed_bytes=self.sealed_bytes + sealed_bytes(items),
            opened_bytes=self.opened_bytes + opened_bytes((turn,)),
        )

    @classmethod
    def of(
        cls,
        head: tuple[int, int],
        turns: tuple[HistoryTurn, ...],
        complete: bool,
        items: Sequence[SealedItem],
    ) -> "OpenedWindow":
        """Return the window at `head` (sequence, fence); `items` are the turns', sealed."""
        return cls(
            head=head[0],
            head_fence=head[1],
            turns=turns,
            complete=complete,
            key_ids=frozenset([key_id_of(item.blob) for item in items]),
            sealed_bytes=sealed_bytes(items),
            opened_bytes=opened_bytes(turns),
        )


EMPTY_WINDOW = OpenedWindow(
    head=0,
    head_fence=0,
    turns=(),
    complete=True,
    key_ids=frozenset(),
    sealed_bytes=0,
    opened_bytes=0,
)
"""What precedes the first record of a conversation."""


def sealed_bytes(items: Iterable[SealedItem]) -> int:
    """Return how many bytes the items' blobs have."""
    return sum([len(item.blob) for item in items])


_ITEM_OVERHEAD_BYTES = 900
"""What an opened item weighs in memory beyond its content, measured: the struct, its strings, and
its share of the turn and the window."""


def opened_bytes(turns: Sequence[HistoryTurn]) -> int:
    """Return about how many bytes of memory these turns hold, each item's memo included."""
    sizes = [2 * len(item.content) + _ITEM_OVERHEAD_BYTES for turn in turns for item in turn.items]
    return sum(sizes)


class _Called(msgspec.Struct):
    call_id: str = ""


_called = msgspec.json.Decoder(_Called)


def call_of(item: HistoryItem) -> str:
    """Return the id of the call this item makes and that an item must answer; else nothing.

    The kinds pair by name (function_call and function_call_output, and so on); calls that the
    engine answers itself carry no call id and need no partner.
    """
    return _call_id(item) if item.kind.endswith("_call") else ""


def answer_of(item: HistoryItem) -> str:
    """Return the id of the call this item answers; else nothing."""
    return _call_id(item) if item.kind.endswith("_call_output") else ""


def _call_id(item: HistoryItem) -> str:
    try:
        return _called.decode(item.content).call_id
    except msgspec.DecodeError:
        return ""  # a call id that is no string pairs with nothing
