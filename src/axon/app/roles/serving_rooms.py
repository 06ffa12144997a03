"""Builds the rooms of a serving process, from the ground up, and takes them down again."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from axon.accounts import Accounts, AccountsOptions
from axon.alerts import AdminParts, OwnAlerts
from axon.app.alerting import allowed_by
from axon.app.folders import DataFolder
from axon.app.roles.allowance import Allowance, open_allowance
from axon.app.roles.awaiting_root import when_openable
from axon.app.roles.conversations_room import conversations_room, open_thawing
from axon.app.roles.ground import Ground, open_ground
from axon.app.roles.inference_rooms import InferenceRooms, open_inference
from axon.app.roles.metered_events import outside_events
from axon.app.roles.own_journal import open_journal
from axon.app.roles.people_rooms import people_rooms
from axon.app.roles.reading_back import read_journal
from axon.app.roles.relaying import relay_between
from axon.app.settings import (
    Settings,
    TracesSettings,
    TurnsSettings,
    cells_of,
)
from axon.archive import Thawing
from axon.base import TaskOwner
from axon.billing import Invoices, StripeWebhook
from axon.conversations import Conversations
from axon.experiments import Experiments, ExperimentsParts
from axon.flags import Flags
from axon.gateway import Door, GatewayOptions
from axon.inference import (
    Dispatcher,
    Engines,
    ModelDirectory,
    ModelTable,
    Moderator,
    Retriever,
    Worker,
)
from axon.journal import Journal, Mark
from axon.limits import LimitsAdmin
from axon.metering import (
    OutsideEvents,
    PriceFollower,
    Prices,
    Usage,
)
from axon.sealing import Keyring, KeyStore
from axon.stores import Breaker, Postgres, Valkey
from axon.telemetry import log
from axon.turns import TurnOptions, TurnRooms, Turns

_UNFINISHED_FILE = "unfinished"
"""The mark below which no accepted turn of a journal is still open."""

_JOBS_END_S = 1.0
"""How long the worker may take to let go of its jobs once every turn has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingRooms:
    """What a serving process is made of."""

    door: Door
    journal: Journal
    postgres: Postgres
    valkey: Valkey
    keys: KeyStore
    key_root: Breaker | None
    """None where it is the keyring, which cannot be away."""
    worker: Worker | Dispatcher
    engines: Engines
    models: ModelTable
    retriever: Retriever | None
    moderator: Moderator | None
    thawing: Thawing
    unfinished: Mark
    prices: PriceFollower
    tasks: TaskOwner
    """What runs for as long as the process does."""


async def open_rooms(
    settings: Settings, folder: DataFolder, on_fatal: Callable[[BaseException], None]
) -> ServingRooms:
    """Return the rooms, the journal recovered and the turns a crash left open taken up again.

    Raises AxonError when journal, keyring or a setting is unusable; the stores may be away.
    """
    ground = await open_ground(settings, folder)
    journal = await asyncio.to_thread(_own_journal, settings, folder, ground, on_fatal)
    accounts = await _accounts(settings, folder, ground)
    allowance = await open_allowance(settings, folder, ground, journal)
    thawing = open_thawing(settings, folder, ground)
    conversations = conversations_room(settings, folder, ground, journal, thawing)
    serving = open_inference(settings, ground, journal.instance)
    unfinished = Mark(journal.directory / _UNFINISHED_FILE, writable=True)
    rooms = _turn_rooms(ground, journal, conversations, serving, allowance)
    turns = Turns(rooms, _turn_options(settings.turns, settings.traces), unfinished)
    left_open = await asyncio.to_thread(read_journal, journal, unfinished, conversations, turns)
    await _keep_up(ground, conversations, allowance)
    await turns.recover(await when_openable(ground.keys, ground.clock, left_open))
    tasks = TaskOwner(_task_failed)
    door = Door(
        accounts=accounts,
        conversations=conversations,
        models=ModelDirectory(serving.models, serving.engines, ground.clock),
        turns=turns,
        usage=Usage(ground.postgres),
        events=_events(settings, ground, journal),
        flags=allowance.flags,
        experiments=_experiments(ground, journal, allowance.flags),
        limits=allowance.limits,
        limits_admin=LimitsAdmin(ground.postgres),
        prices=Prices(ground.postgres, ground.clock, ground.randomness),
        invoices=Invoices(ground.postgres),
        alerts=_alerts(settings, ground),
        people=people_rooms(settings, ground, journal, conversations, thawing),
        stripe_webhook=_stripe_webhook(settings, ground),
        mint=ground.mint,
        clock=ground.clock,
        options=_gateway_options(settings, ground.keyring),
        relay=relay_between(settings, folder, ground.mint, ground.clock, tasks),
        without_postgresql=lambda: not ground.postgres.available,
    )
    return ServingRooms(
        door=door,
        journal=journal,
        postgres=ground.postgres,
        valkey=ground.valkey,
        keys=ground.keys,
        key_root=ground.key_root,
        worker=serving.worker,
        engines=serving.engines,
        models=serving.models,
        retriever=serving.retriever,
        moderator=serving.moderator,
        thawing=thawing,
        unfinished=unfinished,
        prices=allowance.follower,
        tasks=tasks,
    )


