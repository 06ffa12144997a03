"""`GET /v1/conversations/search`: where a person's conversations say something."""

from axon.conversations import NotACursor, SearchBusy, SearchHit
from axon.gateway.call import Call
from axon.gateway.conversation_object import person_of
from axon.gateway.door import Door
from axon.gateway.pages import page_limit
from axon.gateway.problem import RequestRefused, refuse, unavailable

QUERY_CHARS_MAX = 200


async def search_conversations(door: Door, call: Call) -> None:
    """Search in titles and items, whatever the case; newest conversations first."""
    query = call.query()
    owner = person_of(door, call, query)
    words = query.get("q", "")
    if not words.strip():
        message = "Missing required parameter: 'q'."
        raise refuse(message, param="q", code="missing_required_parameter")
    if len(words) > QUERY_CHARS_MAX:
        message = f"Invalid 'q': at most {QUERY_CHARS_MAX} characters, but got {len(words)}."
        raise refuse(message, param="q", code="string_above_max_length")
    try:
        page = await door.conversations.searching.search(
            owner, words, page_limit(query), query.get("after") or None
        )
    except NotACursor:
        message = "Invalid 'after': it is no cursor of a search."
        raise refuse(message, param="after", code="invalid_cursor") from None
    except SearchBusy as error:
        raise RequestRefused(unavailable(str(error), "server_overloaded")) from error
    await call.reply_value(
        {
            "object": "list",
            "data": [_shown(hit) for hit in page.hits],
            "has_more": page.cursor is not None,
            "complete": page.complete,
            "cursor": page.cursor,
        }
    )


def _shown(hit: SearchHit) -> dict[str, object]:
    return {
        "object": "conversation.search_result",
        "conversation_id": hit.conversation_id,
        "item_id": hit.item_id,
        "title": hit.title,
        "snippet": hit.snippet,
    }
