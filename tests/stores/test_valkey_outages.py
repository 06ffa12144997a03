import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress

import pytest
import uvloop

from axon.app.embedded import EmbeddedServer
from axon.stores import Valkey, ValkeyAway
from axon.stores import valkey_pipeline as pipeline_module
from axon.stores.valkey import HANDSHAKE_TIMEOUT_S

LIBRARY = "#!lua name=axon_test\nredis.register_function('answer', function() return 42 end)"
PATIENCE_S = 20.0
"""Bounds a wait that would otherwise hang the tests; nothing is measured against it."""


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    client = Valkey(valkey_url)
    client.load_functions("axon_test", LIBRARY)
    await client.start()
    yield client
    await client.stop()


async def back(valkey: Valkey) -> None:
    await asyncio.wait_for(valkey.wait_until_available(), PATIENCE_S)


@pytest.mark.failure("valkey", "frozen")
async def test_frozen(valkey: Valkey, valkey_server: EmbeddedServer) -> None:
    valkey_server.freeze()
    with pytest.raises(ValkeyAway, match="no answer within 50 ms"):
        await valkey.call("PING")
    while valkey.available:
        with pytest.raises(ValkeyAway, match="no answer within 50 ms"):
            valkey.call("PING")  # at once: the answer before it is not here
        await asyncio.sleep(0)
    with pytest.raises(ValkeyAway, match="no answer within 50 ms"):
        valkey.call("PING")  # at once: there is nobody to ask
    assert valkey.generation == "" and not valkey.health.up
    assert valkey.health.reason == "no answer within 50 ms"
    valkey_server.thaw()
    await back(valkey)
    assert await valkey.call("FCALL", "answer", 0) == 42


async def test_one_frozen_tick_of_many_calls_is_enough(
    valkey: Valkey, valkey_server: EmbeddedServer
) -> None:
    valkey_server.freeze()
    calls = [valkey.call("PING") for _ in range(5)]
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(outcome, ValkeyAway)
    assert not valkey.available


async def test_the_first_call_is_not_given_the_time_of_the_handshake(
    valkey: Valkey, valkey_server: EmbeddedServer
) -> None:
    valkey_server.freeze()
    call = valkey.call("PING")
    await asyncio.wait([call], timeout=HANDSHAKE_TIMEOUT_S * 0.75)
    assert call.done() and isinstance(call.exception(), ValkeyAway)


async def test_late_answers_go_to_nobody_else(
    valkey: Valkey, valkey_server: EmbeddedServer
) -> None:
    valkey_server.freeze()
    with pytest.raises(ValkeyAway):
        await valkey.call("ECHO", "late")
    valkey_server.thaw()
    while True:
        try:
            answer = await valkey.call("ECHO", "on time")
        except ValkeyAway:
            await asyncio.sleep(0)  # the late answer is on its way
        else:
            break
    assert answer == b"on time"


@pytest.mark.failure("valkey", "frozen")
async def test_a_frozen_one_costs_each_caller_one_wait_at_most(
    valkey: Valkey, valkey_server: EmbeddedServer
) -> None:
    """The waits are those the client itself allowed: no clock of ours decides."""
    waits: list[float] = []
    loop = asyncio.get_running_loop()

    async def ask() -> None:
        try:
            waiting = valkey.call("PING")
        except ValkeyAway:
            return  # without a wait
        began = loop.time()
        with pytest.raises(ValkeyAway):
            await waiting
        waits.append(loop.time() - began)

    valkey_server.freeze()
    while valkey.available:
        await asyncio.gather(*(ask() for _ in range(3)))
        await asyncio.sleep(0)
    assert len(waits) == 3, "only those who came before the first time-out have waited"
    print(f"longest wait for a frozen Valkey: {max(waits) * 1000:.1f} ms")


