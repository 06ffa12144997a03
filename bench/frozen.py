"""What a Valkey that stops answering costs a turn: at first, and for as long as it stays so.

`python -m bench.frozen --rounds 10` takes durable turns at a fixed pace, freezes Valkey with
SIGSTOP for some seconds, over and over, and compares the turns of each phase with those before.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from axon.app.embedded import freeze, thaw
from bench.compiled import tool
from bench.gateways import Gateway, first_line, running
from bench.load import MODEL, LoadFailed, new_conversations
from bench.run import scratch

TURN_EVERY_S = 0.1
"""Of each connection; so few that nobody waits for another."""

CONVERSATIONS = 25
"""Of each connection, in turn: none gets longer than people's."""

FIRST_S = 1.0
"""The first moment of a freeze, in which a request may have waited for Valkey."""

CALM_S = 3.0
"""After a thaw, for the windows that have to be read again; then as long for what is compared."""

_OVERHEAD = "x-axon-overhead-ms:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Axon as `axon up` runs it: PostgreSQL is on the way of the turns here, so nothing is pinned
    or made to give way."""

    gateway: Gateway
    valkey_pid: int


@dataclass(frozen=True, slots=True)
class Turn:
    """When a turn was sent, what its client waited, and Axon's own share of that."""

    sent_s: float
    waited_ms: float
    overhead_ms: float


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """The turns of one phase, over all rounds, in milliseconds; own shares of Axon's."""

    turns: int
    overhead_p50_ms: float
    overhead_p99_ms: float
    overhead_max_ms: float
    waited_max_ms: float


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured."""

    rounds: int
    before: Phase
    first: Phase
    """Sent up to FIRST_S after the freeze, or under way at its beginning."""
    after: Phase
    longest_ms: float
    """By which the longest turn of a freeze's first second passed the longest one of a second
    before it; the median of the rounds."""

    @property
    def extra_ms(self) -> float:
        """Return what a turn costs more while Valkey stays frozen."""
        return self.after.overhead_p50_ms - self.before.overhead_p50_ms


async def measure(rounds: int, frozen_s: float, connections: int, node: Node) -> Frozen:
    """Run the rounds; raises LoadFailed when a turn is not acknowledged."""
    ids = new_conversations(node.gateway, connections * CONVERSATIONS)
    turns: list[Turn] = []
    stop = asyncio.Event()
    shares = [ids[number::connections] for number in range(connections)]
    load = [asyncio.create_task(_connection(node.gateway, one, turns, stop)) for one in shares]
    freezes: list[float] = []
    for _ in range(rounds):
        await _sleep(2 * CALM_S, load)
        freezes.append(time.monotonic())
        freeze(node.valkey_pid)
        try:
            await _sleep(frozen_s, load)
        finally:
            thaw(node.valkey_pid)
    stop.set()
    await asyncio.gather(*load)
    before, first, after, longest = [], [], [], []
    for at_s in freezes:
        calm = _within(turns, at_s - CALM_S, at_s - FIRST_S)
        early = _within(turns, at_s - TURN_EVERY_S, at_s + FIRST_S)
        before += calm
        first += early
        after += _within(turns, at_s + FIRST_S, at_s + frozen_s - FIRST_S)
        longest.append(_longest(early) - _longest(_within(turns, at_s - 2.0, at_s - 1.0)))
    return Frozen(
        rounds=rounds,
        before=_phase(before),
        first=_phase(first),
        after=_phase(after),
        longest_ms=sorted(longest)[len(longest) // 2],
    )


async def _sleep(seconds: float, load: Sequence["asyncio.Task[None]"]) -> None:
    """Let the load run so long; raises what it raises."""
    done, _ = await asyncio.wait(load, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()


def _within(turns: Sequence[Turn], from_s: float, until_s: float) -> list[Turn]:
    return [turn for turn in turns if from_s <= turn.sent_s < until_s]


def _longest(turns: Sequence[Turn]) -> float:
    return max(turn.waited_ms for turn in turns)


def _phase(turns: Sequence[Turn]) -> Phase:
    ordered = sorted(turn.overhead_ms for turn in turns)
    return Phase(
        turns=len(ordered),
        overhead_p50_ms=ordered[len(ordered) // 2],
        overhead_p99_ms=ordered[len(ordered) * 99 // 100],
        overhead_max_ms=ordered[-1],
        waited_max_ms=_longest(turns),
    )


async def _connection(
    gateway: Gateway, conversations: Sequence[str], turns: list[Turn], stop: asyncio.Event
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    requests = itertools.cycle([_request(gateway, one) for one in conversations])
    try:
        while not stop.is_set():
            sent_s = time.monotonic()
            writer.write(next(requests))
            overhead_ms = await _answer(reader)
            waited_s = time.monotonic() - sent_s
            turns.append(Turn(sent_s, waited_s * 1e3, overhead_ms))
            await asyncio.sleep(max(TURN_EVERY_S - waited_s, 0.0))
    finally:
        writer.close()


def _request(gateway: Gateway, conversation: str) -> bytes:
    body = json.dumps({"model": MODEL, "input": "And then?", "conversation": conversation}).encode()
    lines = [
        "POST /v1/responses HTTP/1.1", "host: axon", "content-type: application/json",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in gateway.headers.items()),
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _answer(reader: asyncio.StreamReader) -> float:
    """Read one whole answer; return Axon's own share of it in milliseconds."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length:")[2].split("\r\n")[0])
    answer = await reader.readexactly(length)
    if " 200 " not in head.split("\r\n")[0] or b'"error":null' not in answer:
        raise LoadFailed(f"{head.splitlines()[0]} {answer[:300]!r}")
    return float(head.partition(_OVERHEAD)[2].split("\r\n")[0])


