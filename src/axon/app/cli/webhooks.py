"""axon webhooks: where alerts are sent."""

import click

from axon.alerts import Endpoint
from axon.app.cli.alerting import org_id_of, with_alerts
from axon.app.cli.asking import Asked, for_accounts
from axon.app.cli.command import ExampleGroup
from axon.app.cli.tables import day, show


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon webhooks add https://example.com/axon --org acme",
        "axon webhooks list",
        "axon webhooks remove webhook_91ab",
    ],
)
def webhooks() -> None:
    """Webhooks, signed after Standard Webhooks, that carry alerts."""


@webhooks.command(
    "add",
    examples=[
        "axon webhooks add https://example.com/axon --org acme",
        "axon webhooks add https://ops.example.com/axon     # of every organization",
    ],
)
@click.argument("url")
@click.option("--org", default="", help="Of this organization, by name or id; else of all.")
@for_accounts
def add_webhook(asked: Asked, url: str, org: str) -> None:
    """Send alerts to a URL from now on; prints the secret, which is shown this once."""
    org_id = org_id_of(asked, org)
    made = with_alerts(asked, lambda admin: admin.add_endpoint(url, org_id))
    columns = {
        "Webhook": [made.endpoint_id],
        "Organization": [made.org_id or "all"],
        "URL": [made.url],
        "Secret": [made.secret],
    }
    show([made], columns, asked.as_json)


@webhooks.command("list", examples=["axon webhooks list", "axon webhooks list --json"])
@for_accounts
def list_webhooks(asked: Asked) -> None:
    """List every webhook, also those that have ended."""
    found = with_alerts(asked, lambda admin: admin.endpoints())
    columns = {
        "Webhook": [one.endpoint_id for one in found],
        "Organization": [one.org_id or "all" for one in found],
        "URL": [one.url for one in found],
        "Since": [day(one.created_us) for one in found],
        "Ended": [_ended(one) for one in found],
    }
    show(found, columns, asked.as_json)


@webhooks.command("remove", examples=["axon webhooks remove webhook_91ab", "axon webhooks list"])
@click.argument("webhook")
@for_accounts
def remove_webhook(asked: Asked, webhook: str) -> None:
    """Send nothing there any more; what was sent stays in the log."""
    with_alerts(asked, lambda admin: admin.remove_endpoint(webhook))
    if not asked.as_json:
        click.echo(f"Nothing is sent to {webhook} any more.")


def _ended(endpoint: Endpoint) -> str:
    return f"{day(endpoint.ended_us)}: {endpoint.ended_why}" if endpoint.ended_us else ""