@pytest.mark.failure("valkey", "slow")
async def test_one_that_answers_too_slowly_is_not_taken_up_again(
    log_lines: Callable[[], list[str]],
) -> None:
    """Or it would come and go for as long as it is slow."""
    async with Stand(b"+OK\r\n", silent=True) as stand:
        client = Valkey(stand.address)
        await client.start()
        for _ in range(3):
            await client._attempt()
        assert not client.available
        stand.silent = False
        await back(client)
        await client.stop()
    assert [line.count("valkey is") for line in log_lines()] == [1, 1]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_our_own_pause_is_not_held_against_it(
    valkey_url: str, run: Callable[[Coroutine[None, None, None]], None]
) -> None:
    async def pause() -> None:
        client = Valkey(valkey_url)
        await client.start()
        call = client.call("PING")
        await asyncio.sleep(0)  # it has left
        loop = asyncio.get_running_loop()
        until = loop.time() + 0.2
        while loop.time() < until:
            pass  # the loop is held up, far beyond the timeout
        assert await call == b"PONG"
        await client.stop()

    run(pause())


@pytest.mark.failure("valkey", "down")
async def test_killed_and_back_under_another_run_id(
    valkey: Valkey, valkey_server: EmbeddedServer
) -> None:
    generations: list[str] = []
    refused: list[bool] = []

    async def note(generation: str) -> None:
        generations.append(generation)
        refused.append(not valkey.available)

    valkey.on_connected.append(note)
    first = valkey.generation
    waiting = valkey.call("BLPOP", "nothing", 0)
    await asyncio.sleep(0)
    valkey_server.kill()
    with pytest.raises(ValkeyAway):
        await waiting
    with pytest.raises(ValkeyAway):
        await valkey.call("PING")
    valkey_server.start()
    await back(valkey)
    assert await valkey.call("FCALL", "answer", 0) == 42
    assert generations == [valkey.generation] and first not in ("", valkey.generation)
    assert refused == [True]


@pytest.mark.failure("valkey", "at-start")
async def test_away_at_start(valkey_url: str, valkey_server: EmbeddedServer) -> None:
    valkey_server.kill()
    client = Valkey(valkey_url)
    await client.start()
    with pytest.raises(ValkeyAway):
        client.call("PING")
    valkey_server.start()
    await back(client)
    assert await client.call("PING") == b"PONG"
    await client.stop()


@pytest.mark.failure("valkey", "wrong-password")
async def test_a_wrong_password_is_said_once(
    valkey: Valkey, valkey_url: str, log_lines: Callable[[], list[str]]
) -> None:
    await valkey.call("ACL", "SETUSER", "visitor", "on", ">right", "~*", "+@all")
    client = Valkey(f"{valkey_url}?username=visitor&password=wrong")
    await client.start()
    for _ in range(100):
        with pytest.raises(ValkeyAway, match="WRONGPASS"):
            client.call("PING")
    said = [line for line in log_lines() if "WRONGPASS" in line]
    assert len(said) == 1 and "valkey is away" in said[0]
    assert not any('wrong"' in line or "password=wrong" in line for line in log_lines())
    for _ in range(3):
        await client._attempt()
    assert len(log_lines()) == 1, "an attempt that is refused again is no news"
    await valkey.call("ACL", "SETUSER", "visitor", ">wrong")
    await back(client)
    assert await client.call("PING") == b"PONG"
    await client.stop()
    await valkey.call("ACL", "DELUSER", "visitor")


async def test_one_line_for_each_change(
    valkey: Valkey, valkey_server: EmbeddedServer, log_lines: Callable[[], list[str]]
) -> None:
    valkey_server.freeze()
    while valkey.available:
        for _ in range(50):
            with pytest.raises(ValkeyAway):
                await valkey.call("PING")
        await asyncio.sleep(0)
    valkey_server.thaw()
    await back(valkey)
    assert [line.count("valkey is") for line in log_lines()] == [1, 1]


async def test_a_refusing_observer_keeps_the_gate_closed(valkey_url: str) -> None:
    async def refuse(generation: str) -> None:
        raise ValkeyAway(f"not {generation}")

    client = Valkey(valkey_url)
    client.on_connected.append(refuse)
    await client.start()
    with pytest.raises(ValkeyAway, match=r"not [0-9a-f]{40}"):
        client.call("PING")
    client.on_connected.clear()
    await back(client)
    await client.stop()


