"""The scheduler: work that no turn waits for, each task in one process of the installation.

It may die or freeze: turns do not notice, and another one takes its tasks over.
"""

import asyncio
import signal
import sys

import uvloop

from axon.app.alerting import alert_watch, deliveries
from axon.app.archiving import Archiving
from axon.app.bound_stores import bound_database
from axon.app.business import LOOK_EVERY_S, BusinessFigures
from axon.app.folders import DataFolder
from axon.app.roles.log_level import follow_level_signal
from axon.app.roles.scheduled import Schedule, ScheduledTask
from axon.app.roles.task_locks import TaskLocks
from axon.app.roles.told_state import ToldStates
from axon.app.settings import Settings
from axon.app.stripe_telling import StripeTelling
from axon.app.usage_streaming import LateSink, usage_stream
from axon.audit import Retention
from axon.base import Clock, SystemClock, SystemRandomness, TaskOwner
from axon.deeds import Actor, actor_text
from axon.experiments import ExperimentsWatch
from axon.privacy import Redactor
from axon.sealing import Keyring
from axon.stores import Postgres, PostgresOptions
from axon.subjects import PurgeAgain
from axon.telemetry import configure_log, log

ROLE = "scheduler"

_CONNECTIONS = 4
"""Tasks wait for outside services, seldom for a connection."""

_DELIVER_EVERY_S = 1.0
"""Adds to the time between an alert and its first attempt."""

_STREAM_EVERY_S = 1.0
"""PostgreSQL has a turn some milliseconds after its end; who reads the stream counts in seconds."""

_EXPIRE_EVERY_S = 3600.0
"""What is kept for years may stay an hour longer."""

_ARCHIVE_EVERY_S = 3600.0
"""Conversations wait for months; what was erased leaves the archive's objects within the hour."""

_PURGE_EVERY_S = 15.0
"""Rows that come late from another node are gone within a minute of their erasure."""
_CALCULATE_EVERY_S = 60.0
"""How long a guardrail lets harm be done; the sums of a large experiment take seconds."""

_TELL_STRIPE_EVERY_S = 300.0
"""It is told of hours that are over, and takes events of the last 35 days."""


def run(settings: Settings) -> int:
    """Run the tasks until SIGTERM or SIGINT, and return 0; blocks.

    PostgreSQL and everything that the tasks need may be away at any time, also at the start.
    """
    configure_log(sys.stderr, "axon-scheduler", settings.log.level, Redactor().redact_lines)
    return uvloop.run(_schedule(settings))


async def _schedule(settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    follow_level_signal()
    folder, clock = DataFolder.of(settings), SystemClock()
    options = PostgresOptions(
        connections_max=_CONNECTIONS,
        schema_wanted=True,
        writable_wanted=True,
        actor=actor_text(Actor(name="scheduler")),
    )
    postgres = Postgres(
        settings.database.url, bound_database(options, settings.residency.region), clock
    )
    await postgres.start()
    keyring = await asyncio.to_thread(Keyring.open, folder.keyring, SystemRandomness())
    tasks = tasks_of(settings, postgres, keyring, clock)
    schedule = Schedule(tasks, TaskLocks(settings.database.url), clock)
    beside = TaskOwner(_task_failed)
    states = ToldStates(folder.told_states, clock)
    telling = states.keep_telling(
        ROLE, lambda: {"postgresql": postgres.health, **schedule.health()}
    )
    beside.start(telling, "tell how it is")
    beside.start(schedule.run(), "schedule")
    log.info("scheduler.started", "Scheduling.")
    await stop.wait()
    await beside.cancel()
    await postgres.stop()
    log.info("scheduler.stopped", "Stopped.")
    return 0


def tasks_of(
    settings: Settings, postgres: Postgres, keyring: Keyring, clock: Clock
) -> list[ScheduledTask]:
    """Return what there is to do; what is not set up has no task."""
    watch = alert_watch(settings.alerts, postgres, clock)
    retention = Retention(postgres, clock, settings.audit.retention_days)
    purge_again = PurgeAgain(postgres, clock)
    experiments = ExperimentsWatch(postgres, keyring.identity, clock)
    business = BusinessFigures(postgres, clock)
    delivering = deliveries(settings.alerts, postgres, keyring, clock)
    archiving = Archiving.of(settings, postgres, clock, SystemRandomness())
    tasks = [
        ScheduledTask(name="alerts", every_s=settings.alerts.look_every_s, work=watch.look),
        ScheduledTask(name="experiments", every_s=_CALCULATE_EVERY_S, work=experiments.look),
        ScheduledTask(name="webhooks", every_s=_DELIVER_EVERY_S, work=delivering.deliver_due),
        ScheduledTask(name="audit-retention", every_s=_EXPIRE_EVERY_S, work=retention.expire),
        ScheduledTask(name="archive", every_s=_ARCHIVE_EVERY_S, work=archiving.work),
        ScheduledTask(name="erasures", every_s=_PURGE_EVERY_S, work=purge_again.look),
        ScheduledTask(name="business", every_s=LOOK_EVERY_S, work=business.look),
    ]
    if settings.usage_stream.brokers:
        stream = usage_stream(settings, postgres, keyring, clock)
        sink = LateSink(settings.usage_stream)
        tasks.append(
            ScheduledTask(
                name="usage-stream", every_s=_STREAM_EVERY_S, work=lambda: stream.send_news(sink)
            )
        )
    if settings.stripe.key:
        telling = StripeTelling(settings.stripe, postgres, clock)
        tasks += [
            ScheduledTask(name="stripe", every_s=_TELL_STRIPE_EVERY_S, work=telling.tell),
            ScheduledTask(
                name="stripe-invoices", every_s=_TELL_STRIPE_EVERY_S, work=telling.invoice
            ),
        ]
    return tasks


def _task_failed(name: str, error: BaseException) -> None:
    log.error(
        "task.failed", "A background task failed.", axon__task=name, error__message=repr(error)
    )
