"""The data folder: what lies where, made private at first use."""

from dataclasses import dataclass
from pathlib import Path

from axon.app.embedded.folders import private_folder
from axon.app.settings import Settings
from axon.base import Randomness

_NODE_ID_BYTES = 6
"""48 random bits tell the nodes of one installation apart."""


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
    def development_key(self) -> Path:
        """Return the file holding the one key kept in clear."""
        return self.root / "development-key"

    @property
    def lock(self) -> Path:
        """Return the file whose flock says that `axon up` runs here."""
        return self.root / "lock"

    @property
    def running(self) -> Path:
        """Return the file that describes the running installation."""
        return self.root / "up.json"

    @property
    def logs(self) -> Path:
        """Return the folder of the processes' log lines."""
        return self.root / "logs"

    def node_id(self, randomness: Randomness) -> str:
        """Return this node's name, the same at every start; drawn at the first."""
        path = self.root / "node-id"
        try:
            with path.open("x") as fresh:
                fresh.write(randomness.bytes(_NODE_ID_BYTES).hex())
        except FileExistsError:
            pass
        return path.read_text()

    def journal_instance(self, settings: Settings, randomness: Randomness) -> str:
        """Return the name of this process's journal, unique among all nodes' journals."""
        return f"{self.node_id(randomness)}-{settings.instance}"
