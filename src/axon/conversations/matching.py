"""Finding words in an item: its texts, folded, and a piece of what stands around the match."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from axon.base import MIB
from axon.sealing import DataKey, SealBroken, open_sealed

AROUND_CHARS = 60
"""What a snippet shows before and behind the match."""

OPENED_BYTES_MAX = 4 * MIB
"""An item whose content is larger is no text that somebody wrote; reading it would hold up the
process."""

_PLAIN = ("arguments", "input", "output")
_LISTS = ("content", "summary", "output")
_PARTS = ("text", "refusal", "transcript")


class SealedText(NamedTuple):
    """Content to be looked through, and what opens it."""

    key: DataKey
    context: bytes
    blob: bytes


def match_all(sealed: Sequence[SealedText | None], needle: str) -> list[str | None]:
    """Return a snippet for each of the items in which `needle` (folded) is found, else None.

    For a thread of its own: it opens and decodes. What is damaged or too large matches nothing.
    """
    return [None if one is None else _match(one, needle) for one in sealed]


def _match(sealed: SealedText, needle: str) -> str | None:
    try:
        content = open_sealed(*sealed)
    except SealBroken:
        return None  # reading the item itself says that it is damaged
    if len(content) > OPENED_BYTES_MAX:
        return None
    found = (snippet(text, needle) for text in _texts(content))
    return next((one for one in found if one is not None), None)


def snippet(text: str, needle: str) -> str | None:
    """Return what stands around the first match of `needle`, which is folded, in `text`."""
    folded = text.casefold()
    at = folded.find(needle)
    if at < 0:
        return None
    end = at + len(needle)
    if len(folded) != len(text):
        at, end = _unfolded(text, at), _unfolded(text, end)
    start, stop = max(0, at - AROUND_CHARS), end + AROUND_CHARS
    before = "…" if start else ""
    after = "…" if stop < len(text) else ""
    return f"{before}{text[start:stop]}{after}"


def _unfolded(text: str, place: int) -> int:
    """Return the place in `text` of a place in the same text folded: ß, for one, becomes ss."""
    folded = 0
    for at, letter in enumerate(text):
        if folded >= place:
            return at
        folded += len(letter.casefold())
    return len(text)


def _texts(content: bytes) -> Iterator[str]:
    """Yield what a person or a model wrote in an item."""
    item = msgspec.json.decode(content)
    if not isinstance(item, dict):
        return
    for name in _PLAIN:
        if isinstance(item.get(name), str):
            yield item[name]
    for name in _LISTS:
        parts = item.get(name)
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                yield from (part[kind] for kind in _PARTS if isinstance(part.get(kind), str))
