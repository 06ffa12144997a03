"""`GET /v1/conversations`: a person's conversations, page by page."""

from collections.abc import Mapping

from axon.conversations import Wanted
from axon.gateway.call import Call
from axon.gateway.conversation_object import PREFIX, Missing, person_of, shown
from axon.gateway.door import Door
from axon.gateway.pages import page_limit, page_metadata, page_model, page_order
from axon.gateway.problem import refuse

_ARCHIVED: dict[str, bool | None] = {"true": True, "false": False, "all": None}


async def list_conversations(door: Door, call: Call) -> None:
    """List a person's conversations, newest first, without chains of responses."""
    query = call.query()
    owner = person_of(door, call, query)
    after = query.get("after") or None
    if after is not None:
        with Missing(after):
            door.mint.read(after, PREFIX, owner.org_id)
    wanted = Wanted(
        limit=page_limit(query),
        order=page_order(query),
        after=after,
        archived=_archived(query),
        metadata=page_metadata(query),
        model=page_model(query),
    )
    page = await door.conversations.listing.page(owner, wanted)
    data = [shown(conversation) for conversation in page.conversations]
    await call.reply_value(
        {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
            "has_more": page.has_more,
        }
    )


def _archived(query: Mapping[str, str]) -> bool | None:
    text = query.get("archived", "false")
    if text not in _ARCHIVED:
        message = f"Invalid value for 'archived': {text!r}; use 'true', 'false' or 'all'."
        raise refuse(message, param="archived", code="invalid_value")
    return _ARCHIVED[text]
