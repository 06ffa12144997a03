import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from axon.base import IDENTITY_BYTES, SystemRandomness
from axon.sealing import Keyring, KeyringRefused, WrappedBytes

RANDOM = SystemRandomness()


def test_is_created_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    first, second = Keyring.open(path, RANDOM), Keyring.open(path, RANDOM)
    assert first.identity == second.identity and len(first.identity) == IDENTITY_BYTES
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["keyring.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o666])
def test_looser_permissions_are_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keyring.json"
    Keyring.open(path, RANDOM)
    path.chmod(mode)
    with pytest.raises(KeyringRefused, match="open to others"):
        Keyring.open(path, RANDOM)
    path.chmod(0o400)
    Keyring.open(path, RANDOM)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    Keyring.open(path, RANDOM)
    os.chown(path, 12345, -1)
    with pytest.raises(KeyringRefused, match="another user"):
        Keyring.open(path, RANDOM)


def test_a_damaged_file_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    Keyring.open(path, RANDOM)
    sound = json.loads(path.read_text())
    for damaged in (
        "",
        "{}",
        json.dumps(sound)[:-5],
        json.dumps(sound | {"format": 2}),
        json.dumps(sound | {"identity": "c2hvcnQ="}),
        json.dumps(sound | {"current_kek": "kek_other"}),
        json.dumps(sound | {"keks": {sound["current_kek"]: "c2hvcnQ="}}),
    ):
        path.write_text(damaged)
        with pytest.raises(KeyringRefused):
            Keyring.open(path, RANDOM)
        assert path.read_text() == damaged


def test_derives_one_secret_for_each_purpose(tmp_path: Path) -> None:
    keyring = Keyring.open(tmp_path / "one", RANDOM)
    again = Keyring.open(tmp_path / "one", RANDOM)
    other = Keyring.open(tmp_path / "other", RANDOM)
    assert keyring.derive("passes") == again.derive("passes")
    secrets = {keyring.derive("passes"), keyring.derive("keys"), other.derive("passes")}
    assert len(secrets | {keyring.identity}) == 4 and {len(secret) for secret in secrets} == {32}


def test_wraps_and_unwraps(tmp_path: Path) -> None:
    keyring, other = (Keyring.open(tmp_path / name, RANDOM) for name in "ab")
    key = RANDOM.bytes(32)
    wrapped = keyring.wrap(key)
    assert key not in wrapped.data and keyring.unwrap(wrapped) == key
    with pytest.raises(KeyringRefused, match=wrapped.kek_id):
        other.unwrap(wrapped)
    damaged = WrappedBytes(wrapped.kek_id, wrapped.data[:-1] + bytes([wrapped.data[-1] ^ 1]))
    with pytest.raises(KeyringRefused):
        keyring.unwrap(damaged)


OPENER = """
import sys
from pathlib import Path
from axon.base import SystemRandomness
from axon.sealing import Keyring
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
sys.stdout.write(Keyring.open(Path(sys.argv[1]), SystemRandomness()).identity.hex())
"""


def test_processes_that_start_together_share_one(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(4)
    ]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    identities = {child.communicate(timeout=60)[0] for child in children}
    assert identities == {Keyring.open(path, RANDOM).identity.hex()}
    assert os.listdir(tmp_path) == ["keyring.json"]
