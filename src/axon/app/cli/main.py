"""`axon`: the group of all commands, and how their errors reach a person."""

import sys

import click
from rich.console import Console
from rich.markup import escape

from axon import __version__
from axon.app.cli.command import LazyGroup
from axon.app.settings import SettingsWrong
from axon.base import AxonError
from axon.privacy import Redactor
from axon.telemetry import configure_log

_FAILED = 1
_USAGE = 2


_COMMANDS = {
    "up": "axon.app.cli.run:up",
    "chat": "axon.app.cli.chat:chat",
    "doctor": "axon.app.cli.doctor:doctor",
    "serve": "axon.app.cli.run:serve",
    "migrate": "axon.app.cli.run:migrate",
    "orgs": "axon.app.cli.orgs:orgs",
    "users": "axon.app.cli.users:users",
    "keys": "axon.app.cli.keys:keys",
    "keyring": "axon.app.cli.keyring:keyring",
    "backup": "axon.app.cli.backup:backup",
    "restore": "axon.app.cli.backup:restore",
    "journal": "axon.app.cli.journal:journal",
    "parked": "axon.app.cli.parked:parked",
    "prices": "axon.app.cli.prices:prices",
    "usage": "axon.app.cli.usage:usage",
    "reconcile": "axon.app.cli.reconcile:reconcile",
    "redact": "axon.app.cli.redact:redact",
    "settings": "axon.app.cli.settings:settings",
    "limits": "axon.app.cli.limits:limits",
    "tiers": "axon.app.cli.tiers:tiers",
    "billing": "axon.app.cli.billing:billing",
    "usage-stream": "axon.app.cli.usage_stream:usage_stream_group",
    "alerts": "axon.app.cli.alerts:alerts",
    "webhooks": "axon.app.cli.webhooks:webhooks",
    "flags": "axon.app.cli.flags:flags",
    "experiments": "axon.app.cli.experiments:experiments",
    "audit": "axon.app.cli.audit:audit",
    "privacy": "axon.app.cli.privacy:privacy",
    "archive": "axon.app.cli.archive:archive",
    "training": "axon.app.cli.training:training",
}


@click.group(
    cls=LazyGroup,
    elsewhere=_COMMANDS,
    examples=[
        "axon up                     # everything on this machine, with a small model",
        'axon chat "Say hello."      # talk to it',
        "axon doctor                 # is everything well?",
    ],
)
@click.version_option(__version__, prog_name="axon")
def axon() -> None:
    """Axon keeps LLM conversations: an OpenAI-compatible server whose answers survive."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 asked wrongly."""
    # A person is told by the command.
    configure_log(sys.stderr, "axon", "error", Redactor().redact_lines)
    console = Console(stderr=True)
    try:
        sys.exit(axon(prog_name="axon", standalone_mode=True))
    except SettingsWrong as error:
        console.print("[red]The settings have mistakes:[/]")
        for mistake in error.mistakes:
            console.print(f"  [red]✗[/] {escape(mistake)}", soft_wrap=True)
        console.print("[dim]docs/settings.md describes every setting.")
        sys.exit(_USAGE)
    except AxonError as error:
        console.print(f"[red]✗[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(_FAILED)
