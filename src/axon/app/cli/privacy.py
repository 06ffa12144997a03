"""axon privacy: all of a person's data for them, or none of it any more."""

from pathlib import Path
from urllib.parse import quote, urlencode

import click
import msgspec

from axon.app.cli.command import ExampleGroup
from axon.app.cli.of_running import Running, of_running
from axon.app.cli.tables import day, show
from axon.base import MICROS_PER_SECOND
from axon.subjects import Receipt

_reason_option = click.option("--reason", required=True, help="Why; it is written down.")


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon privacy export ada --reason 'asked on 3 May' --to ada.zip",
        "axon privacy erase ada --reason 'asked on 3 May'",
        "axon privacy receipts",
        "axon privacy hold ada --reason 'lawsuit 7'",
    ],
)
def privacy() -> None:
    """Export or forget a person, by the name your product gives them (docs/audit.md).

    The commands ask a running Axon: that of the data folder's `axon up`, with its development key,
    or the one at --base-url.
    """


@privacy.command("export", examples=["axon privacy export ada --reason 'asked' --to ada.zip"])
@click.argument("user")
@_reason_option
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="The archive to write.")
@of_running
def export_person(running: Running, user: str, reason: str, to: Path | None) -> None:
    """Write everything that is kept of a person into one zip archive."""
    body = msgspec.json.encode({"user": user, "reason": reason})
    archive = running.client.call("POST", "/privacy/export", body)
    path = to or Path("axon-export.zip")
    path.touch(mode=0o600)
    path.write_bytes(archive)
    click.echo(f"{path}: {len(archive):,} bytes")


@privacy.command("erase", examples=["axon privacy erase ada --reason 'asked on 3 May' --yes"])
@click.argument("user")
@_reason_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@of_running
def erase_person(running: Running, user: str, reason: str, yes: bool) -> None:
    """Destroy the keys of all that a person said: nobody can read it again, here or in a backup."""
    if not yes:
        click.confirm(f"Forget {user} for ever?", abort=True)
    answer = running.client.post("/privacy/erase", {"user": user, "reason": reason})
    if running.as_json:
        click.echo(msgspec.json.encode(answer))
        return
    receipt = msgspec.convert(answer["receipt"], Receipt)
    columns = {
        "Store": [one.store for one in receipt.stores],
        "Count": [f"{one.count:,}" for one in receipt.stores],
        "Became": [one.outcome for one in receipt.stores],
        "As": [one.note for one in receipt.stores],
    }
    show(receipt.stores, columns, as_json=False)
    click.echo(f"{receipt.id}: {receipt.keys} keys destroyed in {receipt.took_ms / 1000:.2f} s")
    click.echo(f"Backups of keys made before end by {day(receipt.key_backups_end_us)}.")


@privacy.command("receipts", examples=["axon privacy receipts --json"])
@of_running
def list_receipts(running: Running) -> None:
    """List the signed receipts of people who were forgotten, the newest first."""
    found = running.client.get("/privacy/receipts", {})["data"]
    receipts = [msgspec.json.decode(one["document"], type=Receipt) for one in found]
    columns = {
        "Receipt": [one.id for one in receipts],
        "Person": [f"{one.user:016x}" for one in receipts],
        "At": [day(one.erased_at_us) for one in receipts],
        "Keys": [str(one.keys) for one in receipts],
        "Why": [one.reason for one in receipts],
    }
    show(found, columns, running.as_json)


@privacy.command("hold", examples=["axon privacy hold ada --reason 'lawsuit 7'"])
@click.argument("user")
@_reason_option
@of_running
def hold_person(running: Running, user: str, reason: str) -> None:
    """See that nothing of a person is erased or expires until the hold is released."""
    made = running.client.post("/audit/holds", {"user": user, "reason": reason})
    click.echo(msgspec.json.encode(made) if running.as_json else made["id"])


@privacy.command("release", examples=["axon privacy release hold_91ab --reason settled"])
@click.argument("hold")
@_reason_option
@of_running
def release_hold(running: Running, hold: str, reason: str) -> None:
    """End a legal hold."""
    path = f"/audit/holds/{quote(hold, safe='')}?{urlencode({'reason': reason})}"
    ended = running.client.call("DELETE", path)
    click.echo(ended if running.as_json else f"{hold} is released.")


@privacy.command("holds", examples=["axon privacy holds"])
@of_running
def list_holds(running: Running) -> None:
    """List the legal holds in force, the newest first."""
    found = running.client.get("/audit/holds", {})["data"]
    columns = {
        "Hold": [one["id"] for one in found],
        "Person": [one["user_id"] for one in found],
        "Conversation": [one["conversation"] or "" for one in found],
        "Since": [day(one["held_at"] * MICROS_PER_SECOND) for one in found],
        "Why": [one["reason"] for one in found],
    }
    show(found, columns, running.as_json)
