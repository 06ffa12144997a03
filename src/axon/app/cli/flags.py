"""axon flags: what is decided for whom, and who changed it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
import msgspec

from axon.app.cli.command import (
    LazyGroup,
)
from axon.app.cli.of_running import asking
from axon.app.cli.tables import day, show
from axon.app.flags_client import FlagsClient
from axon.base import MICROS_PER_SECOND, SystemClock
from axon.flags import EvaluationContext, read_definitions
from axon.gateway import FlagShown

_VERSION = click.IntRange(min=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """How a command was asked: of which Axon, and for what kind of answer."""

    client: FlagsClient
    as_json: bool

    def tell(self, changed: Mapping[str, Any], done: str) -> None:
        """Say what a change did."""
        if self.as_json:
            click.echo(msgspec.json.encode(changed))
        elif changed["schedule_id"]:
            click.echo(f"It will be done, as {changed['schedule_id']}; nothing has changed yet.")
        elif changed["versions"]:
            versions = [f"{key} has version {one}" for key, one in changed["versions"].items()]
            click.echo(f"{done}: {', '.join(versions)}.")
        else:
            click.echo("Nothing was to be changed.")


_asking = asking(
    lambda base_url, key, as_json: Asked(FlagsClient(base_url, key), as_json),
    "A key with the permission `flags`.",
)


why_option = click.option("--why", default="", help="Why, for the history.")
at_option = click.option(
    "--at", metavar="INSTANT", help="When, as 2026-12-01T09:00:00+01:00; else now."
)


@click.group(
    cls=LazyGroup,
    elsewhere={
        "import": "axon.app.cli.flag_import:import_command",
        "replay": "axon.app.cli.flag_replay:replay_flags",
        "sync": "axon.app.cli.flag_sync:sync_flags",
    },
    examples=[
        "axon flags import flags.json --why 'the first ones'",
        "axon flags list",
        'axon flags try new-prompt --context \'{"targetingKey": "ada"}\'',
        "axon flags set new-prompt --off --why 'too many errors'   # for everybody, at once",
        "axon flags rollback new-prompt",
    ],
)
def flags() -> None:
    """Flags: which variant of something whom is served, as flagd defines it (docs/flags.md).

    The commands ask a running Axon: that of the data folder's `axon up`, with its development key,
    or the one at --base-url.
    """


@flags.command("list", examples=["axon flags list", "axon flags list --archived --json"])
@click.option("--archived", is_flag=True, help="Archived ones too.")
@_asking
def list_flags(asked: Asked, archived: bool) -> None:
    """List every flag; one that begins with $ is a rule that flags share."""
    _show(asked.client.all(archived).data, asked.as_json)


@flags.command("show", examples=["axon flags show new-prompt"])
@click.argument("key")
@_asking
def show_flag(asked: Asked, key: str) -> None:
    """Show a flag's definition, and what waits for its time."""
    found = asked.client.flag(key)
    if asked.as_json:
        click.echo(msgspec.json.encode(found))
        return
    click.echo(msgspec.json.format(msgspec.json.encode(found.definition)))
    for one in found.scheduled:
        click.echo(f"{day(one.at * MICROS_PER_SECOND)}: {one.id} {one.why}".rstrip())


@flags.command(
    "set",
    examples=[
        "axon flags set new-prompt --file new-prompt.json --why 'first words'",
        "axon flags set new-prompt --off --why 'too many errors'",
        "axon flags set new-prompt --on --at 2026-12-01T09:00:00+01:00",
        "axon flags set new-prompt --default kind",
    ],
)
@click.argument("key")
@click.option("--file", "source", type=click.File("rb"), help="Its definition as JSON; - is stdin.")
@click.option("--on/--off", "enabled", default=None, help="Its state: ENABLED or DISABLED.")
@click.option("--default", "default_variant", metavar="VARIANT", help="Its default variant.")
@why_option
@at_option
@_asking
def set_flag(asked: Asked, key: str, source: Any, why: str, at: str | None, **parts: Any) -> None:
    """Make a flag, or change it. It counts on every process within 50 milliseconds."""
    change: dict[str, object] = {"why": why, **({"at": at} if at else {})}
    enabled, default_variant = parts["enabled"], parts["default_variant"]
    if source is not None:
        change["definition"] = json_of(source.read())
    elif enabled is None and default_variant is None:
        raise click.UsageError("name --file, --on, --off or --default")
    else:
        found = asked.client.flag(key)
        change |= {"definition": {**(found.definition or {})}, "version": found.version}
    definition = change["definition"]
    if isinstance(definition, dict):
        if enabled is not None:
            definition["state"] = "ENABLED" if enabled else "DISABLED"
        if default_variant is not None:
            definition["defaultVariant"] = default_variant
    asked.tell(asked.client.set(key, change), "Done")


