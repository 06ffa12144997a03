"""Files of Axon's own that somebody else has written: told, never believed, never a traceback."""

import os
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axon.accounts.snapshot import Snapshot, read_snapshot, write_snapshot
from axon.app.settings import Settings, load_settings
from axon.app.settings.loading import SettingsWrong, variables_of
from axon.base import SystemRandomness
from axon.journal import Entry, JournalError, JournalReader
from axon.journal.segments import segment_path
from axon.sealing import Keyring, KeyringRefused, SealingError
from axon.sealing.key_file import KeyFile
from tests.fuzz.mutations import near
from tests.journal.journals import read_all, write_entries

QUICK = settings(max_examples=80, deadline=None, derandomize=True, database=None)
TOML = b"""[http]
port = 8080
[models.tiny]
context_window = 4096
[[models.tiny.upstreams]]
name = "a"
base_url = "http://127.0.0.1:9"
model = "m"
"""


def private(folder: str, name: str, data: bytes) -> Path:
    path = Path(folder, name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return path


@QUICK
@given(near((TOML, b"x = " + b"9" * 5000, b"a = " + b"[" * 3000)))
def test_a_settings_file_is_read_or_its_mistakes_are_told(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = private(folder, "axon.toml", data)
        with suppress(SettingsWrong):
            assert isinstance(load_settings(path, {}), Settings)


_TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30)


@QUICK
@given(
    st.dictionaries(
        st.one_of(st.sampled_from(sorted(variables_of())), _TEXT.map("AXON_".__add__)),
        st.one_of(_TEXT, st.integers().map(str), st.sampled_from(["true", "nan", "1e999", "[]"])),
        max_size=4,
    )
)
def test_variables_are_read_or_their_mistakes_are_told(variables: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        nothing = private(folder, "axon.toml", b"")
        variables.pop("AXON_CONFIG", None)
        with suppress(SettingsWrong):
            assert isinstance(load_settings(nothing, variables), Settings)


def _keyring() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Keyring.open(Path(folder, "keyring.json"), SystemRandomness())
        return Path(folder, "keyring.json").read_bytes()


@QUICK
@given(near((_keyring(), _keyring().replace(b"kek_", b"\xff"))))
def test_a_keyring_is_read_or_refused_and_never_replaced(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = private(folder, "keyring.json", data)
        try:
            keyring = Keyring.open(path, SystemRandomness())
        except KeyringRefused:
            pass
        else:
            assert keyring.unwrap(keyring.wrap(bytes(32))) == bytes(32)
        assert path.read_bytes() == data


def _snapshot() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "accounts.json")
        write_snapshot(path, Snapshot(synced_us=1, seen=2, credentials=()))
        return path.read_bytes()


@QUICK
@given(near((_snapshot(),)))
@pytest.mark.failure("snapshot", "corrupt")
def test_a_snapshot_is_read_or_is_none(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = read_snapshot(private(folder, "accounts.json", data))
        assert found is None or isinstance(found, Snapshot)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(near((b"SQLite format 3\0" + bytes(4080),)))
def test_a_key_store_that_is_none_is_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = private(folder, "keys.sqlite", data)
        with suppress(SealingError):
            KeyFile(path, SystemRandomness()).close()


@pytest.mark.failure("journal-disk", "corrupt")
async def test_a_journal_on_the_disk_never_gives_another_entry(tmp_path: Path) -> None:
    await write_entries(tmp_path, [b"%d" % number * 9 for number in range(12)])
    whole = read_all(tmp_path)
    path = segment_path(tmp_path, whole[5].location.segment)
    data = path.read_bytes()

    @QUICK
    @given(near((data,)))
    def read(changed: bytes) -> None:
        path.write_bytes(changed)
        entries = read_what_can_be(tmp_path)
        assert entries == whole[: len(entries)]
        assert changed != data or entries == whole

    read()


def read_what_can_be(directory: Path) -> list[Entry]:
    """Return the entries up to the first that cannot be read."""
    entries: list[Entry] = []
    with suppress(JournalError):
        reader = JournalReader(directory)
        with closing(reader), suppress(JournalError):
            while page := reader.read(len(entries), 1, 1 << 20):
                entries += page
    return entries
