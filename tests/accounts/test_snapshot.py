import stat
from pathlib import Path

import pytest

from axon.accounts import snapshot as module
from axon.accounts.replica import _SAVES_APART_S
from axon.accounts.snapshot import Snapshot, read_snapshot, write_snapshot
from axon.telemetry import render_metrics
from tests.accounts.scene import STALENESS_S, Office, Scene, bearer

EMPTY = Snapshot(synced_us=1, seen=2, credentials=())


def failures() -> float:
    for line in render_metrics().decode().splitlines():
        if line.startswith("axon_accounts_snapshot_failures_total"):
            return float(line.split()[1])
    raise AssertionError("the failure counter is not rendered")


async def test_the_snapshot_is_private_and_holds_no_secret(scene: Scene, office: Office) -> None:
    created = await office.key(acts_for_users=True)
    accounts = await scene.process()
    parent = await accounts.verify(bearer(created.secret))
    user_pass = accounts.mint_user_pass(parent, "bob", 60)
    await accounts.verify(bearer(user_pass.text))
    await office.key()
    await accounts.refresh()
    path = scene.folder / "accounts.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_text()
    assert created.key.credential_id in content
    assert created.secret.removeprefix("sk-axon-") not in content
    assert "sk-axon" not in content
    assert "up-axon" not in content
    assert sorted(file.name for file in scene.folder.glob("accounts*")) == ["accounts.json"]


def saved(scene: Scene) -> Snapshot:
    snapshot = read_snapshot(scene.folder / "accounts.json")
    assert snapshot is not None
    return snapshot


async def test_a_change_is_saved_at_once_and_the_next_ones_together(
    scene: Scene, office: Office
) -> None:
    accounts = await scene.process()
    first = saved(scene)
    assert first.credentials == ()
    scene.clock.turn(_SAVES_APART_S)
    created = await office.key()
    await accounts.refresh()
    second = saved(scene)
    assert second.synced_us == scene.clock.now_us()
    assert [one.revoked_us for one in second.credentials] == [0]
    await office.admin.revoke_key(created.key.credential_id)
    await accounts.refresh()
    assert saved(scene) == second
    scene.clock.turn(_SAVES_APART_S)
    await accounts.refresh()
    assert [one.revoked_us > 0 for one in saved(scene).credentials] == [True]


async def test_without_a_change_it_is_saved_now_and_then(scene: Scene, office: Office) -> None:
    accounts = await scene.process()
    first = saved(scene)
    scene.clock.turn(STALENESS_S / 20 - 1)
    await accounts.refresh()
    assert saved(scene) == first
    scene.clock.turn(1.0)
    await accounts.refresh()
    assert saved(scene).synced_us == scene.clock.now_us()
    assert saved(scene).seen == first.seen


async def test_a_process_that_stops_saves_what_is_unsaved(scene: Scene, office: Office) -> None:
    accounts = await scene.process()
    created = await office.key()
    await accounts.refresh()
    assert saved(scene).credentials == ()
    await accounts.stop()
    assert [one.credential_id for one in saved(scene).credentials] == [created.key.credential_id]


@pytest.mark.failure("snapshot", "refusing")
async def test_a_disk_that_refuses_costs_the_snapshot_and_nothing_else(
    scene: Scene, office: Office
) -> None:
    created = await office.key()
    before = failures()
    accounts = await scene.process(scene.options("no-such-folder/accounts.json"))
    assert failures() == before + 1
    await accounts.verify(bearer(created.secret))


@pytest.mark.failure("snapshot", "corrupt")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\n",
        b"[]",
        b"\xff",
        b'{"format":2,"synced_us":1,"seen":2,"credentials":0}',
        b'{"format":1,"synced_us":1,"seen":2,"credentials":1}',
        b'{"format":1,"synced_us":1,"seen":2,"credentials":1}\n{"tier":"\xff"}',
        b'{"later":' + b"[" * 100_000,
    ],
    ids=range(9),
)
def test_an_unreadable_snapshot_reads_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "accounts.json"
    assert read_snapshot(path) is None
    path.write_bytes(content)
    assert read_snapshot(path) is None
    write_snapshot(path, EMPTY)
    assert read_snapshot(path) == EMPTY


def test_a_file_beyond_the_bound_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "accounts.json"
    write_snapshot(path, EMPTY)
    monkeypatch.setattr(module, "SNAPSHOT_BYTES_MAX", path.stat().st_size - 1)
    assert read_snapshot(path) is None


@pytest.mark.failure("snapshot", "full")
def test_a_failed_write_leaves_the_old_snapshot_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    path.mkdir()
    with pytest.raises(OSError, match=r"accounts\.json"):
        write_snapshot(path, EMPTY)
    assert list(tmp_path.iterdir()) == [path]
