"""START HERE: turns that ended become traces, and a collector gets them, as far as it keeps up.

One task reads the journals, another sends. Between them wait at most TRACES_WAITING_MAX traces:
beyond that the oldest are dropped, and counted. No turn knows of any of it.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from axon.base import Clock, TaskOwner
from axon.stores import Breaker, Health
from axon.telemetry import Span, counter, dropped, encode_spans, gauge, log
from axon.tracing.collector import Collector
from axon.tracing.errors import CollectorAway, CollectorRefused
from axon.tracing.following import Trace, TurnFollower

TRACES_WAITING_MAX = 4_096
"""Some tens of megabytes, and at a hundred turns a second half a minute without a collector."""

BATCH_TRACES_MAX = 256
"""In one POST: about half a megabyte."""

LOOK_EVERY_S = 0.5
"""How often journals are read; also how long spans gather."""

LOOK_AROUND_EVERY_S = 5.0
"""How often new journals are looked for, and places are written down."""

FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 30.0
"""Between two tries of a collector that is away."""

_LAST_WORDS_S = 2.0

_sent = counter("axon_traces_sent_total", "Traces that the collector has.")
_waiting = gauge("axon_traces_waiting", "Traces that wait for the collector.")
_dropped = dropped.labels("traces")


class Tracing:
    """One per node, beside its projector; `run` is a background task."""

    def __init__(
        self,
        follower: TurnFollower,
        collector: Collector,
        places: Path,
        clock: Clock,
        described: Mapping[str, str],
    ) -> None:
        """`places` is the file that says how far journals were read; `described` tells of this
        installation in every batch, its `service.version` above all."""
        self._follower = follower
        self._collector = collector
        self._places = places
        self._described = described
        self._waiting: deque[Trace] = deque()
        self._sending: list[Trace] = []
        self._more = asyncio.Event()
        self._breaker = Breaker("telemetry", 1, clock=clock)
        self._failures = 0

    @property
    def health(self) -> Health:
        """Return whether the collector takes what it is sent."""
        return self._breaker.health

    async def run(self) -> None:
        """Follow and send until cancelled; what waits then is tried once more, for a moment."""
        with suppress(OSError, msgspec.DecodeError):
            saved = await asyncio.to_thread(self._places.read_bytes)
            self._follower.places.update(msgspec.json.decode(saved, type=dict[str, int]))
        owner = TaskOwner(_failed)
        try:
            owner.start(self._follow(), "follow")
            await owner.start(self._send(), "send")
        finally:
            await owner.cancel()
            with suppress(CollectorAway, CollectorRefused, OSError, TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    await self._send_batch()
            await asyncio.to_thread(self._close)

    async def _follow(self) -> None:
        looked = 0
        while True:
            try:
                if looked % int(LOOK_AROUND_EVERY_S / LOOK_EVERY_S) == 0:
                    await asyncio.to_thread(self._look_around)
                for trace in await asyncio.to_thread(self._follower.read):
                    self._take(trace)
            except OSError as error:
                log.warning("traces.disk", "Journals cannot be read.", error__message=str(error))
            looked += 1
            await asyncio.sleep(LOOK_EVERY_S)

    def _take(self, trace: Trace) -> None:
        if len(self._waiting) >= TRACES_WAITING_MAX:
            self._waiting.popleft()
            _dropped.inc()
        self._waiting.append(trace)
        _waiting.set(len(self._waiting))
        self._more.set()

    async def _send(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                try:
                    await self._send_batch()
                except CollectorRefused as error:
                    self._breaker.trip(str(error))  # its batch is gone: it would refuse it for ever
                except CollectorAway as error:
                    self._breaker.trip(str(error))
                    await asyncio.sleep(self._delay_s())
                else:
                    self._failures = 0
                    self._breaker.succeeded()

    def _delay_s(self) -> float:
        self._failures += 1
        return min(FIRST_DELAY_S * (1 << min(self._failures - 1, 10)), LONGEST_DELAY_S)

    async def _send_batch(self) -> None:
        """Send the oldest; what was not taken waits again, unless newer ones need the room."""
        count = min(len(self._waiting), BATCH_TRACES_MAX)
        self._sending = batch = [self._waiting.popleft() for _ in range(count)]
        if not batch:
            return
        try:
            await asyncio.to_thread(self._post, batch)
        except CollectorRefused:
            _dropped.inc(len(batch))
            raise
        except BaseException:
            room = TRACES_WAITING_MAX - len(self._waiting)
            kept = batch[max(0, len(batch) - room) :]
            _dropped.inc(len(batch) - len(kept))
            self._waiting.extendleft(reversed(kept))
            raise
        finally:
            self._sending = []
            _waiting.set(len(self._waiting))
        _sent.inc(len(batch))

    def _post(self, batch: list[Trace]) -> None:
        spans: list[Span] = [one for trace in batch for one in trace.spans]
        version = self._described["service.version"]
        self._collector.post(encode_spans(spans, version, self._described))

    def _look_around(self) -> None:
        self._follower.look_around()
        self._save()

    def _save(self) -> None:
        """Write down how far the collector has everything."""
        places = dict(self._follower.places)
        for trace in reversed([*self._sending, *list(self._waiting)]):
            places[trace.instance] = trace.sequence - 1
        unfinished = self._places.with_suffix(".new")
        unfinished.write_bytes(msgspec.json.encode(places))
        unfinished.replace(self._places)

    def _close(self) -> None:
        with suppress(OSError):
            self._save()
        self._follower.close()


def _failed(name: str, error: BaseException) -> None:
    log.error(
        "task.failed", "A background task failed.", axon__task=name, error__message=repr(error)
    )
