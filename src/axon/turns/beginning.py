"""A turn's place in its conversation, and what was said before it."""

from axon.conversations import Begun, HistoryAway, Owner
from axon.turns.fitting import History
from axon.turns.request import TurnRequest
from axon.turns.rooms import TurnOptions, TurnRooms

_NOTHING_BEFORE = History()


async def begin(
    rooms: TurnRooms, options: TurnOptions, request: TurnRequest
) -> tuple[Begun | None, History]:
    """Return the turn's place in its conversation, and what was said before it.

    A request that continues the newest response of a chain goes on in the same conversation; one
    that continues an older response begins a conversation of its own with what came before. While
    the stores are away that is told later, and the turn is answered without its history.
    """
    continues = request.conversation_id is not None or request.previous_response_id is not None
    if not continues and (request.surface != "responses" or not request.stored):
        return None, _NOTHING_BEFORE
    owner = Owner(org_id=request.org_id, user=request.user)
    if not continues:
        return _start(rooms, request, owner), _NOTHING_BEFORE
    try:
        return await _continue(rooms, options, request, owner)
    except HistoryAway:
        if not options.answers_without_history:
            raise
    begun = await _continue_alone(rooms, options, request, owner)
    history = History(begun.history, begun.complete, begun.degraded)
    if request.stored or request.conversation_id is not None:
        return begun, history
    await rooms.conversations.abort(begun)
    return None, history


async def _continue(
    rooms: TurnRooms, options: TurnOptions, request: TurnRequest, owner: Owner
) -> tuple[Begun | None, History]:
    """Return the turn's place and history, as the stores and this process know them."""
    conversations = rooms.conversations
    if request.conversation_id is not None:
        begun = await conversations.begin(owner, request.conversation_id, options.wait_s)
        return begun, History(begun.history, begun.complete)
    assert request.previous_response_id is not None
    place = await conversations.locate_turn(owner, request.previous_response_id)
    begun = await conversations.begin(owner, place.conversation_id, options.wait_s)
    if begun.sequence == place.sequence + 1 and request.stored:
        return begun, History(begun.history, begun.complete)
    await conversations.abort(begun)
    earlier = tuple(turn for turn in begun.history if turn.sequence <= place.sequence)
    history = History(earlier, begun.complete)
    return (_start(rooms, request, owner) if request.stored else None), history


async def _continue_alone(
    rooms: TurnRooms, options: TurnOptions, request: TurnRequest, owner: Owner
) -> Begun:
    """Return the turn without a place, which it gets when its history is there again."""
    conversations = rooms.conversations
    if request.conversation_id is not None:
        return await conversations.begin_without_history(
            owner, request.conversation_id, options.wait_s
        )
    assert request.previous_response_id is not None
    return await conversations.begin_behind(owner, request.previous_response_id, options.wait_s)


def _start(rooms: TurnRooms, request: TurnRequest, owner: Owner) -> Begun:
    conversation_id = rooms.mint.mint("conv", request.org_id, request.user)
    return rooms.conversations.start(owner, conversation_id)
