"""axon audit: what was asked and answered, who read it, and whether anybody changed it."""

import asyncio
import sys
from datetime import UTC
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from axon.app.administration import database_address
from axon.app.cli.command import (
    LazyGroup,
    config_option,
    data_option,
    json_option,
    settings_from,
)
from axon.app.cli.of_running import Running, of_running
from axon.app.cli.tables import day, show
from axon.app.folders import DataFolder
from axon.app.settings import Settings
from axon.audit import Checkpoint, Signer, Verdict, fingerprint, read_checkpoints, verify_journal
from axon.base import MICROS_PER_SECOND, SystemClock, SystemRandomness
from axon.gateway import AccessShown, TurnShown
from axon.sealing import Keyring
from axon.stores import Postgres, PostgresOptions

_TIMEOUT_S = 60.0

_limit_option = click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 100), help="How many."
)

_reason_option = click.option("--reason", required=True, help="Why; it is written down.")


@click.group(
    cls=LazyGroup,
    elsewhere={
        "changes": "axon.app.cli.deeds:changes",
    },
    examples=[
        "axon audit search --user ada --feedback down",
        "axon audit show resp_0f3c --reason 'complaint 4711'",
        "axon audit log",
        "axon audit changes",
        "axon audit verify",
    ],
)
def audit() -> None:
    """Turns for auditors; each reading is written down (docs/audit.md).

    The commands ask a running Axon: that of the data folder's `axon up`, with its development key,
    or the one at --base-url. `verify` reads the journals of this node itself.
    """


@audit.command("search", examples=["axon audit search --variant tone:warm --feedback up"])
@click.option("--user", default="", help="Of this person, by name.")
@click.option("--model", default="", help="That this model answered.")
@click.option("--flag", default="", help="For which this flag had a variant.")
@click.option("--variant", default="", help="With this variant, as flag:variant.")
@click.option("--feedback", type=click.Choice(["up", "down", "any"]), help="That was judged so.")
@click.option("--status", default="", help="That ended so, as completed.")
@click.option("--verdict", default="", help="For which safety did this, as redacted.")
@click.option("--since", type=click.DateTime(), help="Not before this time, in UTC.")
@click.option("--until", type=click.DateTime(), help="Before this time, in UTC.")
@click.option("--after", default="", help="Behind the last one of the page before.")
@_limit_option
@of_running
def search_turns(running: Running, **asked: object) -> None:
    """List turns without what was said in them, the newest first."""
    for name in ("since", "until"):
        at = asked[name]
        asked[name] = None if at is None else int(at.replace(tzinfo=UTC).timestamp())  # type: ignore[attr-defined]
    answer = running.client.get("/audit/turns", asked)
    found = msgspec.convert(answer["data"], list[TurnShown])
    columns = {
        "Turn": [one.id for one in found],
        "Accepted": [day(one.accepted_at * MICROS_PER_SECOND) for one in found],
        "Person": [one.user_id for one in found],
        "Model": [one.served_model or one.model for one in found],
        "Status": [one.status for one in found],
        "Thumb": [one.rating or "" for one in found],
        "Variants": [", ".join(one.variants) for one in found],
    }
    show(found, columns, running.as_json)
    if answer["has_more"] and not running.as_json:
        click.echo(f"More: --after {answer['last_id']}")


@audit.command(
    "show",
    examples=[
        "axon audit show resp_0f3c --reason 'complaint 4711'",
        "axon audit show resp_0f3c --reason 'complaint 4711' --request areq_91ab",
    ],
)
@click.argument("turn")
@_reason_option
@click.option("--request", default="", help="That another auditor approved.")
@of_running
def show_turn(running: Running, turn: str, reason: str, request: str) -> None:
    """Show all of a turn; that you read it, and why, is written down first."""
    body = {"reason": reason, **({"request": request} if request else {})}
    found = running.client.call("POST", f"/audit/turns/{turn}/content", msgspec.json.encode(body))
    click.echo(found if running.as_json else msgspec.json.format(found))


