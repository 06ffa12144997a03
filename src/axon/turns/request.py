"""What a client asked for, as `gateway` understood it, and what becomes of it while it runs."""

import msgspec

from axon.conversations import Begun, NewItem
from axon.inference import JobStream, Model
from axon.journal import Location
from axon.records import SealedItem, TurnHead
from axon.sealing import DataKey
from axon.turns.answer import Answer, TurnFailure
from axon.turns.engine_request import Fields
from axon.turns.stream import TurnStream

REQUEST_ITEM = "request"
ANSWER_ITEM = "answer"
"""Names under which a turn's own two blobs are bound to it."""


class TurnRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request for a turn; everything in it has been validated for shape."""

    org_id: str
    user: int
    """The subject's number: the person whose data this is."""
    credential_id: str
    surface: str
    """chat or responses."""
    model: str
    streamed: bool
    stored: bool
    body: bytes
    """The client's body as it came; sealed into the journal so that the turn can run again."""
    fields: Fields
    items: tuple[NewItem, ...] = ()
    instructions: str | None = None
    conversation_id: str | None = None
    previous_response_id: str | None = None
    truncate: bool = False
    """Drop the oldest turns when the history outgrows the model's window; else refuse."""
    output_tokens_max: int | None = None
    show_usage: bool = False
    choices: int = 1
    """How many answers a chat completion was asked for."""
    idempotency_key: str | None = None
    attempt: int = 0


class TurnEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn ended, for a client that waits for the whole answer."""

    status: str
    body: bytes
    failure: TurnFailure | None


class RunningTurn(msgspec.Struct, kw_only=True, eq=False):
    """A turn between its acceptance and its acknowledgement."""

    head: TurnHead
    request: TurnRequest
    model: Model
    answer: Answer
    key: DataKey
    input: list[SealedItem]
    contents: tuple[bytes, ...]
    """The input items before they were sealed."""
    begun: Begun | None
    started_s: float
    """Monotonic instant at which Axon took the turn up."""
    fields: bytes = b""
    """The engine's request: JSON members without the model."""
    request_blob: bytes = b""
    """The client's body, sealed."""
    stream: TurnStream = msgspec.field(default_factory=TurnStream)
    end: TurnEnd | None = None
    """Set when the turn is durable (or could not be made so); the stream is over then."""
    accepted_at: Location = Location(0, 0, 0, 0)
    output: JobStream | None = None
    """What the engine says, from the submission of the turn's job on."""
    upstream: str = ""
    submitted_s: float = 0.0
    engine_done_s: float = 0.0
    first_output_us: int = 0
    progress_s: float = 0.0

    @property
    def readable(self) -> bool:
        """Return whether anybody may read the turn back before PostgreSQL has it."""
        return self.begun is not None or self.head.stored

    def overhead_ms(self, now_s: float) -> float:
        """Return Axon's own share of the time so far, in milliseconds."""
        if self.submitted_s == 0.0:
            return (now_s - self.started_s) * 1e3
        before = self.submitted_s - self.started_s
        after = max(0.0, now_s - self.engine_done_s) if self.engine_done_s else 0.0
        return (before + after) * 1e3
