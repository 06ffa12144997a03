"""Why a backup could not be made or restored."""

from axon.base import AxonError


class BackupError(AxonError):
    """A backup could not be made or restored."""


class BackupNotWritten(BackupError):
    """The backup could not be written, and nothing of it is left."""


class NoBackup(BackupError):
    """This file is no backup of Axon."""


class BackupDamaged(BackupError):
    """The backup is damaged or cut short; nothing was restored."""


class BackupNewer(BackupError):
    """The backup was made by a newer Axon; restore it with that version."""


class SchemaDiffers(BackupError):
    """The backup's tables were made by other migrations than this version has."""


class KeyringDiffers(BackupError):
    """The backup belongs to another keyring, without which nothing in it can be opened.

    Put the copy that `axon keyring backup` made into the data folder first.
    """


class KeyBackupExpired(BackupError):
    """Backups of the data keys end after a time, so that what was erased stays erased."""


class DatabaseInUse(BackupError):
    """Axon is connected to this database: stop every process of it first."""


class DatabaseAway(BackupError):
    """PostgreSQL did not answer."""


class DatabaseNotEmpty(BackupError):
    """The database holds data already: only --replace deletes it."""


class EntriesMissing(BackupError):
    """The backup is older than what the journal still has; --accept-loss restores the rest."""


class JournalNotTheBackups(BackupError):
    """The backup knows more of a journal than the journal itself; it is not the same one.

    Move that journal's folder away; what it alone holds cannot be joined to this backup.
    """


class ReplayStuck(BackupError):
    """The backup is restored, but the journal's records behind it could not be applied."""