@audit.command("request", examples=["axon audit request resp_0f3c --reason 'complaint 4711'"])
@click.argument("turn")
@_reason_option
@of_running
def request_reading(running: Running, turn: str, reason: str) -> None:
    """Ask another auditor to let you read a turn."""
    click.echo(running.client.post("/audit/requests", {"turn": turn, "reason": reason})["id"])


@audit.command("approve", examples=["axon audit approve areq_91ab --reason 'seen the complaint'"])
@click.argument("request")
@_reason_option
@of_running
def approve_request(running: Running, request: str, reason: str) -> None:
    """Let another auditor read the turn they asked for, for a day."""
    made = running.client.post(f"/audit/requests/{request}/approve", {"reason": reason})
    click.echo(f"{made['user_id']} may read {made['turn']}.")


@audit.command("log", examples=["axon audit log", "axon audit log --limit 100 --json"])
@click.option("--after", default="", help="Behind the last one of the page before.")
@_limit_option
@of_running
def show_log(running: Running, after: str, limit: int) -> None:
    """List who read what and why, and who changed keys, users and limits, the newest first."""
    answer = running.client.get("/audit/log", {"after": after, "limit": limit})
    found = msgspec.convert(answer["data"], list[AccessShown])
    columns = {
        "At": [day(one.at * MICROS_PER_SECOND) for one in found],
        "Who": [one.user_id or f"{one.name}@{one.place}" for one in found],
        "Did": [one.action for one in found],
        "Whose": [one.subject_id or "" for one in found],
        "What": [" ".join(one.objects) for one in found],
        "Why": [one.reason or _changed(one) for one in found],
    }
    show(found, columns, running.as_json)


def _changed(one: AccessShown) -> str:
    """Return what a change of configuration was, on one line."""
    parts = [msgspec.json.encode(part).decode() for part in (one.before, one.after) if part]
    return " -> ".join(parts)


@audit.command("verify", examples=["axon audit verify", "axon audit verify --json"])
@data_option
@json_option
@config_option
def verify_journals(data: str | None, as_json: bool, config: Path | None) -> None:
    """Follow the hash chain of every journal of this node, and hold it against what was signed.

    May be done while Axon runs. Exit code 1 when anything is not what it was.
    """
    settings = settings_from(config, {"AXON_DATA": data})
    folder = DataFolder.of(settings)
    signer = Signer(Keyring.open(folder.keyring, SystemRandomness()))
    journals = sorted(path for path in folder.journals.glob("*") if path.is_dir())
    signed = asyncio.run(_checkpoints(settings, [path.name for path in journals]))
    kept_from_us = SystemClock().now_us() - settings.journal.retention_s * MICROS_PER_SECOND
    console = Console(stderr=True)
    verdicts: list[Verdict] = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for path in journals:
            task = progress.add_task(path.name)
            verdict = verify_journal(
                path,
                signed[path.name],
                signer.public_key,
                kept_from_us,
                lambda done, total, task=task: progress.update(task, completed=done, total=total),  # type: ignore[misc]
            )
            verdicts.append(verdict)
    columns = {
        "Journal": [one.instance for one in verdicts],
        "Entries": [f"{one.entries:,}" for one in verdicts],
        "Through": [f"{one.through:,}" for one in verdicts],
        "Checkpoints": [f"{one.checkpoints:,}" for one in verdicts],
        "Signed through": [f"{one.signed_through:,}" for one in verdicts],
        "Found": ["; ".join(one.findings) or "as it was" for one in verdicts],
    }
    show(verdicts, columns, as_json)
    if not as_json:
        console.print(f"signed by {signer.public_key.hex()} ({fingerprint(signer.public_key)})")
    if any(one.findings for one in verdicts):
        sys.exit(1)


async def _checkpoints(settings: Settings, names: list[str]) -> dict[str, list[Checkpoint]]:
    """Return the checkpoints of each journal; raises PostgresAway."""
    postgres = Postgres(
        database_address(settings), PostgresOptions(connections_max=1), SystemClock()
    )
    await postgres.start()
    try:
        async with postgres.connection(_TIMEOUT_S) as connection:
            return {name: await read_checkpoints(connection, name) for name in names}
    finally:
        await postgres.stop()
