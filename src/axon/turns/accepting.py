"""From request to accepted turn: resolve, begin, fit, seal, submit, journal, fsync.

The engine is asked before the acceptance is durable and works while the disk does. Nobody sees
what it says before the fsync, so a crash in between is a request that never arrived.
"""

import asyncio
from contextlib import suppress

import msgspec

from axon.base import MICROS_PER_SECOND, until_done
from axon.conversations import Begun, HistoryItem, NewItem
from axon.inference import Model, estimate_tokens
from axon.records import SealedItem, TurnAccepted, TurnHead, encode
from axon.sealing import DataKey, item_context, seal
from axon.turns.answer import Answer
from axon.turns.beginning import begin
from axon.turns.chat import ChatAnswer, ChatHead
from axon.turns.compacting import Ask, Compacted, as_told, compact
from axon.turns.completions import CompletionsAnswer
from axon.turns.driving import submit
from axon.turns.embeddings import EmbeddingsAnswer, FromCache
from axon.turns.ending import seal_blob
from axon.turns.engine_request import Fields, custom_tools, response_echo
from axon.turns.failures import ContextOverflow
from axon.turns.fitting import History, engine_fields, engine_streams
from axon.turns.guarding import guard_input, guard_of, guards, refusal_of
from axon.turns.passages import with_passages
from axon.turns.request import (
    REQUEST_ITEM,
    STEERING_ITEM,
    SUMMARY_ITEM,
    RunningTurn,
    TurnRequest,
)
from axon.turns.reserving import reserve
from axon.turns.responses import ResponseHead, ResponsesAnswer
from axon.turns.retries import body_mac, key_mac
from axon.turns.rooms import TurnOptions, TurnRooms
from axon.turns.steering import Steered, kept_of, steer, with_retrieval, without_passages
from axon.turns.surfaces import SURFACES

_NOT_JOURNALED = b"{}"
"""Stands for the body of a request whose content is not kept."""


async def accept(
    rooms: TurnRooms, options: TurnOptions, request: TurnRequest, ask: Ask
) -> RunningTurn:
    """Return the turn once its acceptance is durable; nothing is kept when this raises.

    `ask` takes the turns that a summary needs.
    """
    started_s = rooms.clock.monotonic()
    rooms.journal.admit()
    rooms.conversations.tail.admit()
    model = rooms.models.resolve(request.model)
    begun, history = await begin(rooms, options, request)
    history_s = rooms.clock.monotonic()
    turn: RunningTurn | None = None
    try:
        steered = steer(rooms, request, "" if begun is None else begun.conversation_id)
        if steered.steering.effect.use_rag:
            steered = await with_retrieval(rooms, steered)
        steered_s = rooms.clock.monotonic()
        if steered.request.model != request.model:
            model = rooms.models.resolve(steered.request.model)
        streamed = engine_streams(request, model)
        known = Compacted(history, "")
        if request.surface == "responses":
            known = await compact(rooms, steered.request, model, history, ask)
        steered, fields = await _told(rooms, steered, model, known, streamed)
        if guards(rooms):
            steered, fields = await guard_input(rooms, steered, fields)
        key = await rooms.data_key(request.org_id, request.user)
        turn = _build(rooms, steered, _Place(model, begun, key, history))
        turn.started_s, turn.history_s, turn.steered_s = started_s, history_s, steered_s
        turn.engine_streams = streamed
        turn.degraded = history.degraded
        turn.fields = fields
        turn.refusal = refusal_of(steered.steering)
        if turn.refusal is None and guards(rooms):
            turn.guard = guard_of(rooms, request, steered.steering)
        turn.summary = known.item
        if known.item and isinstance(turn.answer, ResponsesAnswer):
            turn.answer.begin_with(known.item)
        if rooms.limits.concern(request.org_id, request.tier):
            await reserve(rooms, turn)
        if request.embeddings is not None and not request.embeddings.asked:
            turn.output = FromCache()
        elif turn.refusal is None:
            submit(rooms, options, turn)
        await _make_durable(rooms, turn)
    except BaseException:
        if turn is not None and turn.admission is not None:
            rooms.limits.give_back(request.org_id, turn.admission)
        if begun is not None:
            await asyncio.shield(rooms.conversations.abort(begun))
        raise
    return turn


async def _told(
    rooms: TurnRooms, steered: Steered, model: Model, known: Compacted, streamed: bool
) -> tuple[Steered, bytes]:
    """Return the members of the engine's request, and the turn without passages if there is no
    room for them; raises what `engine_fields` does."""
    request = steered.request
    told = as_told(request, known.summary) if known.summary else request
    passages = steered.steering.passages
    if passages:
        with suppress(ContextOverflow):
            asked = with_passages(told, passages)
            fields = await engine_fields(rooms, asked, model, known.history, streamed=streamed)
            return steered, fields
        steered = without_passages(steered)
    return steered, await engine_fields(rooms, told, model, known.history, streamed=streamed)


async def _make_durable(rooms: TurnRooms, turn: RunningTurn) -> None:
    """Return when the acceptance is on disk; the turn's job is cancelled when it cannot be.

    From the append on the turn is there, whatever becomes of the caller.
    """
    try:
        accepted = _accepted_record(rooms, turn)
        turn.accepted_at = await until_done(rooms.journal.append(*encode(accepted)))
        turn.durable_s = rooms.clock.monotonic()
        if turn.admission is not None:
            rooms.limits.began(turn.head)
        if turn.readable:
            rooms.conversations.tail.note(accepted, turn.accepted_at)
    except BaseException:
        rooms.inference.cancel(turn.head.turn_id)
        raise


