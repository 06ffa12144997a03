"""The accounts of an installation in an administrator's hands: for the commands and `axon up`."""

import os
import pwd
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from axon.accounts import NO_REGIONS, AccountsAdmin, Cells
from axon.app.bound_stores import bound_database
from axon.app.embedded import EmbeddedPostgres
from axon.app.folders import DataFolder
from axon.app.settings import Settings
from axon.base import AxonError, SystemClock, SystemRandomness
from axon.deeds import Actor, actor_text
from axon.limits import LimitsAdmin
from axon.sealing import Keyring
from axon.stores import Postgres, PostgresOptions

DEVELOPER_PERMISSIONS = ("auditor", "flags", "privacy_officer", "trainer")
"""Of the development key, which is on this machine alone: what a developer wants to try."""


class DatabaseUnknown(AxonError):
    """No PostgreSQL is known: start `axon up` with this data folder, or set AXON_DATABASE_URL."""


def database_address(settings: Settings) -> str:
    """Return the address of the PostgreSQL in use: the settings', or that of a running `axon up`.

    Raises DatabaseUnknown when there is neither.
    """
    if settings.database.url:
        return settings.database.url
    folder = DataFolder.of(settings)
    if not folder.running.exists():
        raise DatabaseUnknown(f"data folder {folder.root}")
    return EmbeddedPostgres(folder.root).url()


def command_options(statement_timeout_s: float = 60.0) -> PostgresOptions:
    """Return the options of a command's one connection, which say who gave the command."""
    return PostgresOptions(
        connections_max=1, statement_timeout_s=statement_timeout_s, actor=command_actor()
    )


def command_actor() -> str:
    """Return who gave this command, as ACTOR_SETTING says it."""
    account = pwd.getpwuid(os.getuid()).pw_name
    return actor_text(Actor(origin="command", name=account, place=socket.gethostname()))


@asynccontextmanager
async def accounts_admin(
    keyring: Path, database_url: str, cells: Cells = NO_REGIONS
) -> AsyncIterator[AccountsAdmin]:
    """Lend the administration of a cell's accounts.

    What it does raises PostgresAway when that is away, or is another region's.
    """
    clock, randomness = SystemClock(), SystemRandomness()
    options = bound_database(command_options(), cells.region)
    postgres = Postgres(database_url, options, clock)
    await postgres.start()
    try:
        yield AccountsAdmin(postgres, Keyring.open(keyring, randomness), clock, randomness, cells)
    finally:
        await postgres.stop()


@asynccontextmanager
async def limits_admin(database_url: str) -> AsyncIterator[LimitsAdmin]:
    """Lend the administration of limits; what it does raises PostgresAway when that is away."""
    postgres = Postgres(database_url, command_options(), SystemClock())
    await postgres.start()
    try:
        yield LimitsAdmin(postgres)
    finally:
        await postgres.stop()


async def development_key(folder: DataFolder, database_url: str, cells: Cells = NO_REGIONS) -> str:
    """Return the development key, registered in the database; the same at every start.

    It is the one key kept in clear: in a file of the data folder that only its owner can read.
    """
    secret = _kept_secret(folder.development_key)
    async with accounts_admin(folder.keyring, database_url, cells) as admin:
        await admin.register_key(secret, "development", "developer", DEVELOPER_PERMISSIONS)
    return secret


def _kept_secret(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(f"sk-axon-{SystemRandomness().bytes(24).hex()}\n")
    return path.read_text().strip()
