"""A worker's sign of life, and its ear for orders."""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from axon.inference.broker import keys, wire
from axon.inference.broker.outbox import Outbox
from axon.inference.broker.pace import Pace
from axon.stores import StoreError, Valkey, ValkeyReply
from axon.telemetry import log

_pack = msgspec.msgpack.Encoder().encode


class Presence:
    """Says every second which attempts the worker holds; looks for those no longer wanted."""

    def __init__(self, worker_id: str, valkey: Valkey, outbox: Outbox, pace: Pace) -> None:
        """Nothing is said before `beat` or `keep_up`."""
        self.lanes: Callable[[], Iterable[str]] = tuple
        """Returns the lanes that the worker serves."""
        self._worker_id = worker_id
        self._valkey = valkey
        self._outbox = outbox
        self._pace = pace

    async def keep_up(self) -> None:
        """Beat for ever, and at once when Valkey is back."""
        while True:
            await self._valkey.wait_until_available()
            try:
                await self.beat()
            except StoreError:
                continue  # the next wait tells whether it is away or was slow
            await asyncio.sleep(self._pace.pulse_every_s)

    async def beat(self) -> None:
        """Say once what is held, and hear what is no longer wanted; raise StoreError."""
        call, worker_id, held = self._valkey.call, self._worker_id, self._outbox.held()
        lasts_ms = int(self._pace.pulse_lasts_s * 1000)
        said = [
            call("SET", keys.worker_key(worker_id), _pack(held), "PX", lasts_ms),
            call("EXPIRE", keys.orders_key(worker_id), keys.KEYS_LAST_S),
        ]
        for lane in self.lanes():
            said.append(call("SET", keys.lane_key(lane), worker_id, "PX", lasts_ms))  # noqa: PERF401
        for inbox in self._outbox.inboxes():
            said.append(call("EXPIRE", keys.inbox_key(inbox), keys.KEYS_LAST_S))  # noqa: PERF401
        asked = [call("GET", keys.cancelled_key(attempt)) for attempt in held]
        await asyncio.gather(*said)
        for attempt, answer in zip(held, await asyncio.gather(*asked), strict=True):
            if answer is not None:
                self._outbox.order("cancel", attempt)
        self._outbox.probe_all()

    async def gone(self) -> None:
        """Say that the worker is no more."""
        try:
            await self._valkey.call("DEL", keys.worker_key(self._worker_id))
        except StoreError:
            return  # the sign of life ends by itself

    def hear(self, entries: list[ValkeyReply]) -> None:
        """Do what gateways order."""
        for entry in entries:
            try:
                what, attempt_id = wire.read_order(entry)
            except wire.UnreadableEntry as error:
                log.warning("order.unreadable", str(error))
                continue
            self._outbox.order(what, attempt_id)
