"""How far back the inbox of a gateway is kept."""

from collections import deque
from collections.abc import Iterable

from axon.inference.broker.following import Follower
from axon.inference.broker.remote_job import RemoteJob


class Retention:
    """Everything about a job is kept until a while after its end.

    A process that is killed before the turn was durable leaves it to its successor to read again.
    """

    def __init__(self, follower: Follower, after_end_s: float) -> None:
        """Keep the output of ended jobs for `after_end_s` seconds."""
        self._follower = follower
        self._after_end_s = after_end_s
        self._ended: deque[tuple[float, tuple[int, int]]] = deque()

    def ended(self, job: RemoteJob, now_s: float) -> None:
        """Take note of a job's end."""
        self._ended.append((now_s + self._after_end_s, job.since))

    def needed_from(self, living: Iterable[RemoteJob], now_s: float) -> str:
        """Return the id of the oldest entry that is needed, as Valkey writes it."""
        while self._ended and self._ended[0][0] <= now_s:
            self._ended.popleft()
        places = [place for _, place in self._ended] + [job.since for job in living]
        first, second = min(places, default=self._follower.place)
        return f"{first}-{second}"
