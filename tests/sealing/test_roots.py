"""One contract for every root: the keyring, Vault's transit engine, AWS KMS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from axon.base import SystemClock, SystemRandomness
from axon.sealing import (
    KeyRefused,
    Keyring,
    KeyringRefused,
    KeyRootAway,
    KeyRootRefused,
    SealingError,
)
from axon.sealing.aws_root import AwsOptions, AwsRoot
from axon.sealing.aws_signing import AwsCredentials
from axon.sealing.guarded_root import GuardedRoot
from axon.sealing.local_root import LocalRoot
from axon.sealing.root import KeyContext, RootKey
from axon.sealing.root_http import RootHttp
from axon.sealing.vault_root import VaultOptions, VaultRoot
from axon.stores import Breaker
from tests.sealing.root_servers import CREDENTIALS, FakeKms, FakeVault, RootServer

RANDOM = SystemRandomness()
SECRET = bytes(range(32))
PLACE = KeyContext("eu", "org_1", "okek_1")
TIMEOUT_S = 5.0


@dataclass
class Scene:
    """A root, the server behind it, and the same root for somebody with wrong credentials."""

    root: RootKey
    server: RootServer | None = None
    stranger: RootKey | None = None
    hurried: RootKey | None = None
    """The same with little time."""


def vault_root(url: str, token: str, timeout_s: float = TIMEOUT_S) -> VaultRoot:
    http = RootHttp(url, timeout_s)
    return VaultRoot(VaultOptions(http=http, token=lambda: token, key="axon", namespace="team"))


def aws_root(url: str, credentials: AwsCredentials, timeout_s: float = TIMEOUT_S) -> AwsRoot:
    return AwsRoot(
        AwsOptions(
            http=RootHttp(url, timeout_s),
            credentials=lambda: credentials,
            key="alias/axon",
            region="eu-central-1",
            clock=SystemClock(),
        )
    )


def local(_: AsyncExitStack, folder: Path) -> Scene:
    return Scene(LocalRoot(Keyring.open(folder / "keyring.json", RANDOM), RANDOM))


def vault(stack: AsyncExitStack, _: Path) -> Scene:
    server = FakeVault()
    url = stack.enter_context(server.serving())
    right, wrong = vault_root(url, "hvs.right"), vault_root(url, "hvs.stolen")
    return Scene(right, server, wrong, vault_root(url, "hvs.right", 0.1))


def aws(stack: AsyncExitStack, _: Path) -> Scene:
    server = FakeKms()
    url = stack.enter_context(server.serving())
    wrong = replace(server.credentials, secret_access_key="stolen")
    return Scene(
        aws_root(url, server.credentials),
        server,
        aws_root(url, wrong),
        aws_root(url, server.credentials, 0.1),
    )


Maker = Callable[[AsyncExitStack, Path], Scene]


@pytest.fixture(params=[local, vault, aws])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    maker: Maker = request.param
    async with AsyncExitStack() as stack:
        yield maker(stack, tmp_path)


@pytest.fixture(params=[vault, aws])
async def remote(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    maker: Maker = request.param
    async with AsyncExitStack() as stack:
        yield maker(stack, tmp_path)


async def test_a_key_comes_back_as_it_was(scene: Scene) -> None:
    root = scene.root
    wrapped = await root.wrap(SECRET, PLACE)
    assert SECRET not in wrapped.data and wrapped.root == root.name and root.opens(wrapped.root)
    assert await root.unwrap(wrapped, PLACE) == SECRET
    assert (await root.wrap(SECRET, PLACE)).data != wrapped.data, "never the same twice"


async def test_a_key_opens_for_its_own_place_only(scene: Scene) -> None:
    wrapped = await scene.root.wrap(SECRET, PLACE)
    for other in (
        PLACE._replace(region="us"),
        PLACE._replace(org_id="org_2"),
        PLACE._replace(org_id=""),
        PLACE._replace(kek_id="okek_2"),
    ):
        with pytest.raises(KeyRefused):
            await scene.root.unwrap(wrapped, other)
        with pytest.raises(KeyRefused):
            await scene.root.rewrap(wrapped, other)


async def test_a_damaged_key_is_refused(scene: Scene) -> None:
    wrapped = await scene.root.wrap(SECRET, PLACE)
    last = wrapped.data[-8] ^ 1
    for data in (wrapped.data[:-8] + bytes([last]) + wrapped.data[-7:], wrapped.data[:9], b""):
        with pytest.raises(KeyRefused):
            await scene.root.unwrap(wrapped._replace(data=data), PLACE)


async def test_older_versions_open_what_they_wrapped(scene: Scene) -> None:
    root = scene.root
    first, before = await root.wrap(SECRET, PLACE), await root.version()
    await root.rotate()
    again = await root.rewrap(first, PLACE)
    assert again.data != first.data
    assert [await root.unwrap(each, PLACE) for each in (first, again)] == [SECRET, SECRET]
    if before:  # AWS tells none
        assert (first.version, again.version) == (before, await root.version())
        assert first.version != again.version


async def test_what_vault_does_not_open_any_more_was_rewrapped(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        scene = vault(stack, tmp_path)
        assert isinstance(scene.server, FakeVault)
        first = await scene.root.wrap(SECRET, PLACE)
        await scene.root.rotate()
        again = await scene.root.rewrap(first, PLACE)
        scene.server.min_version = 2
        assert await scene.root.unwrap(again, PLACE) == SECRET
        with pytest.raises(KeyRefused, match="disallowed"):
            await scene.root.unwrap(first, PLACE)


@pytest.mark.failure("key-root", "wrong-password")
async def test_who_may_not_is_told_so(remote: Scene) -> None:
    assert remote.stranger is not None
    wrapped = await remote.root.wrap(SECRET, PLACE)
    for asked in (remote.stranger.wrap(SECRET, PLACE), remote.stranger.unwrap(wrapped, PLACE)):
        with pytest.raises(KeyRootRefused) as refused:
            await asked
        assert "stolen" not in str(refused.value)


@pytest.mark.failure("key-root", "refusing")
@pytest.mark.parametrize("fault", ["failing", "throttling"])
async def test_what_passes_by_itself_counts_as_away(remote: Scene, fault: str) -> None:
    assert remote.server is not None
    wrapped = await remote.root.wrap(SECRET, PLACE)
    remote.server.fault = fault
    with pytest.raises(KeyRootAway):
        await remote.root.unwrap(wrapped, PLACE)
    remote.server.fault = ""
    assert await remote.root.unwrap(wrapped, PLACE) == SECRET


@pytest.mark.failure("key-root", "down")
async def test_where_nobody_listens_it_is_away(tmp_path: Path) -> None:
    with FakeVault().serving() as url:
        pass
    for root in (vault_root(url, "hvs.right"), aws_root(url, CREDENTIALS)):
        with pytest.raises(KeyRootAway, match="ConnectionRefusedError"):
            await root.wrap(SECRET, PLACE)


@pytest.mark.parametrize("url", ["vault.internal:8200", "ftp://vault", "http://vault:port"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(KeyringRefused):
        RootHttp(url, TIMEOUT_S)


@pytest.mark.failure("key-root", "corrupt")
@pytest.mark.parametrize("fault", ["garbage", "huge"])
async def test_what_is_no_answer_counts_as_none(remote: Scene, fault: str) -> None:
    assert remote.server is not None
    remote.server.fault = fault
    with pytest.raises(KeyRootAway):
        await remote.root.wrap(SECRET, PLACE)


@pytest.mark.failure("key-root", "frozen")
@pytest.mark.failure("key-root", "slow")
@pytest.mark.parametrize("fault", ["frozen", "dripping"])
async def test_one_that_does_not_end_is_not_waited_for(remote: Scene, fault: str) -> None:
    assert remote.server is not None and remote.hurried is not None
    remote.server.fault = fault
    asked = (remote.hurried.wrap(SECRET, PLACE) for _ in range(12))  # more than there are threads
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [KeyRootAway] * 12
    remote.server.fault = ""
    remote.server.released.set()
    assert (await remote.root.wrap(SECRET, PLACE)).root == remote.root.name


async def test_who_is_away_is_left_alone(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        scene = vault(stack, tmp_path)
        assert scene.server is not None
        gate = Breaker("key-root", failures_to_open=2, probe_every_s=3600)
        guarded = GuardedRoot(scene.root, gate, TIMEOUT_S)
        wrapped = await guarded.wrap(SECRET, PLACE)
        for _ in range(3):  # a wrong key is no reason to stop asking
            with pytest.raises(KeyRefused):
                await guarded.unwrap(wrapped, PLACE._replace(org_id="org_2"))
        assert gate.reason == ""
        scene.server.fault = "failing"
        for _ in range(2):
            with pytest.raises(KeyRootAway):
                await guarded.unwrap(wrapped, PLACE)
        assert "sealed" in gate.reason
        scene.server.fault = ""
        asked = len(scene.server.calls)
        with pytest.raises(KeyRootAway, match="sealed"):
            await guarded.unwrap(wrapped, PLACE)
        assert len(scene.server.calls) == asked, "until it is time for another try"
        gate._probe_at = 0.0
        assert await guarded.unwrap(wrapped, PLACE) == SECRET
        assert gate.health.up


async def test_two_roots_do_not_open_each_others_keys(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        roots = [maker(stack, tmp_path).root for maker in (local, vault, aws)]
        for root in roots:
            wrapped = await root.wrap(SECRET, PLACE)
            assert [one for one in roots if one.opens(wrapped.root)] == [root]
            for other in roots:
                if other is not root:
                    with pytest.raises(SealingError):
                        await other.unwrap(wrapped, PLACE)
