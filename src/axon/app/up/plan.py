"""What `axon up` runs, decided from the settings: which servers, which engine, which roles."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import msgspec

from axon.app.embedded import EmbeddedPostgres, EmbeddedValkey, Program
from axon.app.embedded.engine import EmbeddedEngine
from axon.app.folders import DataFolder
from axon.app.probe import answers_ok, get
from axon.app.roles.chosen import serve_command
from axon.app.settings import Settings
from axon.app.sockets import free_port

_WILDCARD_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Where to reach a server of ours that listens everywhere."""

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

    def roles(self, listener: socket.socket, engine_url: str, key: str) -> list[Program]:
        """Return the projector and the serving process, in the order they are started.

        `listener` is handed to the serving process; it is ready when it answers `key` there.
        """
        host, port = listener.getsockname()[:2]

        async def serving_is_ready() -> bool:
            if not await answers_ok(*reached_at(listener), "/readyz"):
                return False
            return await answers_ok(*reached_at(listener), "/v1/models", _bearer(key))

        serving = Program(
            role="serving",
            command=serve_command("gateway,worker"),
            log_path=self.folder.logs / "serving.log",
            environment={
                **self._environment(engine_url),
                "AXON_HTTP_HOST": host,
                "AXON_HTTP_PORT": str(port),
                "AXON_HTTP_FD": str(listener.fileno()),
            },
            pass_fds=(listener.fileno(),),
            is_ready=serving_is_ready,
            stop_within_s=self.settings.http.drain_s + _STOP_MARGIN_S,
        )
        projector = Program(
            role="projector",
            command=serve_command("projector,scheduler"),
            log_path=self.folder.logs / "projector.log",
            environment=self._environment(engine_url),
            stop_within_s=_STOP_MARGIN_S,
        )
        return [projector, serving]

    def base_url(self, listener: socket.socket) -> str:
        """Return the address an OpenAI client is given."""
        host, port = reached_at(listener)
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"

    async def first_model(self, listener: socket.socket, key: str) -> str:
        """Return the name of a model the serving process offers, for the snippets."""
        answer = await get(*reached_at(listener), "/v1/models", _bearer(key))
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


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}
