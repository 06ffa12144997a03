"""Valkey against PostgreSQL: does every window that would be believed say what the tables say?"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import asyncpg
import msgspec

from axon.app.reconcile.difference import NAMED_MAX, Findings
from axon.app.reconcile.rows import read_conversations, read_places
from axon.stores import Valkey, ValkeyReply

SCAN_KEYS = 256
"""Keys that one look at Valkey returns, about."""

WINDOWS_AT_ONCE = 16
"""Windows in memory together; each has two megabytes at most."""

_WINDOW = "{*}:w"
_USER_DIGITS = slice(-24, -8)
"""Where an id of ours holds its user's number, in hexadecimal (see base/ids.py)."""

_ID_DIGITS = 50


class _Window(msgspec.Struct, frozen=True, array_like=True):
    """One turn in a window; the sealed items are not opened."""

    turn_id: str
    sequence: int
    items: list[tuple[str, str, str, int, bytes]]


_decode = msgspec.msgpack.Decoder(_Window).decode


class Windows:
    """Compares windows; one that differs is a suspect until PostgreSQL has caught up with it."""

    def __init__(
        self, valkey: Valkey, connection: asyncpg.Connection, epoch: bytes, findings: Findings
    ) -> None:
        """`epoch` is the name under which this node's windows are believed."""
        self._valkey = valkey
        self._connection = connection
        self._epoch = epoch
        self._findings = findings

    async def suspects(self) -> dict[str, str]:
        """Look at every window; return the conversations whose differs and how, NAMED_MAX at most.

        Raises ValkeyAway.
        """
        found: dict[str, str] = {}
        async for names in self._names():
            for start in range(0, len(names), WINDOWS_AT_ONCE):
                found |= await self.compare(names[start : start + WINDOWS_AT_ONCE], count=True)
            if len(found) >= NAMED_MAX:
                break
        return found

    async def compare(self, names: Sequence[str], *, count: bool = False) -> dict[str, str]:
        """Return those of the conversations whose window differs, and how; raises ValkeyAway."""
        windows = dict(zip(names, await asyncio.gather(*map(self._read, names)), strict=True))
        believed = {name: read for name, read in windows.items() if isinstance(read, tuple)}
        if count:
            self._findings.valkey["windows"] += len(names)
            for state in ("open", "not believed"):
                self._findings.valkey[f"windows {state}"] += sum(
                    read == state for read in windows.values()
                )
        wanted = {(_user_in(name), name) for name in believed}
        heads = await read_conversations(self._connection, wanted)
        places = await read_places(
            self._connection,
            {
                (_user_in(name), name, turn.sequence)
                for name, (_, turns) in believed.items()
                for turn in turns
            },
        )
        differ = {}
        for name, (head, turns) in believed.items():
            user = _user_in(name)
            row = heads.get((user, name))
            has = "nothing" if row is None else f"{row['head_sequence']}.{row['head_fence']}"
            if head != has:
                differ[name] = f"the window's head is {head}, PostgreSQL's {has}"
                continue
            for turn in turns:
                there = places.get((user, name, turn.sequence))
                ids = [item[0] for item in turn.items]
                if there is not None and there["cold"]:
                    continue  # what stands there is in the archive
                if there is None or there["origin_id"] != turn.turn_id or there["item_ids"] != ids:
                    differ[name] = f"the window's turn at place {turn.sequence} is another"
        return differ

    async def _read(self, name: str) -> str | tuple[str, list[_Window]]:
        """Return (head, turns) of a window that would be believed, or why it would not be."""
        window, turns = f"{{{name}}}:w", f"{{{name}}}:t"
        answers = await asyncio.gather(
            self._valkey.call("HMGET", window, "e", "h", "g", "n", "o"),
            self._valkey.call("LRANGE", turns, 0, -1),
        )
        values, packed = (_texts(answer) for answer in answers)
        epoch, head, fence, length, is_open = values
        if is_open != b"0":
            return "open"
        if epoch != self._epoch or int(length) != len(packed):
            return "not believed"
        return f"{int(head)}.{int(fence)}", [_decode(turn) for turn in packed]

    async def _names(self) -> AsyncIterator[list[str]]:
        """Yield the conversations that have windows; one may come twice."""
        cursor = b"0"
        while True:
            answer = await self._valkey.call("SCAN", cursor, "MATCH", _WINDOW, "COUNT", SCAN_KEYS)
            assert isinstance(answer, list)
            head, keys = answer
            assert isinstance(head, bytes)
            yield [key.decode()[1:-3] for key in _texts(keys)]
            cursor = head
            if cursor == b"0":
                return


def _user_in(conversation_id: str) -> int:
    """Return the user's number the id carries; 0, which is nobody's, when it is none of ours."""
    digits = conversation_id.rpartition("_")[2]
    if len(digits) != _ID_DIGITS:
        return 0
    try:
        return int(digits[_USER_DIGITS], 16)
    except ValueError:
        return 0


def _texts(answer: ValkeyReply) -> list[bytes]:
    """Return a list of strings as Valkey gave it; a missing one is empty."""
    assert isinstance(answer, list)
    return [part if isinstance(part, bytes) else b"" for part in answer]