@flags.command("archive", examples=["axon flags archive new-prompt --why 'it is the only one now'"])
@click.argument("key")
@why_option
@_asking
def archive_flag(asked: Asked, key: str, why: str) -> None:
    """Take a flag away: it is off for everybody. `rollback` brings it back."""
    asked.tell(asked.client.archive(key, why), "Archived")


@flags.command("history", examples=["axon flags history new-prompt", "axon flags history x --json"])
@click.argument("key")
@click.option("--limit", type=click.IntRange(1, 100), default=20, help="How many, at most.")
@_asking
def flag_history(asked: Asked, key: str, limit: int) -> None:
    """Show who changed a flag, when and why; with --json also what it was before and after."""
    found = asked.client.history(key, limit).data
    columns: dict[str, list[str]] = {
        "Version": [str(one.version) for one in found],
        "Change": [one.action for one in found],
        "When": [day(one.at * MICROS_PER_SECOND) for one in found],
        "By": [one.by or one.origin for one in found],
        "Why": [one.why for one in found],
    }
    show(found, columns, asked.as_json)


@flags.command(
    "rollback",
    examples=["axon flags rollback new-prompt", "axon flags rollback new-prompt --to 3 --why bad"],
)
@click.argument("key")
@click.option("--to", "version", type=_VERSION, help="This version; else the one before.")
@why_option
@_asking
def roll_back_flag(asked: Asked, key: str, version: int | None, why: str) -> None:
    """Make a flag again what it was, archived ones too."""
    change: dict[str, object] = {"why": why, **({"version": version} if version else {})}
    asked.tell(asked.client.roll_back(key, change), "Rolled back")


@flags.command("cancel", examples=["axon flags cancel fls_0190 --why 'not yet'"])
@click.argument("schedule_id")
@why_option
@_asking
def cancel_schedule(asked: Asked, schedule_id: str, why: str) -> None:
    """Call off a change that waits for its time; `show` tells its id."""
    changed = asked.client.call_off(schedule_id, why)
    if asked.as_json:
        click.echo(msgspec.json.encode(changed))
    else:
        click.echo("It will not be done.")


@flags.command(
    "try",
    examples=[
        'axon flags try new-prompt --context \'{"targetingKey": "ada"}\'',
        "axon flags try new-prompt --file draft.json   # before anybody is served by it",
    ],
)
@click.argument("key")
@click.option("--context", default="{}", help="For whom, as a JSON object.")
@click.option("--file", "source", type=click.File("rb"), help="A draft in flagd's format.")
@_asking
def try_flag(asked: Asked, key: str, context: str, source: Any) -> None:
    """Show which variant a flag says in a context, and why; nothing is recorded."""
    given = json_of(context.encode())
    if not isinstance(given, dict):
        raise click.UsageError("--context is a JSON object")
    found = _of_draft(source.read(), key, given) if source else asked.client.evaluate(key, given)
    if asked.as_json:
        click.echo(msgspec.json.encode(found))
    elif found.get("errorCode"):
        click.echo(f"{found['errorCode']}: {found.get('errorDetails', '')}")
        sys.exit(1)
    else:
        value = msgspec.json.encode(found.get("value")).decode()
        click.echo(f"{found.get('variant') or 'off'} ({found['reason']}): {value}")


def _of_draft(document: bytes, key: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return what a draft says, in the shape of OFREP; raises DefinitionInvalid."""
    context = EvaluationContext(
        now_us=SystemClock().now_us(),
        targeting_key=str(given.get("targetingKey", "")),
        org=str(given.get("org", "")),
        region=str(given.get("region", "")),
        tier=str(given.get("tier", "")),
        claimed=given,
    )
    found = read_definitions(document).evaluate(key, context)
    told: dict[str, Any] = {"key": key, "reason": found.reason, "variant": found.variant or ""}
    if found.error_code:
        told |= {"errorCode": found.error_code, "errorDetails": found.detail}
    elif found.variant is not None:
        told["value"] = found.value
    return told


def json_of(content: bytes) -> Any:
    """Return what JSON says; a UsageError for anything else."""
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"not JSON: {error}") from error


def _show(found: list[FlagShown], as_json: bool) -> None:
    columns: dict[str, list[str]] = {
        "Flag": [one.key for one in found],
        "State": [_state(one) for one in found],
        "Default": [_member(one, "defaultVariant") for one in found],
        "Version": [str(one.version) for one in found],
        "Changed": [day(one.changed_at * MICROS_PER_SECOND) for one in found],
        "In": [one.origin for one in found],
        "Scheduled": [str(len(one.scheduled) or "") for one in found],
    }
    show(found, columns, as_json)


def _state(flag: FlagShown) -> str:
    return "archived" if flag.archived else _member(flag, "state")


def _member(flag: FlagShown, name: str) -> str:
    definition = flag.definition
    return str(definition.get(name) or "") if isinstance(definition, dict) else ""
