"""axon flags sync: flags for clients that decide in their own process."""

import importlib
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import click

from axon.app.cli.command import ExampleCommand
from axon.app.cli.of_running import asking
from axon.app.flag_sync import FlagSource
from axon.app.flags_client import FlagsClient
from axon.base import AxonError
from axon.privacy import Redactor
from axon.telemetry import configure_log

_ENDS = (signal.SIGINT, signal.SIGTERM)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class FlagdExtraMissing(AxonError):
    """gRPC is not installed: pip install "axon[flagd]"."""


@click.command(
    "sync",
    cls=ExampleCommand,
    examples=[
        "axon flags sync   # then: FlagdProvider(resolver_type=IN_PROCESS, port=8015)",
        "axon flags sync --listen 0.0.0.0:8015 --tls-cert cert.pem --tls-key key.pem",
        "axon flags sync --base-url https://axon.example/v1 --api-key sk-axon-...",
    ],
)
@click.option(
    "--listen",
    default="127.0.0.1:8015",
    show_default=True,
    metavar="HOST:PORT",
    help="Where clients reach it.",
)
@click.option(
    "--hashing",
    type=click.Choice(["v2", "v3"]),
    default="v3",
    show_default=True,
    help="How the clients' flagd core places people: v3 since its 2.0.0.",
)
@click.option("--tls-cert", "chain", type=_FILE, help="Certificates in PEM; else it is in clear.")
@click.option("--tls-key", "key", type=_FILE, help="Their key.")
@asking(lambda base_url, key, _: FlagsClient(base_url, key), "A key with the permission `flags`.")
def sync_flags(
    client: FlagsClient, listen: str, hashing: str, chain: Path | None, key: Path | None
) -> None:
    """Tell flags to clients that decide in their own process, by flagd.sync.v1, until Ctrl-C.

    It asks a running Axon twice a second, and tells what it said last while Axon is away. What only
    Axon can decide is left out and named. Clients are asked for no key: let only yours reach it.
    """
    if (chain is None) != (key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together")
    try:
        serving: Any = importlib.import_module("axon.app.flag_sync.grpc_server")
    except ImportError as error:
        raise FlagdExtraMissing from error
    configure_log(sys.stderr, "axon-flag-sync", "info", Redactor().redact_lines)
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # in every thread to come: `sigwait` has them
    source = FlagSource(client, hashing)
    source.look()
    certificate = None
    if chain is not None and key is not None:
        certificate = serving.Certificate(chain=chain.read_bytes(), key=key.read_bytes())
    server = serving.SyncServer(source, listen, certificate)
    looking = threading.Thread(target=source.keep_looking, name="flag-sync-look", daemon=True)
    looking.start()
    click.echo(f"flagd.sync.v1 at {listen.rpartition(':')[0]}:{server.port}; Ctrl-C ends it")
    signal.sigwait(_ENDS)
    server.stop()