class _Place(msgspec.Struct, frozen=True):
    """Where a turn stands: its model, its conversation, its person's key, what came before."""

    model: Model
    begun: Begun | None
    key: DataKey
    history: History


def _build(rooms: TurnRooms, steered: Steered, place: _Place) -> RunningTurn:
    begun, key, request = place.begun, place.key, steered.asked
    chosen = steered.request.model
    conversation_id = "" if begun is None else begun.conversation_id
    prefix = SURFACES[request.surface].id_prefix
    head = TurnHead(
        turn_id=rooms.mint.mint(prefix, request.org_id, request.user, beside=conversation_id),
        org_id=request.org_id,
        user=request.user,
        credential_id=request.credential_id,
        conversation_id=conversation_id,
        sequence=0 if begun is None else begun.sequence,
        fence=0 if begun is None else begun.fence,
        surface=request.surface,
        model=request.model,
        accepted_us=steered.at_us or rooms.clock.now_us(),
        implicit=request.conversation_id is None,
        stored=request.stored,
        metadata=request.metadata,
        follows="" if begun is None else begun.follows,
        without_history=bool(place.history.degraded),
        variant_model=chosen if chosen != request.model else "",
        safety=steered.steering.effect.safety or "",
        retrieval=steered.retrieval,
        trace=request.trace,
        region=request.region,
        tier=request.tier,
        ours=request.ours,
    )
    items = request.items
    if begun is not None and not begun.history and place.history.turns:  # it branches off
        copies = [_copy(item) for turn in place.history.turns for item in turn.items]
        items = (*copies, *items)
    sealed = [_seal_item(rooms, key, head, item) for item in items]
    return RunningTurn(
        head=head,
        request=steered.request,
        assignments=steered.assignments,
        steering=kept_of(steered.steering),
        verdicts=steered.verdicts,
        model=place.model,
        answer=new_answer(rooms, request, head),
        key=key,
        input=[item for item, _ in sealed],
        contents=tuple([content for _, content in sealed]),
        begun=begun,
        started_s=0.0,
        tells=request.tells,
        watched=request.streamed,
    )


def _copy(item: HistoryItem) -> NewItem:
    """Return an earlier item as a new one, for the conversation that branches off after it."""
    members = msgspec.json.decode(item.content, type=Fields)
    members.pop("id", None)
    return NewItem(kind=item.kind, author=item.author, content=msgspec.json.encode(members))


def _seal_item(
    rooms: TurnRooms, key: DataKey, head: TurnHead, item: NewItem
) -> tuple[SealedItem, bytes]:
    """Return the item sealed, and as it was before."""
    item_id = rooms.mint.mint(item.prefix, head.org_id, head.user)
    content = item.with_id(item_id)
    context = item_context(head.org_id, head.user, head.conversation_id, head.turn_id, item_id)
    sealed = SealedItem(
        item_id=item_id,
        kind=item.kind,
        author=item.author,
        model_tokens=estimate_tokens(content),
        blob=seal(key, context, content, rooms.randomness),
    )
    return sealed, content


def new_answer(rooms: TurnRooms, request: TurnRequest, head: TurnHead) -> Answer:
    """Return the empty answer of a turn, in the shape its surface speaks."""
    created_s = head.accepted_us // MICROS_PER_SECOND
    if request.surface == "embeddings":
        as_base64 = bytes(request.fields.get("encoding_format") or b"") == b'"base64"'
        return EmbeddingsAnswer(request.model, request.embeddings, as_base64)
    if request.surface != "responses":
        relayed = ChatHead(head.turn_id, request.model, created_s)
        kind = ChatAnswer if request.surface == "chat" else CompletionsAnswer
        return kind(relayed, request.show_usage, request.choices)
    return ResponsesAnswer(
        ResponseHead(
            head.turn_id,
            created_s,
            response_echo(request.fields, request.model, request.conversation_id),
            request.background,
            custom_tools(request.fields),
        ),
        lambda prefix, number: rooms.mint.derive(prefix, head.org_id, head.turn_id, number),
        lambda: rooms.clock.now_us() // MICROS_PER_SECOND,
        request.tells,
    )


def _accepted_record(rooms: TurnRooms, turn: RunningTurn) -> TurnAccepted:
    request, head, model = turn.request, turn.head, turn.model
    context = item_context(head.org_id, head.user, head.conversation_id, head.turn_id, REQUEST_ITEM)
    cap = request.output_tokens_max or model.output_tokens_max or 0
    mac = b""
    if request.idempotency_key is not None:
        mac = key_mac(rooms, request.idempotency_key)
    turn.body_mac = body_mac(rooms, request)
    summary = seal_blob(rooms, turn, SUMMARY_ITEM, turn.summary) if turn.summary else b""
    steering = seal_blob(rooms, turn, STEERING_ITEM, turn.steering) if turn.steering else b""
    kept = request.body if request.surface != "embeddings" else _NOT_JOURNALED
    turn.request_blob = seal(turn.key, context, kept, rooms.randomness)
    return TurnAccepted(
        head=head,
        request=turn.request_blob,
        input=turn.input,
        streamed=request.streamed,
        background=request.background,
        input_tokens_reserved=turn.input_tokens_reserved
        or sum([item.model_tokens for item in turn.input]),
        output_tokens_reserved=turn.output_tokens_reserved or cap,
        idempotency_mac=mac,
        body_mac=turn.body_mac,
        attempt=request.attempt,
        assignments=turn.assignments,
        summary=summary,
        cost_reserved_nano=turn.cost_reserved_nano,
        steering=steering,
        verdicts=turn.verdicts,
    )
