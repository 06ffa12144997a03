"""`axon`: the group of all commands, and how their errors reach a person."""

import sys

import click
from rich.console import Console
from rich.markup import escape

from axon import __version__
from axon.app.cli.alerts import alerts
from axon.app.cli.archive import archive
from axon.app.cli.audit import audit
from axon.app.cli.backup import backup, restore
from axon.app.cli.billing import billing
from axon.app.cli.chat import chat
from axon.app.cli.command import ExampleGroup
from axon.app.cli.deeds import changes
from axon.app.cli.doctor import doctor
from axon.app.cli.experiments import experiments
from axon.app.cli.flag_import import import_command
from axon.app.cli.flag_replay import replay_flags
from axon.app.cli.flag_sync import sync_flags
from axon.app.cli.flags import flags
from axon.app.cli.journal import journal
from axon.app.cli.keyring import keyring
from axon.app.cli.keys import keys
from axon.app.cli.limits import limits
from axon.app.cli.orgs import orgs
from axon.app.cli.parked import parked
from axon.app.cli.prices import prices
from axon.app.cli.privacy import privacy
from axon.app.cli.reconcile import reconcile
from axon.app.cli.redact import redact
from axon.app.cli.run import migrate, serve, up
from axon.app.cli.settings import settings
from axon.app.cli.tiers import tiers
from axon.app.cli.training import training
from axon.app.cli.usage import usage
from axon.app.cli.usage_stream import usage_stream_group
from axon.app.cli.users import users
from axon.app.cli.webhooks import webhooks
from axon.app.settings import SettingsWrong
from axon.base import AxonError
from axon.privacy import Redactor
from axon.telemetry import configure_log

_FAILED = 1
_USAGE = 2


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon up                     # everything on this machine, with a small model",
        'axon chat "Say hello."      # talk to it',
        "axon doctor                 # is everything well?",
    ],
)
@click.version_option(__version__, prog_name="axon")
def axon() -> None:
    """Axon keeps LLM conversations: an OpenAI-compatible server whose answers survive."""


for command in (
    up, chat, doctor, serve, migrate, orgs, users, keys, keyring, backup, restore, journal,
    parked, prices, usage, reconcile, redact, settings, limits, tiers, billing,
    usage_stream_group, alerts, webhooks, flags, experiments, audit, privacy, archive,
    training,
):  # fmt: skip
    axon.add_command(command)
flags.add_command(import_command)
flags.add_command(replay_flags)
flags.add_command(sync_flags)
audit.add_command(changes)


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
