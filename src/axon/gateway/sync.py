"""`GET /v1/sync`: what changed in a person's conversations since a cursor."""

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.conversations import CursorExpired, FeedChange, NotACursor
from axon.gateway.call import Call
from axon.gateway.conversation_object import person_of, shown
from axon.gateway.door import Door
from axon.gateway.pages import page_limit
from axon.gateway.problem import Problem, RequestRefused, refuse


async def sync(door: Door, call: Call) -> None:
    """Answer with the changes since a cursor, deletions included, in the order of their commit."""
    query = call.query()
    owner = person_of(door, call, query)
    cursor = query.get("cursor") or None
    since = query.get("since", "now")
    if since not in ("now", "beginning"):
        message = f"Invalid value for 'since': {since!r}; use 'now' or 'beginning'."
        raise refuse(message, param="since", code="invalid_value")
    try:
        page = await door.conversations.feed.read(
            owner, cursor, page_limit(query), from_beginning=since == "beginning"
        )
    except NotACursor as error:
        raise refuse(str(error), param="cursor", code="invalid_cursor") from error
    except CursorExpired as error:
        gone = Problem(status=410, message=str(error), param="cursor", code="cursor_expired")
        raise RequestRefused(gone) from error
    await call.reply_value(
        {
            "object": "sync",
            "data": [_shown(change) for change in page.changes],
            "cursor": page.cursor,
            "has_more": page.has_more,
        }
    )


def _shown(change: FeedChange) -> dict[str, object]:
    conversation = change.conversation
    return {
        "object": "sync.change",
        "type": change.kind,
        "at": change.at_us // MICROS_PER_SECOND,
        "conversation_id": change.conversation_id,
        "response_id": change.turn_id or None,
        "item_ids": change.item_ids,
        "items": [msgspec.Raw(item.content) for item in change.items],
        "conversation": None if conversation is None else shown(conversation),
    }
