"""The data folder: what lies where, made private at first use."""

from dataclasses import dataclass
from pathlib import Path

from axon.app.embedded.folders import private_folder
from axon.app.instances import own_instance
from axon.app.settings import Settings
from axon.base import AxonError, Randomness

_DRAWN_BYTES = 6
"""48 random bits tell the journals of one installation apart."""


class JournalAmbiguous(AxonError):
    """Two journals have this process's name: move the one that is not its own out of the folder."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The paths of everything Axon keeps on this node."""

    root: Path

    @classmethod
    def of(cls, settings: Settings) -> "DataFolder":
        """Return the data folder of the settings as an absolute path, created if need be."""
        return cls(private_folder(Path(settings.data).expanduser().absolute()))

    @property
    def keyring(self) -> Path:
        """Return the file of the key-encryption keys."""
        return self.root / "keyring.json"

    @property
    def keyring_backup_note(self) -> Path:
        """Return the file that says when the keyring was last backed up."""
        return self.root / "keyring-backup.json"

    @property
    def keys_backup_note(self) -> Path:
        """Return the file that says when the data keys were last backed up."""
        return self.root / "keys-backup.json"

    @property
    def key_store(self) -> Path:
        """Return the SQLite file of the wrapped data keys."""
        return self.root / "keys.sqlite"

    @property
    def journals(self) -> Path:
        """Return the folder holding one folder for each journal of this node."""
        return self.root / "journal"

    @property
    def valkey_epoch(self) -> Path:
        """Return the file that says which of Valkey's windows may still be believed."""
        return self.root / "valkey-epoch"

    @property
    def accounts_snapshot(self) -> Path:
        """Return the file of the credentials known at the last look."""
        return self.root / "accounts.json"

    @property
    def prices_snapshot(self) -> Path:
        """Return the file of the prices known at the last look."""
        return self.root / "prices.json"

    @property
    def limits_snapshot(self) -> Path:
        """Return the file of the limits known at the last look."""
        return self.root / "limits.json"

    @property
    def flags_snapshot(self) -> Path:
        """Return the file of the flags known at the last look."""
        return self.root / "flags.json"

    @property
    def traces_places(self) -> Path:
        """Return the file that says how far the journals' turns have become traces."""
        return self.root / "traces.json"

    @property
    def development_key(self) -> Path:
        """Return the file holding the one key kept in clear."""
        return self.root / "development-key"

    @property
    def region(self) -> Path:
        """Return the file that says to which region everything in the folder belongs, if to one."""
        return self.root / "region"

    @property
    def lock(self) -> Path:
        """Return the file whose flock says that `axon up` runs here."""
        return self.root / "lock"

    @property
    def running(self) -> Path:
        """Return the file that describes the running installation."""
        return self.root / "up.json"

    @property
    def serving_note(self) -> Path:
        """Return the file that says which serving processes `axon up` ran last."""
        return self.root / "serving"

    @property
    def told_states(self) -> Path:
        """Return the folder in which processes without a door of their own say how they are."""
        return self.root / "states"

    @property
    def archive(self) -> Path:
        """Return the folder of cold conversations, where no other place is set."""
        return self.root / "archive"

    @property
    def logs(self) -> Path:
        """Return the folder of the processes' log lines."""
        return self.root / "logs"

    def journal_instance(self, settings: Settings, randomness: Randomness) -> str:
        """Return the name of this process's journal, drawn anew when it has none yet.

        PostgreSQL remembers by this name how far it has read, so a journal that was wiped must
        not come back under its old name. Raises JournalAmbiguous and PlaceWrong.
        """
        instance = own_instance(settings)
        found = []
        for folder in self.journals_named(instance):
            if any(folder.iterdir()):
                found.append(folder)
            else:
                folder.rmdir()
        if len(found) > 1:
            raise JournalAmbiguous(", ".join(sorted(folder.name for folder in found)))
        if found:
            return found[0].name
        return f"{randomness.bytes(_DRAWN_BYTES).hex()}-{instance}"

    def journals_named(self, instance: str) -> list[Path]:
        """Return the folders of the journals a process of this name has had: usually one."""
        drawn = "[0-9a-f]" * (2 * _DRAWN_BYTES)
        return list(self.journals.glob(f"{drawn}-{instance}"))
