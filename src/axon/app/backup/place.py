"""Where a backup comes from and goes to: the data folder and its PostgreSQL, running or not."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from axon.app.administration import command_actor, database_address
from axon.app.backup.errors import DatabaseAway, DatabaseInUse, KeyringDiffers
from axon.app.backup.manifest import Header, fingerprint
from axon.app.embedded import EmbeddedPostgres, EmbeddedServer
from axon.app.folders import DataFolder
from axon.app.key_roots import open_keys
from axon.app.keyring_backup import NoKeyring
from axon.app.settings import Settings
from axon.app.up.folder_lock import AlreadyRunning, FolderLock
from axon.base import Clock, Randomness, SystemClock, SystemRandomness
from axon.journal import lock_journal
from axon.sealing import Keyring, KeyStore
from axon.stores import ACTOR_SETTING, means_away

CONNECT_TIMEOUT_S = 10.0

_STATEMENT_TIMEOUT_S = 3600.0
"""Of one statement that is no COPY: migrating, or emptying, large tables takes minutes."""

_CONNECTED = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'axon'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The installation that is backed up or restored."""

    settings: Settings
    folder: DataFolder
    database_url: str
    clock: Clock
    randomness: Randomness

    def keyring(self) -> Keyring:
        """Return the folder's keyring; raises NoKeyring, for a new one would open nothing."""
        if not self.folder.keyring.exists():
            raise NoKeyring(str(self.folder.root))
        return Keyring.open(self.folder.keyring, self.randomness)

    def key_store(self) -> KeyStore:
        """Return the folder's data keys, to be closed; blocks."""
        return open_keys(self.settings, self.keyring(), self.clock, self.randomness).store

    def refuse_other_keyring(self, header: Header) -> None:
        """Return when the backup belongs to the keyring of this folder; raises KeyringDiffers."""
        if fingerprint(self.keyring()) != header.keyring:
            raise KeyringDiffers(str(self.folder.keyring))

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection for statements that take long; raises DatabaseAway."""
        session = {
            "application_name": "axon backup",
            "statement_timeout": "0",
            ACTOR_SETTING: command_actor(),
        }
        try:
            connection = await asyncpg.connect(
                self.database_url,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=_STATEMENT_TIMEOUT_S,
                server_settings=session,
            )
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            raise DatabaseAway(str(error)) from error
        try:
            yield connection
        except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if not means_away(error):
                raise
            raise DatabaseAway(str(error) or "no answer in time") from error
        finally:
            connection.terminate()


@contextmanager
def database_in_use(settings: Settings) -> Iterator[Place]:
    """Lend the installation, which may run; its own PostgreSQL is started if need be. Blocks."""
    folder = DataFolder.of(settings)
    with ExitStack() as held:
        url = settings.database.url
        if not url:
            try:
                held.enter_context(FolderLock(folder))
                url = held.enter_context(_own_postgres(folder))
            except AlreadyRunning:
                url = database_address(settings)
        yield _place(settings, folder, url)


@contextmanager
def database_to_replace(settings: Settings) -> Iterator[Place]:
    """Lend the installation while none of its processes runs or can start; blocks.

    Raises AlreadyRunning or JournalLocked when one does.
    """
    folder = DataFolder.of(settings)
    with ExitStack() as held:
        held.enter_context(FolderLock(folder))
        for journal in journal_folders(folder):
            held.enter_context(_locked(journal))
        url = settings.database.url or held.enter_context(_own_postgres(folder))
        yield _place(settings, folder, url)


async def refuse_connected(connection: asyncpg.Connection) -> None:
    """Return when no process of Axon, of any node, is connected; raises DatabaseInUse."""
    count = await connection.fetchval(_CONNECTED)
    if count:
        raise DatabaseInUse(f"{count} connections")


def journal_folders(folder: DataFolder) -> list[Path]:
    """Return the folders of this node's journals."""
    return sorted(path for path in folder.journals.glob("*") if path.is_dir())


def _place(settings: Settings, folder: DataFolder, url: str) -> Place:
    return Place(
        settings=settings,
        folder=folder,
        database_url=url,
        clock=SystemClock(),
        randomness=SystemRandomness(),
    )


@contextmanager
def _own_postgres(folder: DataFolder) -> Iterator[str]:
    """Run the embedded PostgreSQL of the data folder, whose lock is ours."""
    embedded = EmbeddedPostgres(folder.root)
    server = EmbeddedServer(embedded.program(), embedded.url())
    try:
        server.start()
        yield embedded.url()
    finally:
        server.stop()


@contextmanager
def _locked(journal: Path) -> Iterator[None]:
    descriptor = lock_journal(journal)
    try:
        yield
    finally:
        os.close(descriptor)
