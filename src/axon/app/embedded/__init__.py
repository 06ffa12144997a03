"""Real PostgreSQL, real Valkey and a small engine, run as children of one process."""

from axon.app.embedded.binaries import BinaryMissing, postgres_folder, valkey_binary
from axon.app.embedded.postgres import EmbeddedPostgres
from axon.app.embedded.process import Program, freeze, kill, launch, thaw, tree_of
from axon.app.embedded.server import EmbeddedServer, ServerFailed
from axon.app.embedded.valkey import EmbeddedValkey

__all__ = [
    "BinaryMissing",
    "EmbeddedPostgres",
    "EmbeddedServer",
    "EmbeddedValkey",
    "Program",
    "ServerFailed",
    "freeze",
    "kill",
    "launch",
    "postgres_folder",
    "thaw",
    "tree_of",
    "valkey_binary",
]
