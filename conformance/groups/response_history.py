"""previous_response_id: history by reference, seen through the tokens that the model read."""

from openai import APIStatusError

from conformance.groups.responses import NO_SUCH_ID
from conformance.registry import check
from conformance.server import SHORT, Server, input_tokens
from conformance.verdicts import offered, refusal, require

_WORDY = "Answer in one friendly word. " * 20


@check("response history", "a turn sees the one before")
async def continued(server: Server) -> str:
    """A turn with previous_response_id reads the earlier turn too, and names it.

    Documented: guides, Conversation state.
    """
    first = await offered(server.respond())
    second = await offered(server.respond(previous_response_id=first.id))
    third = await offered(server.respond(previous_response_id=second.id))
    said = second.previous_response_id
    require(said == first.id, f"previous_response_id is {said!r}")
    read = [input_tokens(response) for response in (first, second, third)]
    require(read[0] < read[1] < read[2], f"the same question read {read} tokens")
    return f"{read} tokens read"


@check("response history", "a branch does not see its sibling")
async def branches(server: Server) -> str:
    """Two turns that continue the same response are two branches of equal history.

    "Edit and try again" needs the first attempt out of sight.
    Documented: guides, Conversation state (previous_response_id).
    """
    root = await offered(server.respond())
    one = await offered(server.respond(previous_response_id=root.id))
    other = await offered(server.respond(previous_response_id=root.id))
    read = [input_tokens(one), input_tokens(other)]
    require(read[0] == read[1], f"equal branches read {read} tokens")
    return f"{read[0]} tokens in both"


@check("response history", "a streamed turn is continued too")
async def streamed(server: Server) -> str:
    """A turn can continue a streamed one at once after its last event.

    People answer quickly; the store may not lag behind the stream.
    Documented: guides, Conversation state.
    """
    first = await offered(server.stream())
    last = first[-1]
    require(last.type in ("response.completed", "response.incomplete"), f"it is {last.type}")
    assert last.type in ("response.completed", "response.incomplete")
    second = await offered(server.respond(previous_response_id=last.response.id))
    read = [input_tokens(last.response), input_tokens(second)]
    require(read[0] < read[1], f"the same question read {read} tokens")
    return f"{read} tokens read"


@check("response history", "instructions are not inherited")
async def instructions(server: Server) -> str:
    """Instructions hold for their own turn; the next turn neither shows nor reads them.

    A product swaps the system prompt between turns this way.
    Documented: API reference, Responses, Create, instructions.
    """
    first = await offered(server.respond(instructions=_WORDY))
    without = await offered(server.respond(previous_response_id=first.id))
    again = await offered(server.respond(previous_response_id=first.id, instructions=_WORDY))
    require(not without.instructions, "the next turn shows them")
    read = [input_tokens(without), input_tokens(again)]
    require(read[0] < read[1], f"{read} tokens without and with them: they were read anyway")
    return f"{read[0]} tokens without, {read[1]} with"


@check("response history", "an unknown previous response is refused")
async def unknown(server: Server) -> str:
    """Continuing a response that is not there is an error, never a turn without history.

    Documented: API reference, Responses, Create, previous_response_id.
    """
    await offered(server.respond())
    error = await refusal(server.respond(previous_response_id=NO_SUCH_ID), 400, 404)
    return f"{error.status_code}, code {error.code}"


@check("response history", "conversation or previous response, not both")
async def either(server: Server) -> str:
    """A request that names a conversation and a previous response is 400.

    Documented: API reference, Responses, Create, conversation.
    """
    conversation = await server.conversation()
    first = await offered(server.respond())
    call = server.respond(conversation=conversation.id, previous_response_id=first.id)
    await refusal(call, 400)
    return "400"


@check("response history", "a deleted response")
async def deleted(server: Server) -> str:
    """Continuing a deleted response is refused, or goes on with the history it had.

    Either is sound; losing the history silently is not.
    Documented: API reference, Responses, Delete.
    """
    first = await offered(server.respond())
    alone = input_tokens(first)
    await offered(server.client.responses.delete(first.id))
    try:
        second = await server.respond(SHORT, previous_response_id=first.id)
    except APIStatusError as error:
        require(error.status_code in (400, 404), f"{error.status_code}")
        return f"refused with {error.status_code}"
    require(input_tokens(second) > alone, "it went on without the history")
    return "goes on with its history"
