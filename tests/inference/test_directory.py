import json

from axon.inference import Engines, ModelDirectory, ModelTable, Upstream
from axon.inference.directory import FRESH_S, NAMES_MAX
from tests.fake_upstream import FakeUpstream
from tests.inference.raw_server import RawServer, whole
from tests.inference.scene import HandClock, at, model_of

OWN = Upstream(name="own", base_url="http://127.0.0.1:9", model="tiny")


def directory_of(wildcard: Upstream | None, clock: HandClock) -> tuple[ModelDirectory, Engines]:
    behind = model_of(wildcard, alias="*") if wildcard else None
    table = ModelTable((model_of(OWN, alias="mine"),), behind)
    engines = Engines(table.served(), clock)
    return ModelDirectory(table, engines, clock), engines


async def test_without_a_wildcard_the_table_is_all() -> None:
    directory, engines = directory_of(None, HandClock())
    assert await directory.names() == ("mine",)
    await engines.close()


async def test_what_the_wildcard_offers_is_listed_too_and_kept_for_a_while() -> None:
    clock = HandClock()
    async with FakeUpstream() as fake:
        directory, engines = directory_of(at(fake), clock)
        for _ in range(3):
            assert await directory.names() == ("mine", "fake-model")
        assert fake.requests == 1
        assert fake.ledger[0].path == "/v1/models"
        clock.now += FRESH_S + 1
        await directory.names()
        assert fake.requests == 2
        await fake.stop()
        clock.now += FRESH_S + 1
        assert await directory.names() == ("mine", "fake-model"), "the last list stands"
        await engines.close()


async def test_a_list_has_a_bound_and_nonsense_is_none() -> None:
    clock = HandClock()
    many = whole(json.dumps({"data": [{"id": str(n)} for n in range(NAMES_MAX + 5)]}))
    async with RawServer(whole("[]"), whole("{}", "500 No"), many, close=False) as server:
        directory, engines = directory_of(
            Upstream(name="raw", base_url=server.origin, model="any"), clock
        )
        for expected in (1, 1, NAMES_MAX + 1):
            assert len(await directory.names()) == expected
            clock.now += FRESH_S + 1
        await engines.close()
