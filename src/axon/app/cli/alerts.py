"""axon alerts: what was raised, and how it was delivered."""

import click

from axon.app.cli.alerting import org_id_of, with_alerts
from axon.app.cli.asking import Asked, for_accounts, org_option
from axon.app.cli.command import ExampleGroup
from axon.app.cli.tables import day, show


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon alerts list",
        "axon alerts deliveries",
        "axon alerts test --org acme",
        "axon alerts redeliver alert_0f3c",
    ],
)
def alerts() -> None:
    """Alerts on limits, budgets and spending; `axon webhooks` says where they are sent."""


@alerts.command("list", examples=["axon alerts list", "axon alerts list --org acme --json"])
@click.option("--org", default="", help="Of this organization, by name or id; else of all.")
@for_accounts
def list_alerts(asked: Asked, org: str) -> None:
    """List the newest thousand alerts, newest first."""
    org_id = org_id_of(asked, org)
    found = with_alerts(asked, lambda admin: admin.raised(org_id))
    columns = {
        "Alert": [one.alert_id for one in found],
        "Kind": [one.kind for one in found],
        "Organization": [one.org_id for one in found],
        "About": [one.subject for one in found],
        "Raised": [day(one.raised_us) for one in found],
        "Data": [bytes(one.data).decode() for one in found],
    }
    show(found, columns, asked.as_json)


@alerts.command(
    "deliveries", examples=["axon alerts deliveries", "axon alerts deliveries alert_0f3c --json"]
)
@click.argument("alert", default="")
@for_accounts
def list_deliveries(asked: Asked, alert: str) -> None:
    """Show the newest thousand deliveries, or one alert's, with the last attempt of each."""
    found = with_alerts(asked, lambda admin: admin.deliveries(alert))
    columns = {
        "Alert": [one.alert_id for one in found],
        "Kind": [one.kind for one in found],
        "Webhook": [one.endpoint_id for one in found],
        "State": [one.state for one in found],
        "Attempts": [str(one.attempts) for one in found],
        "Next": [day(one.next_us) if one.state == "waiting" else "" for one in found],
        "Status": [str(one.status or "") for one in found],
        "Error": [one.error for one in found],
    }
    show(found, columns, asked.as_json)


@alerts.command("test", examples=["axon alerts test --org acme", "axon alerts deliveries"])
@org_option
@for_accounts
def test_alert(asked: Asked, org: str) -> None:
    """Raise an alert that means nothing, to see whether it arrives."""
    org_id = org_id_of(asked, org)
    click.echo(with_alerts(asked, lambda admin: admin.test(org_id)))


@alerts.command(
    "redeliver",
    examples=[
        "axon alerts redeliver alert_0f3c",
        "axon alerts redeliver alert_0f3c --webhook webhook_91ab",
    ],
)
@click.argument("alert")
@click.option("--webhook", default="", help="Only to this one.")
@for_accounts
def redeliver_alert(asked: Asked, alert: str, webhook: str) -> None:
    """Send an alert again, under the id it has, to all webhooks it concerns."""
    count = with_alerts(asked, lambda admin: admin.redeliver(alert, webhook))
    click.echo(f"It is sent to {count} webhooks.")
