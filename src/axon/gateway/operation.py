"""How the process is: alive, ready, its dependencies, its metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from axon.gateway.call import Call
from axon.gateway.relay import Relay
from axon.gateway.whole_node import joined_pages, metrics_of_all, statuses_of_siblings
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
    other_pages: Callable[[], Mapping[str, bytes]] = dict
    """The metrics of the node's processes that answer no HTTP, by their names."""


async def healthz(operation: Operation, call: Call, relay: Relay | None) -> None:
    """Answer that the loop is alive; says nothing of dependencies, so that none restarts us."""
    await call.reply_json(b'{"status":"alive"}')


async def readyz(operation: Operation, call: Call, relay: Relay | None) -> None:
    """Answer whether turns can be taken: the journal is writable and the process not draining."""
    reason = operation.ready()
    if reason is None:
        await call.reply_json(b'{"status":"ready"}')
    else:
        await call.reply_value({"status": "not ready", "reason": reason}, status=503)


async def status(operation: Operation, call: Call, relay: Relay | None) -> None:
    """Answer with the state of each dependency, and of the node's other serving processes.

    From another machine it wants the permission `monitor`.
    """
    state = operation.status()
    if relay is not None:
        state["siblings"] = await statuses_of_siblings(relay)
    await call.reply_json(msgspec.json.format(msgspec.json.encode(state)))


async def metrics(operation: Operation, call: Call, relay: Relay | None) -> None:
    """Answer in Prometheus' text format, for all processes of the node.

    From another machine it wants the permission `monitor`.
    """
    operation.before_metrics()
    page = render_metrics()
    if "axon.relayed" not in call.log:  # a sibling that asks adds the others by itself
        own = {"": page} if relay is None else await metrics_of_all(relay, page)
        page = joined_pages({**own, **operation.other_pages()})
    await call.reply(200, page, [_METRICS])
