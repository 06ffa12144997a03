"""What the gateway makes of a client's request, and what a client reads of the answer."""

from dataclasses import dataclass

import msgspec

from axon.conversations import NewItem, StoredTurn
from axon.turns import RunningTurn, TurnRequest
from tests.simulation.engine import MARK, MODEL
from tests.simulation.serving import Serving

ORG = "org_sim"
CREDENTIAL = "key_sim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How somebody asks for a turn."""

    user: int
    mark: str
    conversation_id: str | None = None
    previous: str | None = None
    streamed: bool = False
    background: bool = False
    key: str | None = None
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """How an answer ended, as its client was told."""

    turn_id: str
    status: str
    text: str
    degraded: bool = False

    @property
    def acknowledged(self) -> bool:
        return self.status == "completed"


def new_item(mark: str) -> NewItem:
    """Return the item of a person who says so much."""
    content = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": mark}]}
    return NewItem(kind="message", author="user", content=msgspec.json.encode(content))


def turn_request(wish: Wish) -> TurnRequest:
    """Return the request as the gateway understands it."""
    members = {"model": MODEL, "input": wish.mark}
    if wish.streamed:
        members["stream"] = True  # type: ignore[assignment]
    body = msgspec.json.encode(members)
    return TurnRequest(
        org_id=ORG,
        user=wish.user,
        credential_id=CREDENTIAL,
        surface="responses",
        model=MODEL,
        streamed=wish.streamed,
        background=wish.background,
        stored=True,
        body=body,
        fields=msgspec.json.decode(body, type=dict[str, msgspec.Raw]),
        items=(new_item(wish.mark),),
        conversation_id=wish.conversation_id,
        previous_response_id=wish.previous,
        idempotency_key=wish.key,
        attempt=wish.attempt,
    )


def told_by(turn: RunningTurn | StoredTurn) -> Told:
    """Return what a client is told of a turn that has ended."""
    if isinstance(turn, StoredTurn):
        text = "".join(item.content.decode() for item in turn.output)
        return Told(turn.turn_id, turn.status, _said(text), bool(turn.degraded))
    assert turn.end is not None
    status = turn.end.status if turn.end.failure is None else "failed"
    shown = turn.end.body.decode() or turn.stream.so_far()[0].decode()
    return Told(turn.head.turn_id, status, _said(shown), bool(turn.degraded))


def _said(text: str) -> str:
    """Return the mark of the answer: the first that an engine gave."""
    return next((mark for mark in MARK.findall(text) if mark.startswith("<j")), "")


async def take(serving: Serving, wish: Wish) -> RunningTurn | StoredTurn:
    """Return the turn once its acceptance is durable."""
    return await serving.turns.take(turn_request(wish))


async def follow(turn: RunningTurn | StoredTurn) -> Told:
    """Return how the turn ended, once it has."""
    if isinstance(turn, RunningTurn):
        await turn.stream.over()
    return told_by(turn)
