"""`/v1/chat/completions`: the five calls about completions that were made with `store: true`."""

import msgspec

from axon.base import UnknownId
from axon.conversations import ChatFilter, Owner, StoredChat, TurnNotFound
from axon.gateway.call import Call
from axon.gateway.conversation_object import person_of
from axon.gateway.door import Door
from axon.gateway.members import metadata, required
from axon.gateway.pages import page_json, page_limit, page_metadata, page_model, page_order
from axon.gateway.problem import not_found, refuse
from axon.turns import Fields

PREFIX = "chatcmpl"

_ECHOED = (
    "response_format", "tools", "tool_choice", "temperature", "top_p", "presence_penalty",
    "frequency_penalty", "seed", "service_tier",
)  # fmt: skip
"""What OpenAI shows of the request beside the completion."""


async def list_completions(door: Door, call: Call) -> None:
    """List a person's stored chat completions, oldest first."""
    query = call.query()
    owner = person_of(door, call, query)
    after = query.get("after") or None
    if after is not None:
        try:
            door.mint.read(after, PREFIX, owner.org_id)
        except UnknownId:
            raise _not_found(after) from None
    wanted = ChatFilter(
        after=after,
        model=page_model(query),
        metadata=page_metadata(query),
        limit=page_limit(query),
        order=page_order(query, "asc"),
    )
    page = await door.conversations.chat_completions.page(owner, wanted)
    data = [_shown(one) for one in page.completions]
    ids = [one.completion_id for one in page.completions]
    await call.reply_json(page_json(data, ids, page.has_more))


async def get_completion(door: Door, call: Call, completion_id: str) -> None:
    """Answer with a stored chat completion."""
    await call.reply_json(_shown(await _find(door, call, completion_id)))


async def update_completion(door: Door, call: Call, completion_id: str) -> None:
    """Replace a stored chat completion's metadata."""
    _, fields = await call.fields(door.options.body_bytes_max)
    pairs = metadata(fields)
    if pairs is None and "metadata" not in fields:
        required(fields, "metadata", dict)
    owner = _owner(door, call, completion_id)
    try:
        changed = await door.conversations.chat_completions.update_metadata(
            owner, call.caller.credential_id, completion_id, pairs or {}
        )
    except TurnNotFound:
        raise _not_found(completion_id) from None
    await call.reply_json(_shown(changed))


async def delete_completion(door: Door, call: Call, completion_id: str) -> None:
    """Forget a stored chat completion."""
    await _find(door, call, completion_id)
    owner = _owner(door, call, completion_id)
    try:
        await door.conversations.changing.forget_turn(
            owner, call.caller.credential_id, completion_id
        )
    except TurnNotFound:
        raise _not_found(completion_id) from None
    deleted = {"id": completion_id, "object": "chat.completion.deleted", "deleted": True}
    await call.reply_value(deleted)


async def list_messages(door: Door, call: Call, completion_id: str) -> None:
    """List the messages a stored chat completion answered, oldest first."""
    query = call.query()
    limit, order = page_limit(query), page_order(query, "asc")
    stored = await _find(door, call, completion_id)
    messages = _messages(stored)
    if order == "desc":
        messages.reverse()
    after = query.get("after") or None
    if after is not None:
        places = [place for place, one in enumerate(messages) if one["id"] == after]
        if not places:
            raise refuse(f"Message with id '{after}' not found.", param="after")
        messages = messages[places[0] + 1 :]
    page = messages[:limit]
    data = [msgspec.json.encode(one) for one in page]
    await call.reply_json(page_json(data, [str(one["id"]) for one in page], len(messages) > limit))


def _owner(door: Door, call: Call, completion_id: str) -> Owner:
    try:
        return door.owner(call, completion_id, PREFIX)
    except UnknownId:
        raise _not_found(completion_id) from None


async def _find(door: Door, call: Call, completion_id: str) -> StoredChat:
    owner = _owner(door, call, completion_id)
    try:
        return await door.conversations.chat_completions.find(owner, completion_id)
    except TurnNotFound:
        raise _not_found(completion_id) from None


def _not_found(completion_id: str) -> Exception:
    return not_found(f"Chat completion with id '{completion_id}' not found.")


def _shown(stored: StoredChat) -> bytes:
    """Return the completion as its client saw it, with its metadata and what was asked."""
    request = msgspec.json.decode(stored.request, type=Fields)
    echoed: dict[str, object] = {name: request.get(name) for name in _ECHOED}
    echoed["input_user"] = request.get("user")
    answer = msgspec.json.decode(stored.answer, type=Fields)
    return msgspec.json.encode({**echoed, **answer, "metadata": dict(stored.metadata)})


def _messages(stored: StoredChat) -> list[dict[str, object]]:
    """Return the request's messages, each with an id of its own; what is in them stays as sent."""
    request = msgspec.json.decode(stored.request, type=Fields)
    messages = msgspec.json.decode(request["messages"], type=list[Fields])
    return [
        {"refusal": None, "name": None, **message, **_content(message.get("content"))}
        | {"id": f"{stored.completion_id}-{place}"}
        for place, message in enumerate(messages)
    ]


def _content(content: msgspec.Raw | None) -> dict[str, object]:
    """Return the content in OpenAI's two members: the text, or the parts it was given in."""
    if content is not None and bytes(content)[:1] == b"[":
        return {"content": None, "content_parts": content}
    return {"content": content, "content_parts": None}