async def _keep_up(ground: Ground, conversations: Conversations, allowance: Allowance) -> None:
    await ground.valkey.start()
    await conversations.open()
    await allowance.limits.start()
    await allowance.flags.start()


def _alerts(settings: Settings, ground: Ground) -> OwnAlerts:
    return OwnAlerts(
        AdminParts(
            postgres=ground.postgres,
            keyring=ground.keyring,
            clock=ground.clock,
            randomness=ground.randomness,
            allowed=allowed_by(settings.alerts),
        )
    )


def _events(settings: Settings, ground: Ground, journal: Journal) -> OutsideEvents:
    return outside_events(settings.metering, journal, ground.postgres, ground.mint, ground.clock)


def _stripe_webhook(settings: Settings, ground: Ground) -> StripeWebhook | None:
    secret = settings.stripe.webhook_secret
    return StripeWebhook(ground.postgres, ground.clock, secret) if secret else None


def _gateway_options(settings: Settings, keyring: Keyring) -> GatewayOptions:
    return GatewayOptions(
        body_bytes_max=settings.http.body_bytes_max,
        issuer=settings.billing.issuer,
        flag_origins=settings.flags.allowed_origins(),
        origins=settings.http.allowed_origins(),
        tls=bool(settings.http.tls_cert),
        events_secret=keyring.derive("flag events"),
    )


def _own_journal(
    settings: Settings,
    folder: DataFolder,
    ground: Ground,
    on_fatal: Callable[[BaseException], None],
) -> Journal:
    instance = folder.journal_instance(settings, ground.randomness)
    return open_journal(folder.journals / instance, settings.journal, ground.clock, on_fatal)


def _turn_rooms(
    ground: Ground,
    journal: Journal,
    conversations: Conversations,
    serving: InferenceRooms,
    allowance: Allowance,
) -> TurnRooms:
    return TurnRooms(
        journal=journal,
        conversations=conversations,
        inference=serving.inference,
        models=serving.models,
        prices=allowance.prices,
        limits=allowance.limits,
        keys=ground.keys,
        mint=ground.mint,
        clock=ground.clock,
        randomness=ground.randomness,
        tasks=TaskOwner(_task_failed),
        identity=ground.keyring.derive("idempotency"),
        flag_set=lambda: allowance.flags.flag_set,
        retriever=serving.retriever,
        policies=allowance.policies,
        safety=allowance.safety,
        moderator=serving.moderator,
    )


def _turn_options(settings: TurnsSettings, traces: TracesSettings) -> TurnOptions:
    return TurnOptions(
        trace_ratio=traces.ratio if traces.endpoint else None,
        wait_s=settings.wait_s,
        deadline_s=settings.timeout_s,
        progress_every_s=settings.progress_every_s,
        answers_without_history=settings.history_unavailable == "answer",
    )


async def _accounts(settings: Settings, folder: DataFolder, ground: Ground) -> Accounts:
    options = AccountsOptions(
        snapshot_path=folder.accounts_snapshot,
        staleness_max_s=settings.accounts.staleness_max_s,
        poll_every_ms=settings.accounts.poll_every_ms,
        cache_max=settings.accounts.cache_max,
        cells=cells_of(settings.residency),
    )
    accounts = Accounts(ground.postgres, ground.keyring, ground.clock, ground.randomness, options)
    await accounts.start()
    return accounts


def _experiments(ground: Ground, journal: Journal, flags: Flags) -> Experiments:
    """Return the experiments; what their guardrails want is done from now on."""
    experiments = Experiments(
        ExperimentsParts(
            postgres=ground.postgres,
            journal=journal,
            mint=ground.mint,
            clock=ground.clock,
            flags=flags.changes,
        )
    )
    experiments.start_tasks()
    return experiments


def _task_failed(name: str, error: BaseException) -> None:
    log.error(
        "task.failed", "A background task failed.", axon__task=name, error__message=repr(error)
    )


async def close_rooms(rooms: ServingRooms) -> None:
    """Let go of everything, what is durable first; every turn has ended."""
    await rooms.tasks.cancel()
    await rooms.thawing.stop()
    if rooms.door.relay is not None:
        rooms.door.relay.siblings.close()
    await rooms.worker.stop(_JOBS_END_S)
    await rooms.door.experiments.stop_tasks()
    await rooms.door.flags.stop()
    await rooms.journal.close()
    rooms.unfinished.close()
    await rooms.engines.close()
    if rooms.retriever is not None:
        await rooms.retriever.close()
    if rooms.moderator is not None:
        await rooms.moderator.close()
    await rooms.door.conversations.stop()
    await rooms.door.limits.stop()
    await rooms.door.accounts.stop()
    await rooms.prices.stop()
    await rooms.keys.close()
    await rooms.valkey.stop()
    await rooms.postgres.stop()
