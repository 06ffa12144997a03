"""The object store keeps one contract, in a local folder, in memory and in a real S3."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from axon.stores import (
    BadAddress,
    ObjectMissing,
    Objects,
    ObjectsAddress,
    ObjectsAway,
    ObjectsRefused,
)
from axon.stores.objects import CALLS_AT_ONCE, FAILURES_TO_OPEN, OBJECT_BYTES_MAX
from tests.stores.s3_server import STARTS_WITHIN_S, s3_server

PATH = "2026/11/22/eu/0123.zst"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectsAddress]:
    """A bucket of a server that takes writes."""
    with s3_server(tmp_path_factory.mktemp("s3")) as address:
        asyncio.run(_until_it_takes_writes(address))
        yield address


async def _until_it_takes_writes(address: ObjectsAddress) -> None:
    end = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < end:
        try:
            await Objects(address).write("first", b"x")
        except ObjectsAway:
            await asyncio.sleep(0.1)
        else:
            return
    raise AssertionError("it takes no writes")


@pytest.fixture(params=["folder", "memory", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectsAddress:
    if request.param == "s3":
        return request.getfixturevalue("s3")  # type: ignore[no-any-return]
    return ObjectsAddress(url="memory:" if request.param == "memory" else str(tmp_path / "new"))


async def test_every_store_keeps_the_contract(address: ObjectsAddress) -> None:
    objects = Objects(address)
    await objects.write(PATH, b"hello world")
    assert await objects.read(PATH, 0, 11) == b"hello world"
    assert await objects.read(PATH, 3, 5) == b"lo wo"
    await objects.write(PATH, b"something else")
    assert await objects.read(PATH, 0, 11) == b"hello world", "a name that is taken stays"
    for start, length in ((0, 12), (11, 1), (400, 5)):
        with pytest.raises(ObjectMissing):
            await objects.read(PATH, start, length)
    with pytest.raises(ObjectMissing):
        await objects.read("2026/nothing", 0, 1)
    await objects.check()
    await objects.delete(PATH)
    await objects.delete(PATH)
    with pytest.raises(ObjectMissing):
        await objects.read(PATH, 0, 1)
    assert objects.health.up, "what is missing says nothing of the store"


@pytest.mark.failure("archive", "wrong-password")
async def test_a_wrong_password_is_told_apart(s3: ObjectsAddress) -> None:
    for wrong in (
        replace(s3, secret_access_key="another-secret"),
        replace(s3, access_key_id="another-key"),
    ):
        objects = Objects(wrong)
        with pytest.raises(ObjectsRefused):
            await objects.write(PATH, b"x")
        with pytest.raises(ObjectsRefused):
            await objects.read("first", 0, 1)
        with pytest.raises(ObjectsRefused):
            await objects.check()
        assert not objects.health.up
        with pytest.raises(ObjectsAway):  # is not asked again at once
            await objects.read("first", 0, 1)
    await Objects(s3).check()


async def test_a_folder_that_cannot_be_written_is_refused_or_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    below = Objects(ObjectsAddress(url=str(tmp_path / "file" / "below")))
    with pytest.raises(ObjectsAway):
        await below.check()
    (tmp_path / "file").unlink()
    await below.check()
    for text in ("relative/path", "ftp://somewhere", "", "s3://"):
        with pytest.raises(BadAddress):
            Objects(ObjectsAddress(url=text))
    objects = Objects(ObjectsAddress(url=str(tmp_path / "archive")))
    await objects.check()
    (tmp_path / "archive" / "2026").write_text("in the way")
    with pytest.raises(ObjectsAway):
        await objects.write(PATH, b"x")


async def test_calls_and_bytes_are_bounded(tmp_path: Path) -> None:
    objects = Objects(ObjectsAddress(url="memory:"), timeout_s=0.05)
    with pytest.raises(ValueError, match="more than an object"):
        await objects.read(PATH, 0, OBJECT_BYTES_MAX + 1)
    for _ in range(CALLS_AT_ONCE):
        await objects._free.acquire()
    with pytest.raises(ObjectsAway, match="no answer"):
        await objects.check()


async def test_a_store_that_is_away_is_left_alone() -> None:
    address = ObjectsAddress(
        url="s3://axon", endpoint="http://127.0.0.1:1", access_key_id="a", secret_access_key="b"
    )
    objects = Objects(address)
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(ObjectsAway):
            await objects.check()
    assert not objects.health.up and objects.health.reason


async def test_that_it_is_back_is_found_without_anybody_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axon.stores.objects.PROBE_EVERY_S", 0.01)
    objects = Objects(ObjectsAddress(url=str(tmp_path / "archive")))
    (tmp_path / "archive").write_text("in the way")
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(ObjectsAway):
            await objects.write(PATH, b"x")
    looking = asyncio.create_task(objects.keep_looking())
    await asyncio.sleep(0)
    (tmp_path / "archive").unlink()
    (tmp_path / "archive").mkdir()
    while not objects.health.up:
        await asyncio.sleep(0.005)
    looking.cancel()
    await objects.write(PATH, b"x")
