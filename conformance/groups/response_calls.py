"""Responses: what can be done with a stored one, and what can be asked without taking a turn."""

import json
from typing import Any

from openai import APIStatusError

from conformance.groups.responses import NO_SUCH_ID, PRESENT
from conformance.registry import check
from conformance.server import SHORT, Server
from conformance.verdicts import Failed, offered, refusal, require


@check("responses", "read back")
async def read_back(server: Server) -> str:
    """A response is stored unless told otherwise, and reads back as it was answered.

    Documented: API reference, Responses, Retrieve; Create, store (default true).
    """
    made = await offered(server.respond())
    kept = await offered(server.client.responses.retrieve(made.id))
    said, read = made.to_dict(mode="json"), kept.to_dict(mode="json")
    differs = [name for name in PRESENT if said.get(name) != read.get(name)]
    require(not differs, f"differs in {', '.join(differs)}")
    return "equal in every field"


@check("responses", "store=false keeps nothing")
async def not_stored(server: Server) -> str:
    """With store=false a response cannot be read back or continued.

    It is the promise that privacy settings are built on.
    Documented: API reference, Responses, Create, store.
    """
    made = await offered(server.respond(store=False))
    await refusal(server.client.responses.retrieve(made.id), 404)
    await refusal(server.respond(previous_response_id=made.id), 400, 404)
    return "neither readable nor continuable"


@check("responses", "delete")
async def delete(server: Server) -> str:
    """A deleted response is 404 afterwards, and so is one that never was.

    Documented: API reference, Responses, Delete.
    """
    made = await offered(server.respond())
    await offered(server.client.responses.delete(made.id))
    await refusal(server.client.responses.retrieve(made.id), 404)
    await refusal(server.client.responses.delete(NO_SUCH_ID), 404)
    return "404 afterwards"


@check("responses", "an unknown id is 404")
async def unknown(server: Server) -> str:
    """A response that is not there is 404 in OpenAI's error shape.

    Documented: API reference, Responses, Retrieve.
    """
    made = await offered(server.respond())
    await offered(server.client.responses.retrieve(made.id))
    await refusal(server.client.responses.retrieve(NO_SUCH_ID), 404)
    return "404"


@check("responses", "input items")
async def input_items(server: Server) -> str:
    """The items of the input are listed with ids, by pages, the newest first unless asked.

    Documented: API reference, Responses, List input items.
    """
    said = [{"role": "user", "content": f"Say hello. ({number})"} for number in range(3)]
    made = await offered(server.respond(said))
    listed = server.client.responses.input_items.list
    first = await offered(listed(made.id))
    ids = [str(getattr(item, "id", None)) for item in first.data]
    require(len(ids) == 3 and len(set(ids)) == 3, f"{len(set(ids))} different ids of 3")
    paged = [getattr(item, "id", None) async for item in listed(made.id, order="asc", limit=1)]
    require(paged == ids[::-1], "ascending pages of one are not the default order reversed")
    oldest = (await listed(made.id, order="asc", limit=1)).data[0].to_dict(mode="json")
    require("(0)" in json.dumps(oldest["content"]), "the oldest is not the first said")
    await refusal(listed(NO_SUCH_ID), 404)
    return "3 of 3 in both orders"


@check("responses", "input tokens")
async def count_input(server: Server) -> str:
    """Input can be counted without taking a turn; more input counts more.

    Products show what is left of the window before sending.
    Documented: API reference, Responses, Input token counts.
    """
    count = server.client.responses.input_tokens.count
    short = await offered(count(model=server.model, input=SHORT))
    require(short.object == "response.input_tokens", f"object is {short.object!r}")
    longer = await offered(count(model=server.model, input=SHORT * 20))
    require(0 < short.input_tokens < longer.input_tokens, f"{short} and {longer}")
    return f"{short.input_tokens} and {longer.input_tokens}"


@check("responses", "compact")
async def compact(server: Server) -> str:
    """A history is compacted to items that end with a compaction item; they are the next input.

    Documented: API reference, Responses, Compact.
    """
    made = await offered(server.respond())
    done = await offered(
        server.client.responses.compact(model=server.model, previous_response_id=made.id)
    )
    require(done.object == "response.compaction", f"object is {done.object!r}")
    said: list[Any] = [item.to_dict(mode="json", warnings=False) for item in done.output]
    kinds = [str(item.get("type")) for item in said]
    require(kinds and kinds[-1] == "compaction", f"its items are {kinds}")
    try:
        await server.respond([*said, {"role": "user", "content": SHORT}])
    except APIStatusError as error:
        raise Failed(f"its output is refused as input: {error.status_code}") from None
    return f"{', '.join(kinds)}"
