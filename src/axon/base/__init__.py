"""Floor zero: ids, clock, randomness, units, errors and tasks, with no I/O of their own."""

from axon.base.clock import Clock, SystemClock, utc_from_us
from axon.base.errors import AxonError
from axon.base.ids import (
    IDENTITY_BYTES,
    MARK_BYTES,
    IdMint,
    MintedId,
    UnknownId,
    instance_mark,
    user_number,
)
from axon.base.randomness import Randomness, SystemRandomness
from axon.base.tasks import Irrevocable, TaskOwner, until_done
from axon.base.units import GIB, KIB, MIB, MICROS_PER_SECOND, NANOS_PER_UNIT

__all__ = [
    "GIB",
    "IDENTITY_BYTES",
    "KIB",
    "MARK_BYTES",
    "MIB",
    "MICROS_PER_SECOND",
    "NANOS_PER_UNIT",
    "AxonError",
    "Clock",
    "IdMint",
    "Irrevocable",
    "MintedId",
    "Randomness",
    "SystemClock",
    "SystemRandomness",
    "TaskOwner",
    "UnknownId",
    "instance_mark",
    "until_done",
    "user_number",
    "utc_from_us",
]
