"""Results are kept for whoever asks, and a guardrail switches a flag off: once, and says why."""

import json
from typing import Any

import asyncpg
import pytest

from axon.app.alerting import alert_watch
from axon.app.settings import AlertsSettings
from axon.experiments import Killing, NoResults
from tests.experiments.scene import DOING, NAME, Trying

KILLS: dict[str, Any] = {"guardrails": [{"metric": "error_rate", "kills": True}]}


def turns(failing: int, users: int = 600) -> list[dict[str, Any]]:
    """Return a turn of each of many users; of those of `on` one in `failing` fails."""
    return [
        {
            "user": user,
            "turn_id": f"resp_{failing}_{user}",
            "variant": "on" if user % 2 else "off",
            "status": "failed" if user % 2 and user // 2 % failing == 0 else "completed",
        }
        for user in range(users)
    ]


async def killed(trying: Trying) -> Killing:
    killing = Killing(trying.process.postgres, trying.flags.changes)
    await killing.look()
    return killing


async def test_results_are_kept_and_carried_on(trying: Trying) -> None:
    await trying.started()
    with pytest.raises(NoResults):
        await trying.experiments.results(NAME)
    await trying.serve(turns(10))
    await trying.watch.look()
    first = await trying.experiments.results(NAME)
    assert first.moved == 0
    assert [row.seen for row in first.results.sample_ratio.rows] == [300, 300]
    await trying.watch.look()
    second = await trying.experiments.results(NAME)
    assert second.results.calculated_us > first.results.calculated_us
    await trying.experiments.stop(DOING, NAME, "done")
    await trying.watch.look()
    last = await trying.experiments.results(NAME)
    assert last.results.question.decision == "done"
    assert last.results.question.stopped_us
    await trying.watch.look()  # what is over is calculated once
    assert await trying.experiments.results(NAME) == last


async def test_a_guardrail_that_holds_switches_nothing_off(trying: Trying) -> None:
    await trying.started(**KILLS)
    await trying.serve(turns(300))
    await trying.watch.look()
    await killed(trying)
    assert trying.variant(7)[1] == "SPLIT"


async def test_a_guardrail_switches_the_flag_off_once_and_says_why(trying: Trying) -> None:
    await trying.started(**KILLS)
    await trying.serve(turns(2))
    await trying.watch.look()
    killing = await killed(trying)
    assert trying.variant(7) == (None, "DISABLED")
    newest = (await trying.flags.changes.versions("tone", 2**31 - 1, 1))[0]
    assert newest.origin == "experiments"
    assert newest.why.startswith('guardrail error_rate: "on" is worse than the control')
    await trying.define()  # somebody lifts it, and nothing brings it back
    await trying.watch.look()
    await killing.look()
    assert trying.variant(7)[1] == "SPLIT"


async def test_a_guardrail_that_may_not_kill_only_says_so(trying: Trying) -> None:
    await trying.started(guardrails=[{"metric": "error_rate"}])
    await trying.serve(turns(2))
    await trying.watch.look()
    await killed(trying)
    assert trying.variant(7)[1] == "SPLIT"
    found = await trying.experiments.results(NAME)
    (guardrail,) = [one for one in found.results.metrics if one.metric.purpose == "guardrail"]
    assert [row.comparison.verdict for row in guardrail.rows if row.comparison] == ["worse"]


async def test_what_is_over_is_not_switched_off(trying: Trying) -> None:
    await trying.started(**KILLS)
    await trying.serve(turns(2))
    await trying.watch.look()
    await trying.experiments.stop(DOING, NAME, "too many errors")
    await killed(trying)
    assert trying.variant(7) == ("off", "STATIC")
    connection = await asyncpg.connect(trying.node.database)
    try:
        assert await connection.fetchval("SELECT number FROM experiments.kills") == -1
    finally:
        await connection.close()


async def test_a_guardrail_and_an_end_are_told_as_alerts_once(trying: Trying) -> None:
    await trying.started(**KILLS)
    postgres, clock = trying.process.postgres, trying.node.clock
    watch = alert_watch(AlertsSettings(), postgres, clock)
    await watch.look()
    assert await raised_by(trying) == []
    await trying.serve(turns(2))
    await trying.watch.look()
    await watch.look()
    await trying.experiments.stop(DOING, NAME, "it does harm")
    for _ in range(2):
        await watch.look()
    guardrail, end = await raised_by(trying)
    assert (guardrail["kind"], end["kind"]) == ("experiment.guardrail", "experiment.stopped")
    assert {guardrail["subject"], end["subject"]} == {NAME}
    assert {guardrail["org_id"], end["org_id"]} == {DOING.author.org_id}
    told = json.loads(guardrail["data"])
    assert (told["experiment"], told["flag"], told["metric"]) == (NAME, "tone", "error_rate")
    assert told["why"].startswith('guardrail error_rate: "on" is worse')
    assert json.loads(end["data"])["why"] == "to see"


async def raised_by(trying: Trying) -> list[Any]:
    connection = await asyncpg.connect(trying.node.database)
    try:
        return await connection.fetch("SELECT * FROM alerts.raised ORDER BY raised_us, kind")
    finally:
        await connection.close()