class Stand:
    """A server that answers INFO as Valkey does and everything else with fixed bytes."""

    def __init__(self, answer: bytes, silent: bool = False) -> None:
        self.answer = answer
        self.silent = silent
        self.address = ""

    async def __aenter__(self) -> "Stand":
        self._writers: list[asyncio.StreamWriter] = []
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        while data := await reader.read(65536):
            if b"PING" in data:
                if not self.silent:
                    writer.write(b"+PONG\r\n")
            else:
                writer.write(b"$11\r\nrun_id:1234\r\n" if b"INFO" in data else self.answer)

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        await self._server.wait_closed()


@pytest.mark.failure("valkey", "corrupt")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak RESP"),
        (b"+OK\r\n+OK\r\n", "answers what was not asked"),
        (b"$5000\r\n" + b"x" * 4999, "too long"),
        (b"-READONLY You can't write against a read only replica.\r\n", "READONLY"),
        (b"-LOADING Valkey is loading the dataset in memory\r\n", "LOADING"),
    ],
)
async def test_a_server_of_no_use(
    answer: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "REPLY_BYTES_MAX", 4096)
    async with Stand(answer) as stand:
        client = Valkey(stand.address)
        await client.start()
        assert client.generation == "1234"
        call = client.call("GET", "key")
        await asyncio.wait([call], timeout=PATIENCE_S)
        if call.exception() is not None:
            with pytest.raises(ValkeyAway, match=reason):
                await call
        with pytest.raises(ValkeyAway, match=reason):
            client.call("GET", "key")
        await client.stop()


async def test_unsent_bytes_are_bounded(
    valkey: Valkey, valkey_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey_server.freeze()
    call = valkey.call("SET", "key", b"x" * (pipeline_module.UNSENT_BYTES_MAX + 1_000_000))
    await asyncio.sleep(0)  # it is written, and the kernel takes only some of it
    with pytest.raises(ValkeyAway, match="too many calls"):
        valkey.call("PING")
    with pytest.raises(ValkeyAway, match="no answer"):
        await call


@pytest.mark.failure("valkey", "refusing")
async def test_too_many_clients_are_waited_out(
    valkey: Valkey, valkey_url: str, log_lines: Callable[[], list[str]]
) -> None:
    await valkey.call("CONFIG", "SET", "maxclients", 1)
    try:
        client = Valkey(valkey_url)
        await client.start()
        for _ in range(3):
            with pytest.raises(ValkeyAway):
                client.call("PING")
            await client._attempt()
        assert not client.health.up and client.health.reason
        # Refused, or cut off before we could ask: a line for each of the two, not for each try.
        assert 1 <= len(log_lines()) <= 2, log_lines()
    finally:
        await valkey.call("CONFIG", "SET", "maxclients", 1000)
    await back(client)
    await client.stop()


@pytest.mark.failure("valkey", "full")
async def test_full_memory_is_an_outage_until_there_is_room(
    valkey: Valkey, valkey_url: str
) -> None:
    """Its windows cannot be written, so it is done without, instead of failing call by call."""
    policy = await valkey.call("CONFIG", "GET", "maxmemory-policy")
    assert isinstance(policy, list) and isinstance(policy[1], bytes)
    await valkey.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    other = Valkey(valkey_url)
    await other.start()
    await valkey.call("CONFIG", "SET", "maxmemory", 1)
    try:
        for _ in range(5):
            with pytest.raises(ValkeyAway, match="OOM"):
                await valkey.call("SET", "key", "value")
        assert not valkey.available and "OOM" in valkey.health.reason
        await valkey._attempt()
        assert not valkey.available, "it comes back when its functions can be loaded"
    finally:
        await other.call("CONFIG", "SET", "maxmemory", "256mb")
        await other.call("CONFIG", "SET", "maxmemory-policy", policy[1])
    await back(valkey)
    await valkey.call("SET", "key", "value")
    await other.stop()
