"""axon training: who agreed that models learn from what they said, and the examples made of it."""

from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from axon.app.administration import command_actor
from axon.app.cli.command import ExampleGroup, json_option
from axon.app.cli.instants import AGO_OR_INSTANT
from axon.app.cli.of_running import Running, of_running
from axon.app.cli.tables import day, show
from axon.app.training_folder import (
    Manifest,
    Page,
    Progress,
    TrainingFolder,
    opened,
    verify,
)
from axon.base import MIB, MICROS_PER_SECOND, SystemClock
from axon.training import FORMATS, PAGE_TURNS_MAX

_reason_option = click.option("--reason", required=True, help="Why; it is written down.")


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon training policy opted_in --reason 'the contract of May'",
        "axon training consent ada yes --reason 'asked in the app'",
        "axon training export --format preference --since 90d --reason 'model 7' --out data/",
        "axon training verify data/",
    ],
)
def training() -> None:
    """Make examples for models of what people agreed to, redacted (docs/training.md).

    The commands ask a running Axon: that of the data folder's `axon up`, with its development key,
    or the one at --base-url.
    """


@training.command(
    "policy",
    examples=["axon training policy", "axon training policy opted_in --reason 'the contract'"],
)
@click.argument("policy", type=click.Choice(["off", "opted_in", "all"]), required=False)
@click.option("--reason", default="", help="Why it is changed; it is written down.")
@of_running
def set_policy(running: Running, policy: str | None, reason: str) -> None:
    """Show or change what the organization allows models to learn from.

    `off` is nothing, and what counts until somebody says more; `opted_in` is what people said who
    agreed; `all` also what those said who were not asked, but for those kept in the EU.
    """
    if policy is None:
        found = running.client.get("/training/policy", {})
    else:
        body = msgspec.json.encode({"policy": policy, "reason": reason})
        found = msgspec.json.decode(running.client.call("PUT", "/training/policy", body))
    click.echo(msgspec.json.encode(found) if running.as_json else found["policy"])


@training.command(
    "consent",
    examples=[
        "axon training consent ada",
        "axon training consent ada yes --reason 'asked in the app'",
        "axon training consent ada no --reason 'wrote to us'",
    ],
)
@click.argument("user")
@click.argument("consent", type=click.Choice(["yes", "no"]), required=False)
@click.option("--reason", default="", help="Why it is changed; it is written down.")
@of_running
def say_consent(running: Running, user: str, consent: str | None, reason: str) -> None:
    """Show or write down whether a person agreed; exports made later heed it."""
    if consent is None:
        found = running.client.get(f"/training/consent?{urlencode({'user': user})}", {})
    else:
        said = {"user": user, "consent": consent == "yes", "reason": reason}
        answer = running.client.call("PUT", "/training/consent", msgspec.json.encode(said))
        found = msgspec.json.decode(answer)
    words = {True: "yes", False: "no", None: "not asked"}
    click.echo(msgspec.json.encode(found) if running.as_json else words[found["consent"]])


@training.command(
    "export",
    examples=[
        "axon training export --format sft --since 90d --reason 'model 7' --out data/",
        "axon training export --format preference --liked --model small --reason eval --out pairs/",
    ],
)
@click.option("--format", "name", type=click.Choice(FORMATS), required=True, help="Of examples.")
@click.option("--since", help="Turns from then on: 90d, 12h, or an instant.")
@click.option("--until", help="The same; else until now.")
@click.option("--model", default="", help="Only turns of this model.")
@click.option("--liked", is_flag=True, help="Only answers found good, or corrected.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="A new folder."
)
@_reason_option
@of_running
def export(running: Running, name: str, out: Path, reason: str, **wanted: object) -> None:
    """Write examples of what people agreed to into numbered shards with a manifest.

    `sft` and `sharegpt` are whole conversations to learn; `unpaired` is answers found good or bad;
    `preference` and `openai` are the better of two answers beside the worse. What was cut short
    goes on with the same command: nothing is written twice and nothing is left out.
    """
    asked = {one: value for one, value in wanted.items() if value}
    filters = {**asked, "since": _seconds(asked.get("since", "1970-01-01"))}
    filters["until"] = _seconds(asked.get("until", "0s"))
    with opened(out, Progress(format=name, asked=asked, filters=filters)) as folder:
        whole = {**folder.progress.filters, "format": name, "limit": PAGE_TURNS_MAX}
        _fill(running, folder, {**whole, "reason": reason})
        made_by = msgspec.json.decode(command_actor())
        done = folder.finish(SystemClock().now_us(), made_by, reason)
    if running.as_json:
        click.echo(msgspec.json.encode(done))
        return
    _tell(done, out)


@training.command("verify", examples=["axon training verify data/"])
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def verify_export(folder: Path, as_json: bool) -> None:
    """See whether every shard of an export is there and as it was written."""
    found = verify(folder)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    _tell(found, folder)


def _fill(running: Running, folder: TrainingFolder, asked: dict[str, object]) -> None:
    """Ask for page after page until there are no more."""
    columns = (TextColumn("turns"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("")
        while True:
            body = {**asked, "after": folder.progress.last_id}
            answer = running.client.call("POST", "/training/export", msgspec.json.encode(body))
            page = msgspec.json.decode(answer, type=Page)
            folder.take(page)
            done = folder.progress
            bar.update(task, completed=done.turns, total=done.total or None)
            if not page.has_more:
                return


def _tell(done: Manifest, folder: Path) -> None:
    columns = {
        "Shard": [one.name for one in done.shards],
        "Examples": [f"{one.examples:,}" for one in done.shards],
        "MiB": [f"{one.bytes / MIB:,.1f}" for one in done.shards],
        "SHA-256": [one.sha256[:16] for one in done.shards],
    }
    if done.shards:
        show(done.shards, columns, as_json=False)
    click.echo(
        f"{folder}: {done.examples:,} examples of {done.turns:,} turns, "
        f"{done.duplicates:,} duplicates left out, {sum(done.hidden.values()):,} values hidden; "
        f"{day(done.finished_us)}"
    )
    for why, count in sorted(done.dropped.items(), key=lambda one: -one[1]):
        click.echo(f"  {count:,} turns left out: {_WHY.get(why, why)}")


_WHY = {
    "organization_off": "the organization allows nothing (axon training policy)",
    "refused": "the person refused",
    "not_asked": "the person did not agree",
    "not_liked": "nobody found the answer good",
    "nothing_to_learn": "nothing to learn from in this format",
    "no_chat": "no chat of a person's",
    "blocked": "safety blocked it",
    "erased": "the person was erased",
    "deleted": "it was deleted",
    "media": "it has images, files or sound",
    "no_answer": "there is no answer",
    "too_long": "the conversation is too long",
    "damaged": "it cannot be opened",
    "shape": "it is of another shape",
}


def _seconds(text: object) -> int:
    """Return the second of an instant or a time ago; fails with the forms that are understood."""
    instant_us = AGO_OR_INSTANT.convert(str(text), None, click.get_current_context())
    return -(-instant_us // MICROS_PER_SECOND)
