"""Items of a conversation retold as chat messages, for engines that speak only chat completions.

Source: OpenAI's API reference (Responses input items; chat completion messages).
"""

from collections.abc import Iterable, Sequence

import msgspec

from axon.base import AxonError
from axon.turns.chunks import ABSENT, given

_encode = msgspec.json.encode


class UnsupportedItem(AxonError):
    """This item cannot be given to a model that speaks chat completions."""


class _Part(msgspec.Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None
    input_audio: msgspec.Raw = ABSENT


class _Item(msgspec.Struct):
    type: str = "message"
    role: str = "user"
    content: str | list[_Part] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    input: str = ""
    output: str | list[_Part] | None = None


_decoder = msgspec.json.Decoder(_Item)

_ROLES = {"developer": "system"}
"""Chat templates of open models know system, not developer."""

_SILENT = frozenset({"reasoning", "item_reference", "compaction"})
"""Items that have no place in a chat message: thinking is not fed back."""


_CALL, _SAID, _NOTHING, _WHOLE = b"c", b"s", b"-", b"w"
"""The first byte of a piece: a call, an assistant's text, nothing, or a message of its own."""


def piece_of(content: bytes) -> bytes:
    """Return an item as the piece of a chat message it becomes; raise UnsupportedItem.

    A piece does not depend on its neighbours, so it can be kept.
    """
    try:
        item = _decoder.decode(content)
    except msgspec.DecodeError as error:
        raise UnsupportedItem(str(error)) from error
    if item.type == "message":
        if item.role == "assistant":
            return _SAID + _encode(_text(item.content))
        role = _ROLES.get(item.role, item.role)
        return _WHOLE + b'{"role":%b,"content":%b}' % (_encode(role), _content(item.content))
    if item.type in ("function_call", "custom_tool_call"):
        arguments = item.arguments
        if item.type == "custom_tool_call":  # told to the engine as a function of one text
            arguments = _encode({"input": item.input}).decode()
        return _CALL + b'{"id":%b,"type":"function","function":{"name":%b,"arguments":%b}}' % (
            _encode(item.call_id),
            _encode(item.name),
            _encode(arguments),
        )
    if item.type in ("function_call_output", "custom_tool_call_output"):
        return _WHOLE + b'{"role":"tool","tool_call_id":%b,"content":%b}' % (
            _encode(item.call_id),
            _content(item.output),
        )
    if item.type in _SILENT:
        return _NOTHING
    raise UnsupportedItem(f"item of type {item.type!r}")


def chat_messages(instructions: str | None, pieces: Iterable[bytes]) -> list[bytes]:
    """Return the JSON of each chat message for these pieces, the instructions first.

    Calls that follow each other, or follow the assistant's text, become one assistant message.
    """
    messages: list[bytes] = []
    if instructions:
        messages.append(b'{"role":"system","content":%b}' % _encode(instructions))
    said: bytes | None = None
    calls: list[bytes] = []
    for piece in pieces:
        kind, data = piece[:1], piece[1:]
        if kind == _CALL:
            calls.append(data)
        elif kind != _NOTHING:
            if said is not None or calls:
                messages.append(_assistant(said, calls))
                said, calls = None, []
            if kind == _SAID:
                said = data
            else:
                messages.append(data)
    if said is not None or calls:
        messages.append(_assistant(said, calls))
    return messages


def _assistant(said: bytes | None, calls: Sequence[bytes]) -> bytes:
    content = said or b"null"
    if not calls:
        return b'{"role":"assistant","content":%b}' % content
    return b'{"role":"assistant","content":%b,"tool_calls":[%b]}' % (content, b",".join(calls))


def _text(content: str | list[_Part] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join([part.text or part.refusal or "" for part in content])


def _content(content: str | list[_Part] | None) -> bytes:
    """Return the content as a plain string where it is only text: every template knows that."""
    if content is None or isinstance(content, str):
        return _encode(content or "")
    if not [part for part in content if part.text is None and part.refusal is None]:
        return _encode(_text(content))
    return b"[%b]" % b",".join(_encode(_chat_part(part)) for part in content)


def _chat_part(part: _Part) -> dict[str, object]:
    if part.text is not None:
        return {"type": "text", "text": part.text}
    if part.type == "input_image" and part.image_url is not None:
        url = {"url": part.image_url, "detail": part.detail or "auto"}
        return {"type": "image_url", "image_url": url}
    if part.type == "input_file" and (part.file_data is not None or part.file_id is not None):
        known = {
            "file_data": part.file_data,
            "file_id": part.file_id,
            "filename": part.filename,
        }
        return {"type": "file", "file": {key: value for key, value in known.items() if value}}
    if part.type == "input_audio" and given(part.input_audio):
        return {"type": "input_audio", "input_audio": part.input_audio}
    raise UnsupportedItem(f"content part of type {part.type!r}")
