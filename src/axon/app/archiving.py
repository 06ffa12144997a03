"""Builds the archive from the settings, for the processes and commands that use it."""

from dataclasses import dataclass

from axon.app.folders import DataFolder
from axon.app.settings import ArchiveSettings, Settings
from axon.archive import ArchiveParts, Cooling, Sweeping
from axon.base import MICROS_PER_SECOND, Clock, Randomness
from axon.stores import Objects, ObjectsAddress, Postgres

_DAY_US = 86_400 * MICROS_PER_SECOND


def archive_objects(settings: Settings, folder: DataFolder, clock: Clock) -> Objects:
    """Return the object store, not connected yet; raises BadAddress."""
    wanted = settings.archive
    return Objects(
        ObjectsAddress(
            url=wanted.url or str(folder.archive),
            endpoint=wanted.endpoint,
            region=wanted.region,
            access_key_id=wanted.access_key_id,
            secret_access_key=wanted.secret_access_key,
            service_account=wanted.service_account,
        ),
        clock,
    )


def is_archiving(settings: Settings) -> bool:
    """Return whether conversations go to the archive.

    They do not where several nodes may share PostgreSQL, each with a data folder of its own, until
    a place is named that all of them see.
    """
    archive = settings.archive
    return archive.after_days > 0 and bool(archive.url or not settings.database.url)


@dataclass(frozen=True, slots=True)
class Archiving:
    """The scheduler's work on the archive."""

    settings: ArchiveSettings
    parts: ArchiveParts
    cools: bool

    @classmethod
    def of(
        cls, settings: Settings, postgres: Postgres, clock: Clock, randomness: Randomness
    ) -> "Archiving":
        """Return it for the place the settings name; raises BadAddress."""
        objects = archive_objects(settings, DataFolder.of(settings), clock)
        parts = ArchiveParts(postgres=postgres, objects=objects, clock=clock, randomness=randomness)
        return cls(settings.archive, parts, is_archiving(settings))

    @property
    def cooling(self) -> Cooling:
        """Return what moves conversations there."""
        return Cooling(self.parts, self.settings.after_days * _DAY_US)

    @property
    def sweeping(self) -> Sweeping:
        """Return what deletes there."""
        wanted = self.settings
        return Sweeping(self.parts, wanted.retention_days * _DAY_US, wanted.grace_days * _DAY_US)

    async def work(self) -> None:
        """Move what is due, then sweep; raises what the stores raise."""
        if self.cools:
            await self.cooling.run()
        await self.sweeping.run()
