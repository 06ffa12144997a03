"""The items a client sends, made into the form they are stored in."""

from collections.abc import Sequence
from typing import Any

import msgspec

from axon.conversations import NewItem
from axon.gateway.problem import RequestRefused, refuse
from axon.turns import UnsupportedItem, piece_of

ITEMS_MAX = 20
"""OpenAI's bound of items in one call that creates a conversation or adds to one."""

_AUTHORS = frozenset({"user", "assistant", "system", "developer"})
NEEDED_MEMBERS = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id", "output"),
    "reasoning": ("summary",),
    "compaction": ("encrypted_content",),
}
"""What an item of each type must have; a message stands apart."""

Item = dict[str, Any]


def from_text(text: str) -> NewItem:
    """Return a user's message that says `text`."""
    return _stored({"type": "message", "role": "user", "content": text}, "input")


def from_json(raw: msgspec.Raw, param: str) -> tuple[NewItem, ...]:
    """Return the items of a JSON array; refuse what is no item, naming its place."""
    try:
        items = msgspec.json.decode(raw, type=list[Item])
    except (msgspec.DecodeError, RecursionError) as error:
        message = f"Invalid type for '{param}': expected an array of objects ({error})."
        raise refuse(message, param=param, code="invalid_type") from error
    return tuple(_stored(item, f"{param}[{place}]") for place, item in enumerate(items))


def _stored(item: Item, param: str) -> NewItem:
    kind = item.get("type", "message" if "role" in item else None)
    if kind == "message":
        return _readable(_message(item, param), param)
    if not isinstance(kind, str) or kind not in NEEDED_MEMBERS:
        raise refuse(
            f"Invalid value for '{param}.type': {kind!r}.", f"{param}.type", "invalid_value"
        )
    for name in NEEDED_MEMBERS[kind]:
        if name not in item:
            raise _missing(f"{param}.{name}")
        if name != "output" and name != "summary" and not isinstance(item[name], str):
            raise _not_text(f"{param}.{name}")
    author = "tool" if kind.endswith("_output") else "assistant"
    shown = {key: value for key, value in item.items() if key not in ("id", "status")}
    shown.setdefault("type", kind)
    shown["status"] = item.get("status") or "completed"
    new = NewItem(kind=kind, author=author, content=msgspec.json.encode(shown))
    return _readable(new, param)


def _readable(item: NewItem, param: str) -> NewItem:
    """Return the item; refuse one no model could be shown, before it stands in a conversation."""
    try:
        piece_of(item.content)
    except UnsupportedItem as error:
        raise refuse(str(error), param, "unsupported_value") from error
    return item


def _message(item: Item, param: str) -> NewItem:
    author = item.get("role")
    if not isinstance(author, str) or author not in _AUTHORS:
        message = f"Invalid value for '{param}.role': {author!r}."
        raise refuse(message, f"{param}.role", "invalid_value")
    if "content" not in item:
        raise _missing(f"{param}.content")
    shown: Item = {
        "type": "message",
        "role": author,
        "status": item.get("status") or "completed",
        "content": _content(item["content"], author, f"{param}.content"),
    }
    return NewItem(kind="message", author=author, content=msgspec.json.encode(shown))


def _content(content: object, author: str, param: str) -> Sequence[object]:
    if isinstance(content, str):
        return [_text_part(content, author)]
    if not isinstance(content, list):
        raise refuse(
            f"Invalid type for '{param}': expected a string or an array.", param, "invalid_type"
        )
    parts: list[object] = []
    for place, part in enumerate(content):
        where = f"{param}[{place}]"
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise refuse(f"Invalid type for '{where}': expected an object.", where, "invalid_type")
        if part["type"] in ("input_text", "output_text", "text"):
            if not isinstance(part.get("text"), str):
                raise _not_text(f"{where}.text")
        plain = part["type"] == "text"
        parts.append(_text_part(part["text"], author) if plain else part)
    return parts


def _text_part(text: str, author: str) -> Item:
    if author == "assistant":
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "input_text", "text": text}


def _missing(param: str) -> RequestRefused:
    message = f"Missing required parameter: '{param}'."
    return refuse(message, param, "missing_required_parameter")


def _not_text(param: str) -> RequestRefused:
    return refuse(f"Invalid type for '{param}': expected a string.", param, "invalid_type")
