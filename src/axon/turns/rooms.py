"""What a turn stands on: the rooms below, handed in by `app`, and the bounds of a turn."""

from collections.abc import Callable
from dataclasses import dataclass, field

from axon.base import MIB, Clock, IdMint, Randomness, TaskOwner
from axon.conversations import Conversations
from axon.flags import EMPTY, FlagSet
from axon.inference import Inference, ModelTable, Moderator, Retriever
from axon.journal import Journal
from axon.limits import Limits
from axon.metering import PriceBook
from axon.privacy import Policies, PrivacyPolicy
from axon.safety import SafetyPolicy
from axon.sealing import DataKey, KeyStore
from axon.turns.known_answers import KnownAnswers


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOptions:
    """The bounds of a turn."""

    wait_s: float = 30.0
    """How long a turn waits for the turns before it in its conversation; then 409."""
    deadline_s: float = 600.0
    """How long an engine may take; the SDK's own time-out is the same."""
    progress_every_s: float = 2.0
    """How often a long stream is journaled: a crash loses at most this much of it."""
    answer_bytes_max: int = 32 * MIB
    """How much an engine may stream for one answer before it is ended as incomplete."""
    answers_without_history: bool = True
    """Whether a turn whose history cannot be had now is answered without; else it is a 503."""
    trace_ratio: float | None = None
    """The share of traces that are kept whatever happens; None where turns leave no traces."""
    running_max: int = 20_000
    """How many turns may run at once in this process; one more is a 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRooms:
    """Everything a turn needs; one per process."""

    journal: Journal
    conversations: Conversations
    inference: Inference
    models: ModelTable
    prices: PriceBook
    limits: Limits
    keys: KeyStore
    mint: IdMint
    clock: Clock
    randomness: Randomness
    tasks: TaskOwner
    identity: bytes
    """Secret under which idempotency keys and bodies are hashed into records."""
    flag_set: Callable[[], FlagSet] = lambda: EMPTY
    """Return the flags as this process knows them now."""
    known_answers: KnownAnswers = field(default_factory=KnownAnswers)
    retriever: Retriever | None = None
    """Who finds passages for a question; None where nobody is set to."""

    policies: Policies = field(default_factory=lambda: Policies(PrivacyPolicy()))
    """What is hidden from engines, by organization."""
    safety: SafetyPolicy | None = None
    """What is checked; None where nothing is."""
    moderator: Moderator | None = None
    """Whom a level may ask; None where nobody is set."""

    async def data_key(self, org_id: str, user: int) -> DataKey:
        """Return the key that seals this person's content."""
        return self.keys.cached(org_id, user) or await self.keys.current(org_id, user)
