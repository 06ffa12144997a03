"""What `axon up` runs, decided from the settings: which servers, which engine, which roles."""

import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import msgspec

from axon.app.embedded import EmbeddedPostgres, EmbeddedValkey, Program
from axon.app.embedded.engine import EmbeddedEngine
from axon.app.folders import DataFolder
from axon.app.instances import instances
from axon.app.probe import answers_ok, get
from axon.app.roles.chosen import serve_command
from axon.app.roles.log_level import LEVEL_SIGNALS
from axon.app.settings import Settings
from axon.app.sockets import free_port
from axon.app.up.listeners import Listeners

_WILDCARD_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Where to reach a server of ours that listens everywhere."""

_BOTH = "gateway,worker"

_STOP_MARGIN_S = 10.0
"""Beyond the drain: turns without a client, closing the journal and the connections."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every program of one installation; running them is the supervisor's."""

    settings: Settings
    folder: DataFolder
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @cached_property
    def postgres(self) -> EmbeddedPostgres | None:
        """Return the embedded PostgreSQL, or None when the settings name another."""
        return None if self.settings.database.url else EmbeddedPostgres(self.folder.root)

    @cached_property
    def valkey(self) -> EmbeddedValkey | None:
        """Return the embedded Valkey, or None when the settings name another."""
        valkey = self.settings.valkey
        return None if valkey.url else EmbeddedValkey(self.folder.root, valkey.memory_mb)

    @property
    def wants_engine(self) -> bool:
        """Return whether the embedded engine is needed: nothing else is there to answer."""
        settings = self.settings
        return not (settings.models or settings.upstream.url or settings.engine.url)

    def engine(self, model_path: Path) -> EmbeddedEngine:
        """Return the embedded engine for a GGUF file; chooses a free port."""
        wanted = self.settings.engine
        return EmbeddedEngine(
            data=self.folder.root,
            port=free_port(self.folder.root),
            model_path=model_path,
            alias=wanted.alias,
            slots=wanted.slots,
            slot_context=wanted.context_window,
            threads=wanted.threads or os.cpu_count() or 1,
        )

    @property
    def database_url(self) -> str:
        """Return the address of PostgreSQL, embedded or not."""
        return self.settings.database.url or (self.postgres.url() if self.postgres else "")

    @property
    def valkey_url(self) -> str:
        """Return the address of Valkey, embedded or not."""
        return self.settings.valkey.url or (self.valkey.url() if self.valkey else "")

    def projector(self) -> Program:
        """Return the projector; it is started before what it projects."""
        return Program(
            role="projector",
            command=serve_command("projector"),
            held=LEVEL_SIGNALS,
            log_path=self.folder.logs / "projector.log",
            environment=self._environment(""),
            stop_within_s=_STOP_MARGIN_S,
        )

    def scheduler(self) -> Program:
        """Return the scheduler; nobody waits for it."""
        return Program(
            role="scheduler",
            command=serve_command("scheduler"),
            held=LEVEL_SIGNALS,
            log_path=self.folder.logs / "scheduler.log",
            environment=self._environment(""),
            stop_within_s=_STOP_MARGIN_S,
        )

    def workers(self, engine_url: str) -> list[Program]:
        """Return the worker processes, if the serving processes are not to do their work."""
        return [
            Program(
                role="worker",
                instance=f"worker-{number}",
                command=serve_command("worker"),
                held=LEVEL_SIGNALS,
                log_path=self.folder.logs / f"worker-{number}.log",
                environment=self._environment(engine_url),
                stop_within_s=self.settings.http.drain_s + _STOP_MARGIN_S,
            )
            for number in range(1, self.settings.workers.processes + 1)
        ]

    def serving(self, listeners: Listeners, engine_url: str, key: str) -> list[Program]:
        """Return the serving processes, by their place; each is ready once it answers `key`.

        All are handed the public socket, and each its private one.
        """
        host, port = listeners.public.getsockname()[:2]
        shared = {
            **self._environment(engine_url),
            "AXON_HTTP_HOST": host,
            "AXON_HTTP_PORT": str(port),
            "AXON_HTTP_FD": str(listeners.public.fileno()),
        }
        return [
            Program(
                role="serving",
                instance=_called(place),
                command=serve_command("gateway" if self.settings.workers.processes else _BOTH),
                held=LEVEL_SIGNALS,
                log_path=self.folder.logs / f"{_called(place)}.log",
                environment={
                    **shared,
                    "AXON_HTTP_PLACE": str(place),
                    "AXON_HTTP_PRIVATE_FD": str(private.fileno()),
                },
                pass_fds=(listeners.public.fileno(), private.fileno()),
                is_ready=_answers(private, key),
                stop_within_s=self.settings.http.drain_s + _STOP_MARGIN_S,
            )
            for place, private in self._places(listeners)
        ]

    def _places(self, listeners: Listeners) -> list[tuple[int, socket.socket]]:
        names = instances(self.settings)
        return [(names.index(name) + 1, private) for name, private in listeners.private.items()]

    def base_url(self, listener: socket.socket) -> str:
        """Return the address an OpenAI client is given."""
        host, port = reached_at(listener)
        scheme = "https" if self.settings.http.tls_cert else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/v1"

    async def first_model(self, listeners: Listeners, key: str) -> str:
        """Return the name of a model the serving processes offer, for the snippets."""
        private = next(iter(listeners.private.values()))
        answer = await get(private.getsockname(), 0, "/v1/models", _bearer(key))
        try:
            return msgspec.json.decode(answer[1] if answer else b"", type=_Models).data[0].id
        except (msgspec.DecodeError, IndexError):
            return "MODEL"

    def _environment(self, engine_url: str) -> dict[str, str]:
        """Return the variables of a role: ours, and the addresses of what we started."""
        found = {
            **self.environment,
            "AXON_DATA": str(self.folder.root),
            "AXON_DATABASE_URL": self.database_url,
            "AXON_VALKEY_URL": self.valkey_url,
        }
        if engine_url:
            found["AXON_ENGINE_URL"] = engine_url
        return found


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


def reached_at(listener: socket.socket) -> tuple[str, int]:
    """Return the host and port at which a local client reaches a listening socket."""
    host, port = listener.getsockname()[:2]
    return _WILDCARD_HOSTS.get(host, host), port


def _called(place: int) -> str:
    """Return what a person calls the serving process at a place, from 1."""
    return "serving" if place == 1 else f"serving-{place}"


def _answers(private: socket.socket, key: str) -> Callable[[], Awaitable[bool]]:
    """Return the check whether the process behind a private socket takes turns, and this key."""
    path = private.getsockname()

    async def is_ready() -> bool:
        if not await answers_ok(path, 0, "/readyz"):
            return False
        return await answers_ok(path, 0, "/v1/models", _bearer(key))

    return is_ready


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}
