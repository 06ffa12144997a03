"""The commands that run Axon: up, serve, migrate."""

import asyncio
import sys
from pathlib import Path

import click
import msgspec
from rich.console import Console

from axon.app.administration import database_address
from axon.app.cli.command import (
    ExampleCommand,
    config_option,
    data_option,
    json_option,
    settings_from,
)
from axon.app.migrations import migrate_all
from axon.app.roles.chosen import ROLES, UnknownRole, run_roles
from axon.app.up import run_up


@click.command(
    cls=ExampleCommand,
    examples=[
        "axon up",
        "axon up --port 8081 --data /var/lib/axon",
        "axon up --host 0.0.0.0 --port 443 --tls-cert chain.pem --tls-key key.pem",
        "axon up --serving 4           # as many processes as the machine has cores to give",
        "AXON_UPSTREAM_KEY=sk-... axon up --upstream https://api.openai.com/v1",
        "AXON_UPSTREAM_KEY_FILE=/run/secrets/openai axon up --upstream https://api.openai.com/v1",
        "axon up --json > axon.json   # one line when ready, for scripts",
    ],
)
@data_option
@click.option("--host", help="Address to listen on, instead of 127.0.0.1.")
@click.option("--port", type=int, help="Port to listen on, instead of 8080; 0: any free one.")
@click.option("--tls-cert", metavar="FILE", help="Speak TLS 1.3, with this certificate.")
@click.option("--tls-key", metavar="FILE", help="The certificate's key.")
@click.option("--serving", type=int, help="Serving processes behind the port, instead of 1.")
@click.option("--workers", type=int, help="Worker processes; else the serving ones do their work.")
@click.option("--upstream", metavar="URL", help="Serve this OpenAI-compatible endpoint's models.")
@click.option("--upstream-key", metavar="KEY", help="Its API key; AXON_UPSTREAM_KEY hides it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
@config_option
def up(
    config: Path | None,
    as_json: bool,
    **chosen: str | int | None,
) -> None:
    """Run everything on this machine, until Ctrl-C.

    Starts PostgreSQL, Valkey, a small engine with a small model, and Axon; restarts what dies;
    keeps everything in the data folder. A second start finds the same key and conversations.
    """
    settings = settings_from(
        config,
        {
            "AXON_DATA": chosen["data"],
            "AXON_HTTP_HOST": chosen["host"],
            "AXON_HTTP_PORT": chosen["port"],
            "AXON_HTTP_TLS_CERT": _absolute(chosen["tls_cert"]),
            "AXON_HTTP_TLS_KEY": _absolute(chosen["tls_key"]),
            "AXON_HTTP_PROCESSES": chosen["serving"],
            "AXON_WORKERS_PROCESSES": chosen["workers"],
            "AXON_UPSTREAM_URL": chosen["upstream"],
            "AXON_UPSTREAM_KEY": chosen["upstream_key"],
        },
    )
    sys.exit(run_up(settings, as_json))


@click.command(
    cls=ExampleCommand,
    examples=[
        "axon serve --role gateway,worker",
        "axon serve --role projector,scheduler",
        "axon serve --role gateway     # with workers elsewhere:",
        "axon serve --role worker",
        "AXON_DATABASE_URL=postgresql://... axon serve --role gateway,worker --port 80",
        "axon serve --role gateway,worker --port 443 --tls-cert chain.pem --tls-key key.pem",
    ],
)
@click.option(
    "--role", "roles", required=True, metavar="ROLE,...", help=f"What to do: {', '.join(ROLES)}."
)
@data_option
@click.option("--host", help="Address to listen on, instead of 127.0.0.1.")
@click.option("--port", type=int, help="Port to listen on, instead of 8080.")
@click.option("--tls-cert", metavar="FILE", help="Speak TLS 1.3, with this certificate.")
@click.option("--tls-key", metavar="FILE", help="The certificate's key.")
@config_option
def serve(roles: str, config: Path | None, **chosen: str | int | None) -> None:
    """Run some roles in this process, with servers of your own.

    PostgreSQL and Valkey come from AXON_DATABASE_URL and AXON_VALKEY_URL; run `axon migrate`
    first. SIGTERM lets running turns finish; SIGHUP reads a renewed certificate at once.
    """
    settings = settings_from(
        config,
        {
            "AXON_DATA": chosen["data"],
            "AXON_HTTP_HOST": chosen["host"],
            "AXON_HTTP_PORT": chosen["port"],
            "AXON_HTTP_TLS_CERT": _absolute(chosen["tls_cert"]),
            "AXON_HTTP_TLS_KEY": _absolute(chosen["tls_key"]),
        },
    )
    try:
        sys.exit(run_roles(frozenset(roles.split(",")), settings))
    except UnknownRole as error:
        raise click.BadParameter(str(error), param_hint="--role") from error


@click.command(
    cls=ExampleCommand,
    examples=["axon migrate", "AXON_DATABASE_URL=postgresql://... axon migrate --json"],
)
@data_option
@json_option
@config_option
def migrate(data: str | None, as_json: bool, config: Path | None) -> None:
    """Bring the database to the schema of this version.

    Harmless to repeat. Without AXON_DATABASE_URL it is the embedded PostgreSQL of a running
    `axon up`.
    """
    url = database_address(settings_from(config, {"AXON_DATA": data}))
    applied = asyncio.run(migrate_all(url))
    if as_json:
        click.echo(msgspec.json.encode(applied))
        return
    console = Console()
    for room, names in applied.items():
        console.print(f"[green]✓[/] {room}: {', '.join(names) if names else 'up to date'}")


def _absolute(path: str | int | None) -> str | None:
    """Return the file an option names, for processes that may run in another folder."""
    return None if path is None else str(Path(str(path)).expanduser().absolute())
