"""What the archive is made from."""

from dataclasses import dataclass

from axon.base import Clock, Randomness
from axon.stores import Objects, Postgres


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveParts:
    """What the room stands on; opened and closed by its owner."""

    postgres: Postgres
    objects: Objects
    clock: Clock
    randomness: Randomness
