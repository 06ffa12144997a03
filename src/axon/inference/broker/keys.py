"""The keys of the queue and the bus in Valkey, and their bounds.

axon:jobs:{lane}         stream   jobs no worker has; field j, a WireJob; group `workers`; field w,
                                  the weight of its row, unless that is WEIGHT_OF_ALL
axon:jobs:{lane}:{row}   stream   the same of a row with a share, from 1
axon:turns:{lane}        hash     whose turn it is: the start of each row's next job, and the scale
axon:bus:{instance}      stream   the inbox of one gateway process: what workers tell it
axon:worker:{id}         string   the attempts a living worker holds; lasts Pace.pulse_lasts_s
axon:lane:{lane}         string   there while a living worker serves the lane
axon:orders:{id}         stream   what gateways tell one worker: cancel, pause, resume
axon:cancelled:{attempt} string   the attempt is no longer wanted; for orders that got lost
"""

from axon.inference.jobs import ROWS

GROUP = "workers"

INBOX_ENTRIES_MAX = 200_000
"""Some 60 MB of tokens. A gateway this far behind, or a turn that long ago, loses its oldest."""

ORDERS_MAX = 10_000
"""Orders a worker has not read: more than it can hold jobs. The cancelled keys stand for the rest.
"""

KEYS_LAST_S = 3600
"""After this the inbox of a gateway, and the orders of a worker, that is gone goes as well."""

CANCELLED_LASTS_S = 900
"""Longer than a job may take."""


def jobs_key(lane: str, row: int = 0) -> str:
    """Return the key of the stream of a row of a lane."""
    return f"axon:jobs:{{{lane}}}:{row}" if row else f"axon:jobs:{{{lane}}}"


def row_keys(lane: str) -> tuple[str, ...]:
    """Return the keys of all rows of a lane."""
    return tuple(jobs_key(lane, row) for row in range(ROWS))


def turns_key(lane: str) -> str:
    """Return the key that says whose turn it is."""
    return f"axon:turns:{{{lane}}}"


def inbox_key(instance: str) -> str:
    """Return the key of a gateway's inbox."""
    return f"axon:bus:{{{instance}}}"


def worker_key(worker_id: str) -> str:
    """Return the key that lives while the worker does."""
    return f"axon:worker:{{{worker_id}}}"


def lane_key(lane: str) -> str:
    """Return the key that lives while some worker serves the lane."""
    return f"axon:lane:{{{lane}}}"


def orders_key(worker_id: str) -> str:
    """Return the key of the orders to a worker."""
    return f"axon:orders:{{{worker_id}}}"


def cancelled_key(attempt_id: str) -> str:
    """Return the key that is there when the attempt is no longer wanted."""
    return f"axon:cancelled:{{{attempt_id}}}"
