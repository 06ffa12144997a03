"""The serving role: gateway, turns and worker in one process, with a journal of its own."""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading

import uvloop

from axon.app.folders import DataFolder
from axon.app.instances import own_instance, private_socket_path
from axon.app.roles.http_server import (
    HttpServer,
    client_connections,
    http_server,
    raise_file_limit,
)
from axon.app.roles.log_level import follow_level_signal
from axon.app.roles.serving_rooms import ServingRooms, close_rooms, open_rooms
from axon.app.roles.tls import certificate_of
from axon.app.roles.upkeep import Upkeep
from axon.app.settings import Settings
from axon.app.sockets import listening_socket, private_socket
from axon.base import SystemRandomness
from axon.deeds import DeedsJournaling
from axon.gateway import Bodies, Gateway, Operation
from axon.inference import EngineMetrics, Worker
from axon.privacy import Redactor
from axon.telemetry import configure_log, log

EXIT_JOURNAL_FAILED = 70
"""Exit code when the disk refused a write: EX_SOFTWARE of sysexits.h. The supervisor restarts."""

_NEW_OBJECTS_BEFORE_LOOKING = 50_000
"""A few hundred turns; the interpreter's own 700 is less than two."""

_LAST_WORDS_S = 1.0
"""How long a process whose journal failed may still tell its clients so."""

_TURNS_AFTER_REQUESTS_S = 5.0
"""How long turns without a client may still run once the HTTP server has drained."""


def run(settings: Settings) -> int:
    """Serve until SIGTERM, drain, and return the exit code; blocks."""
    configure_log(sys.stderr, "axon-serving", settings.log.level, Redactor().redact_lines)
    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    loop = asyncio.get_running_loop()
    journal_failed = asyncio.Event()

    def on_fatal(error: BaseException) -> None:
        """End the process, whatever the loop is doing; called on the journal's thread."""
        log.error("journal.failed", "The journal's disk failed.", error__message=repr(error))
        timer = threading.Timer(_LAST_WORDS_S, os._exit, (EXIT_JOURNAL_FAILED,))
        timer.daemon = True
        timer.start()
        loop.call_soon_threadsafe(journal_failed.set)

    follow_level_signal()
    folder = DataFolder.of(settings)
    certificate = certificate_of(settings.http)
    # Now, beside the rest, and not when the first error is told: compiling takes a moment.
    prepared = loop.run_in_executor(None, Redactor().prepare)
    rooms = await open_rooms(settings, folder, on_fatal)
    await prepared
    upkeep = Upkeep(rooms, folder, settings.scheduler)
    rooms.tasks.start(upkeep.keep_up(), "upkeep")
    _keep_working(rooms)
    operation = Operation(
        ready=upkeep.not_ready,
        status=upkeep.status,
        before_metrics=upkeep.measure,
        other_pages=upkeep.other_pages,
    )
    bodies = Bodies(settings.http.bodies_bytes_max)
    gateway = Gateway(rooms.door, operation, SystemRandomness(), bodies)
    connections = client_connections(settings.http, raise_file_limit(), rooms.door.clock)
    rooms.tasks.start(connections.watch(), "connections")
    server = http_server(gateway, connections, settings.http, _private_socket(settings, folder))
    if certificate is not None:
        server.tls = certificate.context
        rooms.tasks.start(certificate.follow(), "certificate")
        loop.add_signal_handler(signal.SIGHUP, certificate.read_again)

    def stop() -> None:
        """Take no more turns, let the running requests finish."""
        upkeep.draining = True
        server.should_exit = True
        rooms.door.conversations.hub.close()  # or those who follow a conversation hold the drain
        rooms.door.flags.close()
        if rooms.door.relay is not None:
            rooms.door.relay.siblings.stop_waiting()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    rooms.tasks.start(_stop_when(journal_failed, server), "journal watch")
    _quiet_collector()
    log.info("serving.ready", "Serving.", axon__journal__instance=rooms.journal.instance)
    await server.serve(sockets=[listening_socket(settings.http, settings.http.processes > 1)])
    late = await rooms.door.turns.drain(_TURNS_AFTER_REQUESTS_S)
    await close_rooms(rooms)
    log.info("serving.stopped", "Stopped.", axon__turns__interrupted=late)
    return EXIT_JOURNAL_FAILED if journal_failed.is_set() else 0


def _keep_working(rooms: ServingRooms) -> None:
    """Begin what is done beside requests."""
    journaling = DeedsJournaling(rooms.postgres, rooms.journal)
    rooms.tasks.start(journaling.keep_journaling(), "journal deeds")
    rooms.tasks.start(rooms.keys.keks.keep_fresh(), "keys of organizations")
    if isinstance(rooms.worker, Worker):  # else those who drive the engines read theirs
        reading = EngineMetrics(rooms.models, rooms.engines).keep_reading()
        rooms.tasks.start(reading, "metrics of engines")


def _private_socket(settings: Settings, folder: DataFolder) -> socket.socket | None:
    """Return where siblings reach this process; None where there are none."""
    if settings.http.private_fd >= 0:
        return socket.socket(fileno=settings.http.private_fd)
    if settings.http.processes == 1:
        return None
    return private_socket(private_socket_path(folder.root, own_instance(settings)))


def _quiet_collector() -> None:
    """Keep the cycle collector from walking what lives as long as the process.

    Turns leave no cycles behind, so looking for some less often costs no memory.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS_BEFORE_LOOKING, 20, 100)


async def _stop_when(failed: asyncio.Event, server: HttpServer) -> None:
    await failed.wait()
    server.should_exit = True