@contextlib.contextmanager
def _node(folder: Path, engine_port: int) -> Iterator[Node]:
    log = folder / "axon.log"
    command = [
        str(Path(sys.executable).with_name("axon")), "up", "--data", str(folder / "axon"),
        "--port", "0", "--upstream", f"http://127.0.0.1:{engine_port}/v1", "--json",
    ]  # fmt: skip
    with running(command, log) as child:
        ready = json.loads(first_line(child, log))
        port = urlsplit(ready["base_url"]).port
        assert port is not None
        headers = {"authorization": f"Bearer {ready['api_key']}"}
        gateway = Gateway(name="axon", port=port, headers=headers)
        yield Node(gateway=gateway, valkey_pid=ready["pids"]["valkey"][0])


def render(found: Frozen) -> str:
    """Return the figures as a table for people."""
    lines = [
        f"{found.rounds} rounds; milliseconds of Axon's own share, and of waiting in the client",
        f"{'':16}{'turns':>8}{'p50':>9}{'p99':>9}{'longest':>9}{'waited':>9}",
    ]
    for name, one in (
        ("before", found.before),
        ("first second", found.first),
        ("after it", found.after),
    ):
        lines.append(
            f"{name:16}{one.turns:8}{one.overhead_p50_ms:9.2f}{one.overhead_p99_ms:9.2f}"
            f"{one.overhead_max_ms:9.2f}{one.waited_max_ms:9.2f}"
        )
    lines.append(
        f"the longest of a first second, beyond the longest of a second before: "
        f"{found.longest_ms:.1f} ms (median of the rounds)"
    )
    lines.append(f"a turn while Valkey stays frozen: {found.extra_ms:+.2f} ms (p50)")
    return "\n".join(lines)


def main() -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.frozen", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--frozen", type=float, default=5.0, help="seconds of one freeze")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="print the results as one JSON line")
    chosen = parser.parse_args()
    with scratch() as folder, running([str(tool("upstream"))], folder / "upstream.log") as child:
        port = json.loads(first_line(child, folder / "upstream.log"))["port"]
        with _node(folder, port) as node:
            print("measuring", file=sys.stderr, flush=True)
            found = asyncio.run(measure(chosen.rounds, chosen.frozen, chosen.connections, node))
    print(msgspec.json.encode(found).decode() if chosen.json else render(found))


if __name__ == "__main__":
    main()
