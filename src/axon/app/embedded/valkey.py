"""The embedded Valkey: memory only, reached by a unix socket only."""

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from axon.app.embedded.binaries import valkey_binary
from axon.app.embedded.folders import socket_folder
from axon.app.embedded.process import Program

_PROBE_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class EmbeddedValkey:
    """A Valkey for the data folder `data`; it never writes a file, for an old one coming back
    would be a stale truth.
    """

    data: Path
    memory_mb: int = 256

    @property
    def socket(self) -> Path:
        """Return the path of the server's socket."""
        return socket_folder(self.data) / "valkey.sock"

    def url(self) -> str:
        """Return the server's address."""
        return f"unix://{quote(str(self.socket))}"

    def program(self) -> Program:
        """Return how the server is run; raises BinaryMissing."""
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "maxmemory": f"{self.memory_mb}mb",
            # Everything has a lifetime. The least recently used goes first: windows nobody
            # asks for, never a lease, whose owner has just touched it.
            "maxmemory-policy": "volatile-lru",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return Program(
            role="valkey",
            command=(str(valkey_binary()), *flags),
            log_path=self.data / "logs" / "valkey.log",
            is_ready=self._is_ready,
            stop_signal=signal.SIGTERM,
            stop_within_s=2.0,
        )

    async def _is_ready(self) -> bool:
        """Return True when the server answers a PING."""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(self.socket)
                writer.write(b"PING\r\n")
                answer = await reader.readline()
                writer.close()
        except (OSError, TimeoutError):
            return False
        return answer == b"+PONG\r\n"
