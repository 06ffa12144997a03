"""Looks whether a gateway's jobs are still in somebody's hands, and whether Valkey is there."""

import asyncio
from collections.abc import Mapping

import msgspec

from axon.base import Clock
from axon.inference.broker import keys
from axon.inference.broker.following import Follower
from axon.inference.broker.pace import Pace
from axon.inference.broker.remote_job import RemoteJob
from axon.inference.broker.stream_entries import entry_id, place
from axon.stores import StoreError, Valkey, ValkeyReply

IDS_ASKED_MAX = 500
"""Waiting jobs asked for in one call: some milliseconds of Valkey's time at most."""

_READ_POLL_S = 0.01

_held_of = msgspec.msgpack.Decoder(list[str]).decode


def _held(answer: ValkeyReply) -> list[str]:
    """Return the attempts a worker says it holds; none when it says nothing that can be read."""
    try:
        return _held_of(answer) if isinstance(answer, bytes) else []
    except ValueError:  # also of text that is none
        return []


class Watch:
    """Finds the jobs that a worker or Valkey has lost.

    One that is in nobody's hands is lost only if its gateway, having read all that was in its inbox
    at that time, still has not heard of it at the next look.
    """

    def __init__(
        self, valkey: Valkey, follower: Follower, jobs: Mapping[str, RemoteJob], clock: Clock
    ) -> None:
        """`jobs` are the living ones by attempt; `follower` reads the inbox."""
        self._valkey = valkey
        self._follower = follower
        self._jobs = jobs
        self._clock = clock
        self._here_since = clock.monotonic()
        self._away_since: float | None = None
        self._suspects: set[str] = set()
        self._suspected_at = (0, 0)
        valkey.on_connected.append(self._connected)

    async def look(self, pace: Pace) -> list[RemoteJob]:
        """Return the jobs that are lost; raise StoreError when Valkey does not answer."""
        suspects = await self._missing(pace) | await self._unheld(pace)
        lost = []
        if self._follower.place >= self._suspected_at:
            both = self._suspects & suspects
            lost = [job for attempt in both if (job := self._jobs.get(attempt)) is not None]
        self._suspects, self._suspected_at = suspects, await self.inbox_end()
        self._away_since = None
        return lost

    async def unserved(self, pace: Pace) -> list[RemoteJob]:
        """Return the waiting jobs whose lane no living worker serves; raise StoreError."""
        now_s = self._clock.monotonic()
        if now_s - self._here_since < pace.pulse_lasts_s:
            return []
        sent_before = now_s - pace.away_patience_s
        found: dict[str, list[RemoteJob]] = {}
        for job in self._jobs.values():
            if job.waiting and job.sent_s <= sent_before:
                found.setdefault(job.lane, []).append(job)
        answers: list[ValkeyReply] = await asyncio.gather(
            *(self._valkey.call("EXISTS", keys.lane_key(lane)) for lane in found)
        )
        return [
            job
            for jobs, served in zip(found.values(), answers, strict=True)
            if not served
            for job in jobs
        ]

    async def inbox_end(self) -> tuple[int, int]:
        """Return the place of the newest entry of the inbox; raise StoreError."""
        reply = await self._valkey.call("XREVRANGE", self._follower.key, "+", "-", "COUNT", 1)
        return place(entry_id(reply[0])) if isinstance(reply, list) and reply else (0, 0)

    async def all_is_read(self, within_s: float) -> bool:
        """Return whether all that is in the inbox now has been read, within that many seconds."""
        try:
            async with asyncio.timeout(within_s):
                await self._valkey.wait_until_available()
                end = await self.inbox_end()
                while self._follower.place < end:
                    await asyncio.sleep(_READ_POLL_S)
        except (TimeoutError, StoreError):
            return False
        return True

    def away_for_s(self) -> float:
        """Return for how long Valkey has been away, as far as this was called while it was."""
        now_s = self._clock.monotonic()
        if self._away_since is None:
            self._away_since = now_s
        self._suspects.clear()
        return now_s - self._away_since

    async def _missing(self, pace: Pace) -> set[str]:
        """Return the attempts whose entry has left its lane, though no worker said so."""
        sent_before = self._clock.monotonic() - pace.watch_every_s
        by_row: dict[str, dict[bytes, str]] = {}
        for attempt_id, job in self._jobs.items():
            if job.waiting and job.entry_id and job.sent_s <= sent_before:
                key = keys.jobs_key(job.lane, job.row)
                by_row.setdefault(key, {})[job.entry_id] = attempt_id
        missing: set[str] = set()
        for key, attempts in by_row.items():
            ids = list(attempts)
            for first in range(0, len(ids), IDS_ASKED_MAX):
                asked = ids[first : first + IDS_ASKED_MAX]
                gone = await self._valkey.call("FCALL", "axon_jobs_missing", 1, key, *asked)
                assert isinstance(gone, list)
                missing |= {attempts[one] for one in gone if isinstance(one, bytes)}
        return missing

    async def _unheld(self, pace: Pace) -> set[str]:
        """Return the attempts whose worker does not say that it has them.

        Not before a worker that lives has had the time to say so: since it took the job, and since
        Valkey, which may have forgotten everything, is back.
        """
        said_since = self._clock.monotonic() - pace.pulse_lasts_s
        if self._here_since > said_since:
            return set()
        by_worker: dict[str, set[str]] = {}
        for attempt_id, job in self._jobs.items():
            if not job.waiting and job.taken_s <= said_since:
                by_worker.setdefault(job.worker_id, set()).add(attempt_id)
        answers: list[ValkeyReply] = await asyncio.gather(
            *(self._valkey.call("GET", keys.worker_key(worker_id)) for worker_id in by_worker)
        )
        unheld: set[str] = set()
        for attempts, answer in zip(by_worker.values(), answers, strict=True):
            unheld |= attempts.difference(_held(answer))
        return unheld

    async def _connected(self, generation: str) -> None:
        self._here_since = self._clock.monotonic()
