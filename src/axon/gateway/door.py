"""What the routes share: the rooms behind them, who may see what, and answering a turn."""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from axon.accounts import Accounts
from axon.alerts import OwnAlerts
from axon.audit import Audit
from axon.base import Clock, IdMint, SystemRandomness, UnknownId
from axon.billing import Invoices, StripeWebhook
from axon.conversations import Conversations, Owner, RequestKey, StoredTurn
from axon.experiments import Experiments
from axon.feedback import FeedbackRoom
from axon.flags import Flags
from axon.gateway.call import AnsweredElsewhere, Call, Headers
from axon.gateway.limit_headers import limit_headers
from axon.gateway.members import member
from axon.gateway.problem import refuse
from axon.gateway.problems import problem_of_failure
from axon.gateway.relay import Relay
from axon.gateway.sibling import EARLIER_TRY_PATH
from axon.gateway.streaming import Streams
from axon.inference import ModelDirectory
from axon.limits import Limits, LimitsAdmin
from axon.metering import OutsideEvents, Prices, Usage
from axon.subjects import Erasing, Exporting
from axon.training import Consents, TrainingExports
from axon.turns import EmbeddingCache, Fields, RunningTurn, TurnRequest, Turns

_JSON = (b"content-type", b"application/json")
_DEGRADED = b"axon-degraded"
"""Names what the answer was made without, separated by commas. `valkey`: whole, but it took the
slower way through PostgreSQL; `postgresql`: whole, from what is at hand; `history`: the model did
not see what was said before."""

_REPLAYED = (b"idempotent-replayed", b"true")
"""Tells a client that this is the answer to an earlier request."""

KEY_CHARS_MAX = 255
"""What others who know the header allow too."""

ANONYMOUS_HEADER = b"axon-anonymous-id"
"""Who the person was before signing in, as the product's server named them then."""

ANONYMOUS_CHARS_MAX = 512

