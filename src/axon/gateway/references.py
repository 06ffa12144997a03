"""Items of a request that are only referred to: `{"type": "item_reference", "id": ...}`.

Clients that know their items are stored send them back this way, one by one.
"""

from collections.abc import Sequence

import msgspec

from axon.base import MICROS_PER_SECOND, UnknownId
from axon.conversations import Owner, StoredItem
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.problem import Problem, RequestRefused, refuse
from axon.turns import Fields

REFERENCES_MAX = 1000
"""In one request; a longer history is better continued by `previous_response_id`."""

_MARK = b'"item_reference"'
_MILLIS_US = MICROS_PER_SECOND // 1000


class _Reference(msgspec.Struct):
    type: str | None = None
    id: str | None = None


async def with_references(door: Door, call: Call, fields: Fields) -> Fields:
    """Return the fields with each reference in `input` replaced by its item.

    Raises RequestRefused: a 404 for one that is not there, or not the caller's.
    """
    raw = fields.get("input")
    if raw is None or _MARK not in bytes(raw):
        return fields
    try:
        items = msgspec.json.decode(raw, type=list[msgspec.Raw])
        read = [msgspec.json.decode(item, type=_Reference) for item in items]
    except (msgspec.DecodeError, RecursionError):
        return fields  # not what it must be; who reads the input says how
    wanted = [one.id or "" for one in read if one.type == "item_reference"]
    if len(wanted) > REFERENCES_MAX:
        message = f"Invalid 'input': at most {REFERENCES_MAX} items can be referred to."
        raise refuse(message, param="input", code="array_above_max_length")
    found = await _items(door, call, fields, wanted)
    whole = [
        found[one.id or ""].content if one.type == "item_reference" else bytes(item)
        for one, item in zip(read, items, strict=True)
    ]
    return {**fields, "input": msgspec.Raw(b"[%b]" % b",".join(whole))}


async def _items(
    door: Door, call: Call, fields: Fields, item_ids: Sequence[str]
) -> dict[str, StoredItem]:
    """Return every item; refuse the request when one is not there."""
    people: dict[Owner, list[str]] = {}
    newest_us = 0
    for item_id in item_ids:
        prefix = item_id.rpartition("_")[0]
        try:
            owner = door.owner(call, item_id, prefix, fields)
        except UnknownId:
            raise _missing(item_id) from None
        minted = door.mint.read(item_id, prefix, owner.org_id)
        newest_us = max(newest_us, minted.created_ms * _MILLIS_US)
        people.setdefault(owner, []).append(item_id)
    found: dict[str, StoredItem] = {}
    for owner, theirs in people.items():
        found |= await door.conversations.referring.items(owner, theirs, newest_us)
    for item_id in item_ids:
        if item_id not in found:
            raise _missing(item_id)
    return found


def _missing(item_id: str) -> RequestRefused:
    message = (
        f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false."
    )
    return RequestRefused(Problem(status=404, message=message, param="input"))
