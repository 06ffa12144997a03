"""What a client asked for, as `gateway` understood it, and what becomes of it while it runs."""

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.conversations import Begun, NewItem
from axon.inference import JobStream, Model
from axon.journal import Location
from axon.limits import Admission
from axon.records import Assignment, Charge, SealedItem, TurnHead, TurnTimes, Verdict
from axon.sealing import DataKey
from axon.turns.answer import Answer, TurnFailure
from axon.turns.embedding_cache import EmbeddingPlan
from axon.turns.engine_request import Fields
from axon.turns.guard import Guard
from axon.turns.stream import TurnStream

REQUEST_ITEM = "request"
ANSWER_ITEM = "answer"
EVENTS_ITEM = "events"
SUMMARY_ITEM = "summary"
STEERING_ITEM = "steering"
"""Names under which a turn's own blobs are bound to it."""


class TurnRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request for a turn; everything in it has been validated for shape."""

    org_id: str
    user: int
    """The subject's number: the person whose data this is."""
    credential_id: str
    surface: str
    """One of SURFACES."""
    model: str
    streamed: bool
    background: bool = False
    """The client does not wait: it polls, or follows the stream when it likes."""
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
    compact_from: int | None = None
    """Summarise the history when it is longer, in model tokens; 0: when it does not fit. None
    leaves it as it is."""
    output_tokens_max: int | None = None
    show_usage: bool = False
    choices: int = 1
    """How many answers a completion was asked for."""
    metadata: dict[str, str] = {}
    """Of a stored chat completion."""
    embeddings: EmbeddingPlan | None = None
    """What to ask the engine for, and what is known; `fields` ask for just that."""
    tier: str = ""
    """Whose limits apply, beside those of the organization itself."""
    region: str = ""
    """Where the organization is, as the server knows."""
    ours: bool = False
    """Asked by Axon itself, of a model: no flag is about it."""
    idempotency_key: str | None = None
    attempt: int = 0
    trace: bytes = b""
    """As the turn's head has it."""

    @property
    def tells(self) -> bool:
        """Return whether the answer is told in events as it grows."""
        return self.streamed or self.background


class TurnEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn ended, for a client that waits for the whole answer."""

    status: str
    body: bytes
    failure: TurnFailure | None


class RunningTurn(msgspec.Struct, kw_only=True, eq=False):
    """A turn between its acceptance and its acknowledgement."""

    head: TurnHead
    request: TurnRequest
    """As it is carried out: with what flags made of it."""
    model: Model
    answer: Answer
    key: DataKey
    input: list[SealedItem]
    contents: tuple[bytes, ...]
    """The input items before they were sealed."""
    begun: Begun | None
    started_s: float
    """Monotonic instant at which Axon took the turn up."""
    tells: bool
    """Whether the answer is told in events as it grows: to one who streams, or in the background.
    """
    engine_streams: bool = False
    """Whether the engine is asked for a stream."""
    assignments: list[Assignment] = []
    """What flags decided about it."""
    steering: bytes = b""
    """What that does to it; nothing for one that runs again, whose record has it already."""
    fields: bytes = b""
    """The engine's request: JSON members without the model."""
    request_blob: bytes = b""
    """The client's body, sealed."""
    body_mac: bytes = b""
    """What tells whether another request asks for the same."""
    stream: TurnStream = msgspec.field(default_factory=TurnStream)
    end: TurnEnd | None = None
    """Set when the turn is durable (or could not be made so); the stream is over then."""
    ticket: int = 0
    """Among the open turns of its process."""
    accepted_at: Location = Location(0, 0, 0, 0)
    ended_at: int = 0
    """Sequence of the record that ends the turn, once it is durable."""
    output: JobStream | None = None
    """What the engine says, from the submission of the turn's job on."""
    upstream: str = ""
    history_s: float = 0.0
    steered_s: float = 0.0
    submitted_s: float = 0.0
    durable_s: float = 0.0
    engine_done_s: float = 0.0
    first_output_us: int = 0
    first_output_s: float = 0.0
    charge: Charge = Charge()
    engine_us: int = 0
    """How long the engine took to its first output."""
    progress_s: float = 0.0
    journaled: int = 0
    """How much of the stream the progress records hold: a place in it."""
    progresses: int = 0
    """How many there are of them."""
    watched: bool = False
    """Whether anybody may have seen some of the answer: it must not be given anew then."""
    cancelled: bool = False
    reattached: bool = False
    """Whether the output is that of a job which the process before had submitted."""
    degraded: tuple[str, ...] = ()
    """What the turn has to do without: "history", while the stores are away."""
    admission: Admission | None = None
    """What limits hold back for the turn; None when none applies, and for a turn
    that a crash interrupted: what it holds is in its head."""
    input_tokens_reserved: int = 0
    output_tokens_reserved: int = 0
    cost_reserved_nano: int = 0
    events_streamed: int = 0
    """How many the engine has sent so far, where a limit applies."""
    answer_bytes: int = 0
    """What the engine has streamed so far."""
    guard: Guard | None = None
    """What stands between the engine and the answer; None where nothing has to."""
    refusal: TurnFailure | None = None
    """Why no engine is told of the turn; None for one that may be."""
    verdicts: list[Verdict] = []
    """What safety found in what was asked."""
    summary: bytes = b""
    """The compaction item that was made for the turn: JSON without an id."""

    @property
    def readable(self) -> bool:
        """Return whether anybody may read the turn back before PostgreSQL has it."""
        return self.begun is not None or self.head.stored

    def times(self, now_s: float) -> TurnTimes:
        """Return when its steps were done."""
        start_s = self.started_s
        return TurnTimes(
            history_us=_after(start_s, self.history_s),
            steered_us=_after(start_s, self.steered_s),
            submitted_us=_after(start_s, self.submitted_s),
            durable_us=_after(start_s, self.durable_s),
            answered_us=_after(start_s, self.engine_done_s),
            ended_us=_after(start_s, now_s),
            engine_us=self.engine_us,
        )

    def overhead_ms(self, now_s: float) -> float:
        """Return Axon's own share of the time so far, in milliseconds."""
        if self.submitted_s == 0.0:
            return (now_s - self.started_s) * 1e3
        before = self.submitted_s - self.started_s
        after = max(0.0, now_s - self.engine_done_s) if self.engine_done_s else 0.0
        return (before + after) * 1e3


def _after(start_s: float, instant_s: float) -> int:
    """Return how many microseconds after the start that was; 0 for what never was."""
    return int((instant_s - start_s) * MICROS_PER_SECOND) if instant_s else 0