_RETRY_DIGITS_MAX = 3
"""A longer `x-stainless-retry-count` is no SDK's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """The bounds of the HTTP door."""

    body_bytes_max: int = 16 * 1024 * 1024
    slow_client_s: float = 30.0
    issuer: str = "Axon"
    """Who issues the invoices, as they say it."""
    flag_origins: frozenset[str] = frozenset()
    """The web pages whose scripts may ask for flags."""
    origins: frozenset[str] = frozenset()
    """Those whose scripts may ask for everything else, as with a person's pass."""
    tls: bool = False
    """Whether clients reach this server by TLS alone."""
    events_secret: bytes = b""
    """Makes the URLs under which clients of OpenFeature hear of changed flags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleRooms:
    """What people thought, what they said, and how that is exported and forgotten."""

    feedback: FeedbackRoom
    audit: Audit
    erasing: Erasing
    exporting: Exporting
    consents: Consents
    training: TrainingExports


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The rooms that routes call; one per process."""

    accounts: Accounts
    conversations: Conversations
    models: ModelDirectory
    turns: Turns
    usage: Usage
    events: OutsideEvents
    flags: Flags
    experiments: Experiments
    limits: Limits
    limits_admin: LimitsAdmin
    prices: Prices
    invoices: Invoices
    alerts: OwnAlerts
    people: PeopleRooms
    mint: IdMint
    clock: Clock
    options: GatewayOptions
    streams: Streams = field(default_factory=Streams)
    embedding_cache: EmbeddingCache = field(
        default_factory=lambda: EmbeddingCache(SystemRandomness())
    )
    stripe_webhook: StripeWebhook | None = None
    """None where Stripe sends nothing."""
    relay: Relay | None = None
    """None where this is the node's only serving process."""
    without_postgresql: Callable[[], bool] = lambda: False
    """Whether PostgreSQL is known to be away now."""

    def subject(self, call: Call, fields: Fields) -> int:
        """Return the number of the person this request is about."""
        return self.accounts.subject(call.caller, _named_user(fields))

    def refuse_elsewhere(self, call: Call, names: Iterable[str]) -> None:
        """Return when this cell keeps everybody of these names; raises Misdirected.

        Where a request names people by themselves and no person is the one it is about.
        """
        if self.accounts.anybody_elsewhere:
            named = dataclasses.replace(call.caller, acts_for_users=True)
            for name in names:
                self.accounts.subject(named, name)

    def placed_as(self, call: Call) -> int:
        """Return as whom experiments place the person; 0 for the person this request is about.

        Who may act for users can name who that was before signing in.
        """
        named = call.header(ANONYMOUS_HEADER)
        if not named or not call.caller.acts_for_users:
            return 0
        if len(named) > ANONYMOUS_CHARS_MAX:
            message = f"Invalid 'axon-anonymous-id': at most {ANONYMOUS_CHARS_MAX} characters."
            raise refuse(message, param="axon-anonymous-id", code="string_above_max_length")
        return self.accounts.subject(call.caller, named)

    def owner(self, call: Call, object_id: str, prefix: str, fields: Fields | None = None) -> Owner:
        """Return the owner written in an id; raise UnknownId when it is not the caller's to see.

        A key that acts for users reaches every user of its organization, unless the request names
        one: then only that one's objects exist.
        """
        caller = call.caller
        minted = self.mint.read(object_id, prefix, caller.org_id)
        if not caller.acts_for_users:
            if minted.user != caller.user:
                raise UnknownId
        else:
            if fields and (named := _named_user(fields)):
                if minted.user != self.accounts.subject(caller, named):
                    raise UnknownId
            self.accounts.check_home(caller.org_id, minted.user)
        return Owner(org_id=caller.org_id, user=minted.user)

    @staticmethod
    def idempotency_key(call: Call) -> str | None:
        """Return the request's Idempotency-Key; None when it has none, or an empty one."""
        key = call.header(b"idempotency-key")
        if key is not None and len(key) > KEY_CHARS_MAX:
            message = f"Invalid 'Idempotency-Key': at most {KEY_CHARS_MAX} characters."
            raise refuse(message, param="Idempotency-Key", code="string_above_max_length")
        return key or None

    @staticmethod
    def attempt(call: Call) -> int:
        """Return which retry of the SDK this is; 0 for the first try."""
        count = call.headers.get(b"x-stainless-retry-count", b"0")
        short = count.isdigit() and len(count) <= _RETRY_DIGITS_MAX
        return int(count) if short else 0

    def request_key(self, call: Call, owner: Owner, body: bytes) -> RequestKey | None:
        """Return what stands for the request's Idempotency-Key, for a call that is no turn."""
        given = self.idempotency_key(call)
        if given is None:
            return None
        asked = b"%b\0%b" % (call.path.encode(), body)
        return self.turns.request_key(owner.user, given, asked)

    async def take_turn(self, call: Call, request: TurnRequest) -> RunningTurn | StoredTurn:
        """Take the turn, as `Turns.take` does, and say so in the log line.

        Raises AnsweredElsewhere when another process had taken an earlier try.
        """
        call.log["gen_ai.request.model"] = request.model
        call.log["user.id"] = f"{request.user:016x}"
        if request.attempt and await self._tried_elsewhere(call, request):
            raise AnsweredElsewhere
        turn = await self.turns.take(request)
        if isinstance(turn, StoredTurn):
            call.log["axon.turn.id"] = turn.turn_id
            return turn
        call.log["axon.turn.id"] = turn.head.turn_id
        if turn.admission is not None:
            call.extra += limit_headers(turn.admission.states, turn.admission.at_us)
        without = self._done_without(turn)
        if without:
            call.extra.append((_DEGRADED, ", ".join(without).encode()))
        return turn

    def _done_without(self, turn: RunningTurn) -> list[str]:
        """Return what a turn has to do without; one that begins a conversation, nothing."""
        begun = turn.begun
        if begun is None or (begun.lease.authority == "nobody" and not turn.degraded):
            return [*turn.degraded]
        valkey = begun.lease.authority == "postgres"
        postgresql = self.without_postgresql()
        return ["valkey"] * valkey + ["postgresql"] * postgresql + [*turn.degraded]

    async def _tried_elsewhere(self, call: Call, request: TurnRequest) -> bool:
        """Return whether a sibling took an earlier try of this request, and has answered it."""
        if self.relay is None or request.idempotency_key is not None:
            return False
        if request.conversation_id is not None or request.previous_response_id is not None:
            return False  # its tries meet where that is
        one = self.turns.try_of(request)
        if self.turns.known_try(one):
            return False
        question = msgspec.msgpack.encode(one)
        return await self.relay.handed_to_who_knows(call, EARLIER_TRY_PATH, question)

    async def answer_turn(self, call: Call, request: TurnRequest) -> None:
        """Take the turn, and answer with its stream or with the whole of it."""
        turn = await self.take_turn(call, request)
        if isinstance(turn, StoredTurn):
            await self._replay(call, request, turn)
            return
        if not request.streamed:
            await self._answer_whole(call, turn)
            return
        await turn.stream.begun()
        if turn.end is not None and turn.end.failure is not None:
            if not turn.answer.said_anything():
                await self._answer_whole(call, turn)
                return
        call.extra.append(self._overhead(turn))
        await self.streams.send(call, turn.stream.follow())

    async def _replay(self, call: Call, request: TurnRequest, turn: StoredTurn) -> None:
        """Answer as an earlier try of the request was answered."""
        call.extra.append(_REPLAYED)
        if turn.degraded:
            call.extra.append((_DEGRADED, ", ".join(turn.degraded).encode()))
        if request.streamed:
            await self.streams.send_stored(call, await self.conversations.turn_events.read(turn))
        else:
            await call.reply_json(stored_body(turn))

    async def _answer_whole(self, call: Call, turn: RunningTurn) -> None:
        await turn.stream.over()
        end = turn.end
        if end is None:
            raise RuntimeError("a turn's stream is over and its end is not set")
        call.extra.append(self._overhead(turn))
        failure = end.failure
        if failure is None:
            await call.reply_json(end.body)
        elif failure.body is not None and _is_error(failure.body):
            await call.reply(failure.status, failure.body, [_JSON])
        else:
            headers: Headers = []
            if turn.answer.said_anything():
                headers.append((b"x-should-retry", b"false"))
            await call.reply_problem(problem_of_failure(failure), headers)

    def _overhead(self, turn: RunningTurn) -> tuple[bytes, bytes]:
        spent_ms = turn.overhead_ms(self.clock.monotonic())
        return (b"x-axon-overhead-ms", b"%.2f" % spent_ms)


def stored_body(turn: StoredTurn) -> bytes:
    """Return a stored answer as its client saw it; of a response, with its output items."""
    if turn.surface != "responses":
        return turn.answer
    members = msgspec.json.decode(turn.answer, type=Fields)
    members["output"] = msgspec.Raw(b"[%b]" % b",".join(item.content for item in turn.output))
    return msgspec.json.encode(members)


class _Error(msgspec.Struct):
    error: dict[str, msgspec.Raw]


_error = msgspec.json.Decoder(_Error)


def _is_error(body: bytes) -> bool:
    """Return whether an engine's error body is whole and of OpenAI's shape."""
    try:
        _error.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _named_user(fields: Fields) -> str | None:
    """Return whom the request names: OpenAI's newer member first, then the older."""
    for name in ("safety_identifier", "user"):
        if name in fields and (named := member(fields, name, str)):
            return named
    return None
