"""How the process is: alive, ready, its dependencies, its metrics."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from axon.gateway.call import Call
from axon.telemetry import render_metrics

_METRICS = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")

Status = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What `app` knows of the process, asked anew for each call."""

    ready: Callable[[], str | None]
    """None when turns can be taken, else the reason why not."""
    status: Callable[[], Status]
    """Each dependency, the degraded modes, and how far PostgreSQL is behind."""
    before_metrics: Callable[[], None]
    """Brings the gauges up to date."""


async def healthz(operation: Operation, call: Call) -> None:
    """Answer that the loop is alive; says nothing of dependencies, so that none restarts us."""
    await call.reply_json(b'{"status":"alive"}')


async def readyz(operation: Operation, call: Call) -> None:
    """Answer whether turns can be taken: the journal is writable and the process not draining."""
    reason = operation.ready()
    if reason is None:
        await call.reply_json(b'{"status":"ready"}')
    else:
        await call.reply_value({"status": "not ready", "reason": reason}, status=503)


async def status(operation: Operation, call: Call) -> None:
    """Answer with the state of each dependency."""
    await call.reply_json(msgspec.json.format(msgspec.json.encode(operation.status())))


async def metrics(operation: Operation, call: Call) -> None:
    """Answer in Prometheus' text format."""
    operation.before_metrics()
    await call.reply(200, render_metrics(), [_METRICS])
