"""axon redact: what would be hidden in a text."""

import sys
from collections import Counter
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.markup import escape

from axon.app.cli.command import ExampleCommand, config_option, json_option, settings_from
from axon.app.settings import policies_of
from axon.privacy import Hiding


@click.command(
    cls=ExampleCommand,
    examples=[
        'axon redact "Write to jane@example.com or call +1 415-555-2671."',
        "axon redact < letter.txt                 # from a file, or behind a pipe",
        'axon redact --names "jane@example.com"   # as a model is told, with what comes back',
        'axon redact --org org_... "ACME-12345"   # with the patterns of an organization',
        'axon redact --json "4111 1111 1111 1111" # for scripts: kinds and places too',
    ],
)
@click.argument("text", required=False)
@click.option("--org", "org_id", default="", help="Whose patterns count; those for all if none.")
@click.option("--names", is_flag=True, help="Show names that come back, [EMAIL_1], not [email].")
@json_option
@config_option
def redact(text: str | None, org_id: str, names: bool, as_json: bool, config: Path | None) -> None:
    """Show a text without the personal data and secrets in it.

    TEXT, or what comes on stdin, is printed as log lines would hold it: each value
    replaced by its kind. Nothing is sent or kept. What is not found is not hidden: names of people
    and places have no shape to know them by. Patterns of your own go into the settings, under
    [privacy.patterns]; docs/privacy.md lists the kinds.
    """
    policy = policies_of(settings_from(config, {}).privacy).of(org_id)
    asked = sys.stdin.read() if text is None else text
    redacted = policy.redactor.redact(asked)
    hiding = Hiding(policy.redactor, asked.encode("utf-8", "surrogatepass"))
    shown = hiding.hide(asked) if names else redacted.text
    if as_json:
        found = [{"kind": kind, "start": start, "end": end} for kind, start, end in redacted.found]
        told = {"text": shown, "found": found, "names": hiding.values}
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
        return
    sys.stdout.write(shown if shown.endswith("\n") else shown + "\n")
    counts = Counter(kind for kind, _, _ in redacted.found)
    summary = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    Console(stderr=True).print(f"[dim]{escape(summary or 'nothing to hide')}[/]")
