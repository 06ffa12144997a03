"""What clients asked, and what they were promised."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Asked:
    """One request for a turn, with all its tries."""

    mark: str
    """The only text with which it asks."""
    conversation_id: str
    """Empty for a chain of responses, until it is known."""
    sent_s: float
    previous: str = ""
    """The response it continues."""
    turn_ids: set[str] = field(default_factory=set)
    """Of every answer to every try."""
    accepted_ids: set[str] = field(default_factory=set)
    """Of every turn of which a client was told that it was accepted."""
    acknowledged_s: float = -1.0
    answer: str = ""
    """As the client read it."""
    degraded: bool = False
    cancelled: bool = False


@dataclass(slots=True)
class Added:
    """One item that was to be added without a turn."""

    mark: str
    conversation_id: str
    sent_s: float
    acknowledged_s: float = -1.0
    item_ids: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Ledger:
    """Everything that one world's clients did."""

    asked: list[Asked] = field(default_factory=list)
    added: list[Added] = field(default_factory=list)
    created: dict[str, float] = field(default_factory=dict)
    """Conversations, and when they were acknowledged."""
    deleting: set[str] = field(default_factory=set)
    """Conversations that somebody tried to delete."""
    deleted: set[str] = field(default_factory=set)
    removing: set[str] = field(default_factory=set)
    """Marks of items that somebody tried to delete."""
    removed: set[str] = field(default_factory=set)
    contradictions: list[str] = field(default_factory=list)
    """What no client may ever be told."""
    refusals: dict[str, int] = field(default_factory=dict)

    @property
    def acknowledged(self) -> int:
        """Return how many turns and items were acknowledged."""
        turns = sum(one.acknowledged_s >= 0 for one in self.asked)
        return turns + sum(one.acknowledged_s >= 0 for one in self.added)

    def refused(self, error: BaseException) -> None:
        """Count a refusal by its kind."""
        name = type(error).__name__
        self.refusals[name] = self.refusals.get(name, 0) + 1
