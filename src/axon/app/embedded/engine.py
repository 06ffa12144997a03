"""How the embedded engine is run: llama.cpp's server with a small model, in its own process."""

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from axon.app.embedded.process import Program
from axon.app.probe import answers_ok

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedEngine:
    """An engine that listens on a local port and serves one GGUF file."""

    data: Path
    port: int
    model_path: Path
    alias: str
    slots: int
    slot_context: int
    threads: int

    def url(self) -> str:
        """Return the address of its OpenAI endpoint; /tokenize lies beside /v1."""
        return f"http://{HOST}:{self.port}/v1"

    def program(self) -> Program:
        """Return how the engine is run."""
        options = {
            "port": self.port,
            "model": self.model_path,
            "alias": self.alias,
            "slots": self.slots,
            "slot-context": self.slot_context,
            "threads": self.threads,
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return Program(
            role="engine",
            command=(sys.executable, "-P", "-m", "axon.app.embedded.engine_process", *flags),
            log_path=self.data / "logs" / "engine.log",
            is_ready=self._is_ready,
            stop_signal=signal.SIGKILL,  # it keeps nothing, and a running prefill cannot be told
            stop_within_s=1.0,
        )

    async def _is_ready(self) -> bool:
        return await answers_ok(HOST, self.port, "/health")
