"""The texts an engine is told, changed one by one: names in place of values, and what is cut out.

What the request is made of stays: its members, the tools, who says what. Arguments of calls are
JSON within JSON, and are followed too, so that nothing breaks and nothing passes unseen.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from axon.privacy import Hiding, PrivacyPolicy, hidden_again, walked
from axon.safety import CUT
from axon.turns.rooms import TurnRooms

_TOLD = ("messages", "prompt", "input", "suffix")
"""Members of an engine's request that hold what people wrote."""

_SHAPE = frozenset({"role", "type", "id", "tool_call_id", "detail", "format", "index"})
"""Members of a message that say what it is."""

_FILE = "data:"
"""How a file within a message begins: its bytes in base64 are no text."""

Change = Callable[[str], str]


def changed(fields: bytes, change: Change) -> bytes:
    """Return the members of an engine's request with every text in them changed."""
    members = msgspec.json.decode(b"{%b}" % fields, type=dict[str, msgspec.Raw])
    for name in _TOLD:
        if name in members:
            value = _changed(msgspec.json.decode(members[name]), change)
            members[name] = msgspec.Raw(msgspec.json.encode(value))
    return msgspec.json.encode(members)[1:-1]


def _changed(value: object, change: Change) -> object:
    if isinstance(value, list):
        return [_changed(one, change) for one in value]
    if not isinstance(value, dict):
        return _text(value, change) if isinstance(value, str) else value
    done: dict[str, object] = {}
    for name, one in value.items():
        if name in _SHAPE and isinstance(one, str):
            done[name] = one
        elif name == "arguments" and isinstance(one, str):
            done[name] = _arguments(one, change)
        else:
            done[name] = _changed(one, change)
    return done


def _text(text: str, change: Change) -> str:
    return text if text.startswith(_FILE) else change(text)


def _arguments(text: str, change: Change) -> str:
    """Return the arguments of a call, which are JSON unless a model got them wrong."""
    try:
        read = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return change(text)
    done = walked(read, change)
    return text if done == read else msgspec.json.encode(done).decode()


def written(content: bytes) -> list[str]:
    """Return every text in an item or a message."""
    found: list[str] = []

    def keep(text: str) -> str:
        found.append(text)
        return text

    _changed(msgspec.json.decode(content), keep)
    return found


def hiding_policy(rooms: TurnRooms, org_id: str) -> PrivacyPolicy | None:
    """Return the policy of an organization whose models are told names; None for any other."""
    if not rooms.policies.hide_anything:
        return None
    policy = rooms.policies.of(org_id)
    return policy if policy.engine_input else None


def with_names(policy: PrivacyPolicy, fields: bytes) -> tuple[bytes, dict[str, str]]:
    """Return what the engine is told instead, and the value that each name stands for."""
    hiding = Hiding(policy.redactor, fields)
    done = changed(fields, hiding.hide)
    return (done, hiding.values) if hiding.values else (fields, {})


def told_again(fields: bytes, hidden: Mapping[str, str], removed: Sequence[str]) -> bytes:
    """Return what the engine was told when the turn was accepted."""
    if not hidden and not removed:
        return fields

    def change(text: str) -> str:
        for one in removed:
            text = text.replace(one, CUT)
        return hidden_again(text, hidden)

    return changed(fields, change)


def redacted_texts(rooms: TurnRooms, org_id: str, texts: Sequence[str]) -> list[str]:
    """Return texts as an engine may be told them to count their tokens."""
    policy = hiding_policy(rooms, org_id)
    return [*texts] if policy is None else [policy.redactor.redact_text(text) for text in texts]
