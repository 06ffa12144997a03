import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.app.embedded import EmbeddedServer
from axon.stores import Valkey, ValkeyAway, ValkeyRefused
from axon.stores.valkey_pipeline import CALLS_IN_FLIGHT_MAX
from tests.stores.tls_proxy import make_certificate, tls_proxy

LIBRARY = "#!lua name=axon_test\nredis.register_function('answer', function() return {} end)"


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    client = Valkey(valkey_url)
    await client.start()
    yield client
    await client.stop()


async def test_answers_of_every_kind(valkey: Valkey) -> None:
    assert await valkey.call("SET", "key", b"\x00\r\n\xff") == b"OK"
    assert await valkey.call("GET", b"key") == b"\x00\r\n\xff"
    assert await valkey.call("GET", "nothing") is None
    assert await valkey.call("INCRBY", "number", 41) == 41
    assert await valkey.call("MGET", "number", "nothing") == [b"41", None]


async def test_calls_of_one_tick_leave_in_one_write(valkey: Valkey) -> None:
    async def reads() -> int:
        info = await valkey.call("INFO", "stats")
        assert isinstance(info, bytes)
        return int(info.partition(b"total_reads_processed:")[2].partition(b"\r")[0])

    before = await reads()
    answers = await asyncio.gather(*(valkey.call("INCR", "n") for _ in range(200)))
    assert answers == list(range(1, 201))
    assert await reads() - before == 2  # the calls, and this question


async def test_a_wrong_command_fails_alone(valkey: Valkey) -> None:
    wrong, right = valkey.call("LPOP"), valkey.call("PING")
    with pytest.raises(ValkeyRefused, match="wrong number of arguments"):
        await wrong
    assert await right == b"PONG"
    with pytest.raises(TypeError):
        valkey.call("SET", object())  # type: ignore[arg-type]
    assert await valkey.call("PING") == b"PONG"


async def test_a_cancelled_call_takes_its_answer_with_it(valkey: Valkey) -> None:
    first, second = valkey.call("ECHO", "first"), valkey.call("ECHO", "second")
    first.cancel()
    assert await second == b"second"
    assert valkey.available


async def test_calls_in_flight_are_bounded(valkey: Valkey) -> None:
    calls = [valkey.call("PING") for _ in range(CALLS_IN_FLIGHT_MAX)]
    with pytest.raises(ValkeyAway, match="too many calls"):
        valkey.call("PING")
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert len(done) == CALLS_IN_FLIGHT_MAX
    await asyncio.wait_for(valkey.wait_until_available(), 10)


async def test_functions_are_there_before_any_call(valkey_url: str) -> None:
    client = Valkey(valkey_url)
    client.load_functions("axon_test", LIBRARY.format("7"))
    await client.start()
    assert await client.call("FCALL", "answer", 0) == 7
    await client.stop()
    client.load_functions("axon_test", LIBRARY.format("8"))
    await client.start()
    assert await client.call("FCALL", "answer", 0) == 8
    await client.stop()


async def test_lost_functions_come_back(valkey_url: str) -> None:
    client = Valkey(valkey_url)
    client.load_functions("axon_test", LIBRARY.format("7"))
    await client.start()
    await client.call("FUNCTION", "FLUSH")
    with pytest.raises(ValkeyAway, match="Function not found"):
        await client.call("FCALL", "answer", 0)
    await asyncio.wait_for(client.wait_until_available(), 10)
    assert await client.call("FCALL", "answer", 0) == 7
    await client.stop()


async def test_a_library_that_is_refused_makes_valkey_unavailable(valkey_url: str) -> None:
    client = Valkey(valkey_url)
    client.load_functions("axon_test", "#!lua name=axon_test\nthis is no program")
    await client.start()
    with pytest.raises(ValkeyAway, match="Error compiling function"):
        client.call("PING")
    await client.stop()


async def test_full_memory_is_away_but_keeps_the_connection(valkey: Valkey) -> None:
    await valkey.call("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(ValkeyAway, match="OOM"):
            await valkey.call("SET", "key", "value")
        assert valkey.available
        assert await valkey.call("PING") == b"PONG"
    finally:
        await valkey.call("CONFIG", "SET", "maxmemory", "256mb")


async def test_login_and_database(valkey: Valkey, valkey_url: str) -> None:
    await valkey.call("ACL", "SETUSER", "visitor", "on", ">open sesame", "~*", "+@all")
    visitor = Valkey(f"{valkey_url}?username=visitor&password=open%20sesame&db=3")
    await visitor.start()
    assert await visitor.call("ACL", "WHOAMI") == b"visitor"
    await visitor.call("SET", "here", "yes")
    assert await valkey.call("GET", "here") is None
    await visitor.stop()
    await valkey.call("ACL", "DELUSER", "visitor")


async def test_tls(valkey_server: EmbeddedServer, valkey_url: str, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    async with tls_proxy(valkey_url.removeprefix("unix://"), certificate) as port:
        client = Valkey(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate[0]}")
        await client.start()
        assert await client.call("PING") == b"PONG"
        await client.stop()
        stranger = Valkey(f"rediss://127.0.0.1:{port}")
        await stranger.start()
        with pytest.raises(ValkeyAway, match="certificate verify failed"):
            stranger.call("PING")
        await stranger.stop()


async def test_a_stopped_client_refuses(valkey: Valkey) -> None:
    waiting = valkey.call("BLPOP", "nothing", 1)
    await valkey.stop()
    with pytest.raises(ValkeyAway, match="stopped"):
        await waiting
    with pytest.raises(ValkeyAway):
        valkey.call("PING")
