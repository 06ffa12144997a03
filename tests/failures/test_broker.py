"""The queue and the bus in Valkey: not there at the start, without memory, with a wrong password.

A gateway that cannot use them does the work itself, and sends jobs to workers again once it can.
"""

import pytest

from axon.app.embedded import EmbeddedServer
from axon.inference import JobDone
from axon.stores import Valkey
from tests.fake_upstream import FakeUpstream
from tests.inference.broker_scene import BrokerScene
from tests.inference.ends import until
from tests.inference.scene import at, read


@pytest.mark.failure("queue", "at-start")
@pytest.mark.failure("bus", "at-start")
async def test_away_at_the_start(valkey_server: EmbeddedServer, valkey_url: str) -> None:
    async with FakeUpstream() as fake:
        valkey_server.kill()
        async with BrokerScene(valkey_url, at(fake)) as scene:
            gateway = await scene.gateway(wait=False)
            assert isinstance((await read(scene.submit(gateway, "here")))[-1], JobDone)
            assert not gateway.dispatcher.available
            valkey_server.start()
            await until(lambda: gateway.dispatcher.available)
            await scene.worker()
            assert isinstance((await read(scene.submit(gateway, "there")))[-1], JobDone)
            assert fake.requests == 2


@pytest.mark.failure("queue", "refusing")
@pytest.mark.failure("bus", "refusing")
async def test_a_valkey_without_memory(valkey_url: str) -> None:
    """It refuses the job, so the gateway runs it; nothing that was asked for is lost or doubled."""
    admin = Valkey(valkey_url)
    await admin.start()
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        await scene.worker()
        await admin.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await admin.call("CONFIG", "SET", "maxmemory", 1)
        try:
            for number in range(8):
                outputs = await read(scene.submit(gateway, f"refused {number}"))
                assert isinstance(outputs[-1], JobDone)
        finally:
            await admin.call("CONFIG", "SET", "maxmemory", "256mb")
            await admin.call("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
        assert fake.requests == 8
        await until(lambda: gateway.dispatcher.available)
        assert isinstance((await read(scene.submit(gateway, "room again")))[-1], JobDone)
    await admin.stop()


@pytest.mark.failure("queue", "wrong-password")
@pytest.mark.failure("bus", "wrong-password")
async def test_a_wrong_password(valkey_url: str) -> None:
    admin = Valkey(valkey_url)
    await admin.start()
    await admin.call("ACL", "SETUSER", "broker", "on", ">right", "~*", "&*", "+@all")
    url = f"{valkey_url}?username=broker&password=wrong"
    async with FakeUpstream() as fake, BrokerScene(url, at(fake)) as scene:
        gateway = await scene.gateway(wait=False)
        assert isinstance((await read(scene.submit(gateway, "here")))[-1], JobDone)
        assert not gateway.dispatcher.available
        await admin.call("ACL", "SETUSER", "broker", ">wrong")
        await until(lambda: gateway.dispatcher.available)
    await admin.call("ACL", "DELUSER", "broker")
    await admin.stop()
