"""What the engine gets to read: the instructions, the history that fits, and the new items."""

from collections.abc import Iterator, Sequence

import msgspec

from axon.conversations import HistoryItem, HistoryTurn, fit_window
from axon.inference import Model, estimate_tokens
from axon.turns.engine_request import relayed_fields, responses_fields
from axon.turns.failures import ContextOverflow, InvalidParameter
from axon.turns.messages import chat_messages, piece_of
from axon.turns.request import TurnRequest
from axon.turns.rooms import TurnRooms
from axon.turns.told import redacted_texts

_OUTPUT_SHARE = 4
"""Without a cap from the client or the model, one part in this many of the window is kept free
for the answer."""

_FRAME_TOKENS = 64
"""Room for what a chat template adds around the messages as a whole."""


class History(msgspec.Struct, frozen=True):
    """What was said before this turn."""

    turns: tuple[HistoryTurn, ...] = ()
    complete: bool = True
    """Whether the turns reach back to the beginning of the conversation."""
    degraded: tuple[str, ...] = ()
    """What of it cannot be had now."""


def engine_streams(request: TurnRequest, model: Model) -> bool:
    """Return whether to ask the engine for a stream: some notice a cancel only while streaming."""
    if request.surface == "embeddings":
        return False
    return model.always_streams or request.tells


async def engine_fields(
    rooms: TurnRooms,
    request: TurnRequest,
    model: Model,
    history: History,
    *,
    streamed: bool,
) -> bytes:
    """Return the members of the engine's request.

    Raises ContextOverflow when it cannot fit, InvalidParameter, UnsupportedItem.
    """
    if request.surface != "responses":
        return relayed_fields(request.fields, streamed)
    new = [item.content for item in request.items]
    kept = await _fit(rooms, request, model, history, new)
    pieces = [item.memo[0] if item.memo else kept_piece(item) for item in kept]
    pieces += map(piece_of, new)
    messages = chat_messages(request.instructions, pieces)
    try:
        return responses_fields(request.fields, messages, model.output_tokens_max, streamed)
    except msgspec.ValidationError as error:
        raise InvalidParameter(str(error)) from error


def kept_piece(item: HistoryItem) -> bytes:
    """Return an item of the history as a piece, from its memo when it was read before."""
    memo = item.memo
    if not memo:
        memo.append(piece_of(item.content))
    return memo[0]


async def _fit(
    rooms: TurnRooms,
    request: TurnRequest,
    model: Model,
    history: History,
    new: Sequence[bytes],
) -> Sequence[HistoryItem]:
    """Return the newest history that fits; counts exactly only when the estimate says it is close.

    The estimate errs on the high side, so what it lets through fits.
    """
    fixed = [*new, (request.instructions or "").encode(), bytes(request.fields.get("tools") or b"")]
    budget = input_budget(request, model) - sum(map(estimate_tokens, fixed))
    fitted = fit_window(history.turns, budget)
    whole = history.complete and not fitted.dropped_turns
    if budget >= 0 and whole:
        return fitted.items
    exact_budget, exact_turns = await _exactly(rooms, request, model, fixed, history.turns)
    fitted = fit_window(exact_turns, exact_budget)
    whole = history.complete and not fitted.dropped_turns
    if exact_budget < 0 or not (whole or request.truncate):
        raise ContextOverflow(f"the window of {model.alias} is {model.context_window} tokens")
    return fitted.items


def input_budget(request: TurnRequest, model: Model) -> int:
    """Return how many tokens of the window are left for the input."""
    output = request.output_tokens_max or model.output_tokens_max
    output = output or model.context_window // _OUTPUT_SHARE
    return model.context_window - min(output, model.context_window // 2) - _FRAME_TOKENS


async def _exactly(
    rooms: TurnRooms,
    request: TurnRequest,
    model: Model,
    fixed: Sequence[bytes],
    history: Sequence[HistoryTurn],
) -> tuple[int, Sequence[HistoryTurn]]:
    """Return budget and history in the engine's own tokens, or estimated when it cannot count."""
    items = [item for turn in history for item in turn.items]
    texts = [part.decode() for part in (*fixed, *(item.content for item in items))]
    texts = redacted_texts(rooms, request.org_id, texts)
    counts = await rooms.inference.count_tokens(model, texts)
    if counts is None:
        budget = input_budget(request, model) - sum(estimate_tokens(part) for part in fixed)
        return budget, history
    budget = input_budget(request, model) - sum(counts[: len(fixed)])
    counted = iter(counts[len(fixed) :])
    return budget, [_recounted(turn, counted) for turn in history]


def _recounted(turn: HistoryTurn, counts: Iterator[int]) -> HistoryTurn:
    items = [msgspec.structs.replace(item, model_tokens=next(counts)) for item in turn.items]
    return HistoryTurn.of(turn.turn_id, turn.sequence, items)
