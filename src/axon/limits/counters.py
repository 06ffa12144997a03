"""The counters in Valkey, behind four functions of one round trip each."""

import asyncio
from collections.abc import Mapping, Sequence
from importlib.resources import files

from axon.limits.book import Counter, Key, OrgBook
from axon.records import Hold
from axon.stores import Valkey, ValkeyReply

LIBRARY = "axon_limits"

LEASE_MS = 900_000
"""How long what a process holds back stays so when nothing is heard of it: longer than a turn."""

ADMITTED, REFUSED, UNKNOWN, SLICED = range(4)

Others = Mapping[Key, Mapping[str, int]]
"""What each other journal's turns used of a counter."""


class Counters:
    """Speaks to Valkey for one process; raises ValkeyAway as `Valkey.call` does."""

    def __init__(self, valkey: Valkey, instance: str) -> None:
        """Load the functions; `instance` is the name of the process's journal."""
        self._valkey = valkey
        self._instance = instance
        source = files("axon.limits").joinpath("counters.lua").read_text()
        valkey.load_functions(LIBRARY, source)

    async def admit(
        self, book: OrgBook, asked: Sequence[tuple[Counter, int, int]]
    ) -> tuple[int, list[tuple[int, int]]]:
        """Hold back; `asked` are counters with their ceilings and amounts.

        Returns what came of it, and of each what was used and held back before, and only used.
        """
        parts: list[str | int] = []
        for counter, ceiling, amount in asked:
            parts += (ceiling, amount, int(counter.durable), counter.expires_ms)
        counters = [counter for counter, _, _ in asked]
        reply = await self._call("admit", book, counters, LEASE_MS, *parts)
        assert isinstance(reply, list)
        numbers = [_number(one) for one in reply[1:]]
        half = len(numbers) // 2
        return _number(reply[0]), list(zip(numbers[:half], numbers[half:], strict=True))

    def settle(
        self, book: OrgBook, settled: Sequence[tuple[Counter, int, int]]
    ) -> "asyncio.Future[ValkeyReply]":
        """Give back what was held, and count what was used: counters with the two amounts."""
        parts: list[str | int] = []
        for counter, held, used in settled:
            parts += (-held, used, counter.expires_ms)
        return self._call("settle", book, [counter for counter, _, _ in settled], *parts)

    def set(
        self, book: OrgBook, counters: Sequence[Counter], others: Others
    ) -> "asyncio.Future[ValkeyReply]":
        """Say what this process's part of the counters is; without a slice of any."""
        parts: list[str | int] = []
        for counter in counters:
            known = others.get(counter.key, {})
            parts += (counter.used, counter.held, counter.expires_ms, len(known))
            for name, used in known.items():
                parts += (name, used)
        return self._call("set", book, counters, LEASE_MS, *parts)

    async def renew(
        self, book: OrgBook, wanted: Sequence[tuple[Counter, int, int]]
    ) -> list[tuple[int, int]] | None:
        """Live on; return the slices that are given and what is used; None when unknown there.

        `wanted` are counters with their ceilings and the slices that are asked for.
        """
        parts: list[str | int] = []
        for _, ceiling, share in wanted:
            parts += (ceiling, share)
        counters = [counter for counter, _, _ in wanted]
        reply = await self._call("renew", book, counters, LEASE_MS, *parts)
        assert isinstance(reply, list)
        if reply[0] == UNKNOWN:
            return None
        numbers = [_number(one) for one in reply[1:]]
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def _call(
        self, function: str, book: OrgBook, counters: Sequence[Counter], *parts: str | int
    ) -> "asyncio.Future[ValkeyReply]":
        org = f"axon:limits:{{{book.org_id}}}:"
        keys = [f"{org}i", *[_key(org, counter.hold) for counter in counters]]
        name = f"axon_limits_{function}"
        return self._valkey.call(
            "FCALL", name, len(keys), *keys, self._instance, book.epoch, *parts
        )


def _number(reply: ValkeyReply) -> int:
    assert isinstance(reply, int | bytes)
    return int(reply)


def _key(org: str, hold: Hold) -> str:
    return f"{org}{hold.bucket}:{hold.start_us}"
