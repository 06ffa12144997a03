"""The records of a turn: accepted, progressing, ended."""

import msgspec

from axon.records.content import Charge, SealedItem, TokenUsage, Verdict


class Assignment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which variant of a flag this turn was served, and why."""

    flag: str
    variant: str
    """Empty for a flag that was off for this turn; `reason` says why."""
    reason: str
    definition_version: int
    """As the flag's history counts."""
    bucketing_version: int
    unit: str
    """Who was placed: user, org or conversation; which one is in the turn's head."""
    definition: str = ""
    """Names the definition by its content, the rules that it shares with others included."""


class Hold(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one limit holds back for a turn from its acceptance to its end."""

    bucket: str
    """The counter: the rule's id, and whom of those it counts apart it is about."""
    measure: str
    """requests, tokens, concurrent or money."""
    period: str
    """minute, day or month; empty for concurrent turns, which have none."""
    start_us: int
    """Beginning of the period in which the turn was accepted; 0 without one."""
    amount: int
    """The worst case: turns, model tokens, or nano-units of the currency."""
    currency: str = ""
    """Of money; empty for what is no money."""
    within: int = 0
    """What ended turns had left of the limit when the turn was accepted; told where overage has a
    price."""
    overage_percent: int = 0
    """By how much what the turn uses beyond `within` costs more than its price."""


class Retrieval(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What came of looking for passages that may help with a question."""

    outcome: str = ""
    """found, nothing, or why there is none: failed, slow, away, busy, too_large, no_room, none_set,
    no_question; empty when nobody was to look."""
    passages: int = 0
    """How many the model was given."""
    took_us: int = 0


class TurnTimes(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When the steps of a turn were done, in microseconds from the moment it was taken up.

    All 0 for a turn of before there was this, and for one that a crash cut short.
    """

    history_us: int = 0
    """Its place in the conversation and its history were there."""
    steered_us: int = 0
    """Flags were asked, and passages found."""
    submitted_us: int = 0
    """Its job was given to the queue; 0 for one that never was."""
    durable_us: int = 0
    """Its acceptance was on the disk."""
    answered_us: int = 0
    """The engine had said its last word, or had failed."""
    ended_us: int = 0
    """This record was handed to the journal, at `completed_us`."""
    engine_us: int = 0
    """How long the engine took from being asked to its first output; the rest of that time the job
    had waited. 0 when it said nothing."""


class TurnHead(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who, where and when: the same in every record of one turn."""

    turn_id: str
    org_id: str
    user: int
    """The subject's number (base.user_number); 63 bits."""
    credential_id: str
    conversation_id: str
    """Empty for a turn outside any conversation, and then `sequence` and `fence` are 0."""
    sequence: int
    """Place in the conversation, dense from 1; 0 while the turn has none (see `unplaced`)."""
    fence: int
    """Of two records with one place, the higher fence is the true one."""
    surface: str
    """chat, responses, completions or embeddings: the shape the client asked in."""
    model: str
    """The alias the client named."""
    accepted_us: int
    implicit: bool
    """True when the conversation is only a chain of responses, never listed as a conversation."""
    stored: bool
    """True when the client may fetch the turn again by its id."""
    metadata: dict[str, str] = {}
    """The client's metadata of a stored chat completion, clear because it is filtered by; that of
    a response is part of its answer."""
    follows: str = ""
    """The response that a turn without a place continues; empty when it continues what its
    conversation ends with."""
    without_history: bool = False
    """True when nobody could say what came before the turn, so that its answer lacks it."""
    holds: list[Hold] = []
    """What limits hold back for the turn; empty for one that none applies to."""
    variant_model: str = ""
    """The alias that a flag's variant chose in place of `model`; empty when none did."""
    safety: str = ""
    """The level that a flag's variant set; empty when none did."""
    retrieval: Retrieval = Retrieval()
    trace: bytes = b""
    """What ties the turn to traces and log lines: the 16 bytes of the trace's id. Of a client that
    sent its own `traceparent` there follow the 8 of its span and the byte of its flags."""

    @property
    def runs_on(self) -> str:
        """Return the alias that the turn runs on: price and limits are those of this one."""
        return self.variant_model or self.model

    @property
    def unplaced(self) -> bool:
        """Return whether the turn's place in its conversation is still to be found.

        It was taken while nobody could say what came before it. The record of its end comes again
        with the place, and perhaps with another conversation; only that one counts as its end.
        """
        return self.sequence == 0 and self.conversation_id != ""


class TurnAccepted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A turn was accepted: everything needed to run it again is here."""

    head: TurnHead
    request: bytes
    """The client's body, sealed."""
    input: list[SealedItem]
    """The new items, without history; empty for a turn outside any conversation."""
    streamed: bool
    background: bool
    input_tokens_reserved: int
    output_tokens_reserved: int
    idempotency_mac: bytes
    body_mac: bytes
    attempt: int
    """The SDK's retry count for this request; 0 is the first."""
    assignments: list[Assignment]
    summary: bytes = b""
    """The compaction item that was made for this turn, sealed; empty when none was."""
    cost_reserved_nano: int = 0
    """What the turn can cost at most, in nano-units of the price's currency."""
    steering: bytes = b""
    """What the variants did to the request, and the passages found for it, sealed: who runs the
    turn again does the same. Empty when they did nothing."""
    verdicts: list[Verdict] = []
    """What safety found in what was asked; empty when nothing was looked at."""


class TurnProgress(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a running turn has said so far; bounds what a crash can lose of a long stream."""

    head: TurnHead
    output: list[SealedItem]
    output_tokens: int
    events: bytes = b""
    """The events shown since the progress before, sealed."""
    number: int = 0
    """Counts the turn's progresses; 0 begins anew, with all events that were shown so far."""


class TurnCompleted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A whole turn, input and output and cost, in one record: this is the acknowledgement."""

    head: TurnHead
    input: list[SealedItem]
    output: list[SealedItem]
    answer: bytes
    """What the API shows of the turn apart from its output items, sealed; for a turn outside any
    conversation the whole answer."""
    status: str
    """completed or incomplete."""
    usage: TokenUsage
    upstream: str
    upstream_id: str
    """The engine's own id of the completion: information only, nothing is keyed on it."""
    completed_us: int
    first_token_us: int
    """Instant of the first output; 0 when there was none."""
    assignments: list[Assignment]
    events: bytes = b""
    """Every event a follower of the stream was shown, the terminal one too, sealed; empty when the
    turn was not streamed or is not stored."""
    charge: Charge = Charge()
    times: TurnTimes = TurnTimes()
    verdicts: list[Verdict] = []
    """What safety found in what was asked and said; empty when nothing was looked at."""


class TurnInterrupted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A turn ended early: failed, cancelled, or its process died. Holds what was said so far."""

    head: TurnHead
    input: list[SealedItem]
    """Empty, like `output`, when nothing was said: the conversation then gains no items."""
    output: list[SealedItem]
    answer: bytes
    status: str
    """failed, incomplete or cancelled."""
    reason: str
    """A short code: upstream_error, deadline, crash, cancelled, ..."""
    usage: TokenUsage
    upstream: str
    upstream_id: str
    completed_us: int
    first_token_us: int
    assignments: list[Assignment]
    events: bytes = b""
    """As for a completed turn; of one that a crash ended, as far as they were journaled."""
    charge: Charge = Charge()
    times: TurnTimes = TurnTimes()
    verdicts: list[Verdict] = []
    """What safety found in what was asked and said; empty when nothing was looked at."""
