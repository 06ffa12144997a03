"""`/v1/experiments`: what is tried on flags, and what came of it."""

import msgspec

from axon.experiments import Doing
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.experiment_shapes import (
    ExperimentPage,
    experiment_shown,
    results_shown,
    step_shown,
)
from axon.gateway.flags import author_of
from axon.gateway.members import member, required
from axon.gateway.problem import refuse
from axon.gateway.safe_headers import PAGE
from axon.statistics import report_html
from axon.turns import Fields

DECISION_CHARS_MAX = 4000

_PAGE = [(b"content-type", b"text/html; charset=utf-8"), *PAGE]


async def list_experiments(door: Door, call: Call) -> None:
    """Answer with all experiments, the one that was changed last first."""
    shown = [experiment_shown(one) for one in await door.experiments.listed()]
    await call.reply_value(ExperimentPage(object="list", data=shown))


async def get_experiment(door: Door, call: Call, experiment_id: str) -> None:
    """Answer with an experiment as it stands."""
    await call.reply_value(experiment_shown(await door.experiments.read(experiment_id)))


async def describe_experiment(door: Door, call: Call, experiment_id: str) -> None:
    """Make an experiment, or change one that has not started; wants the permission `flags`.

    What cannot be tried on its flag is refused with the path of each mistake.
    """
    doing, fields = await _asked(door, call)
    required(fields, "experiment", dict[str, msgspec.Raw])
    found = await door.experiments.describe(doing, experiment_id, bytes(fields["experiment"]))
    await call.reply_value(experiment_shown(found))


async def start_experiment(door: Door, call: Call, experiment_id: str) -> None:
    """Begin: its flag gives units their variants from now on, and cannot be edited meanwhile."""
    doing, _ = await _asked(door, call)
    await call.reply_value(experiment_shown(await door.experiments.start(doing, experiment_id)))


async def widen_experiment(door: Door, call: Call, experiment_id: str) -> None:
    """Give variants more units; who has a variant keeps it. Shares are in percent of all units."""
    doing, fields = await _asked(door, call)
    shares = required(fields, "shares", dict[str, float])
    found = await door.experiments.widen(doing, experiment_id, shares)
    await call.reply_value(experiment_shown(found))


async def stop_experiment(door: Door, call: Call, experiment_id: str) -> None:
    """End it: the flag is again what its definition says, or the variant `ships` for everybody."""
    doing, fields = await _asked(door, call)
    decision, ships = _decision(fields), member(fields, "ships", str) or ""
    found = await door.experiments.stop(doing, experiment_id, decision, ships)
    await call.reply_value(experiment_shown(found))


async def decide_experiment(door: Door, call: Call, experiment_id: str) -> None:
    """Write down what was decided about an experiment that has stopped."""
    doing, fields = await _asked(door, call)
    required(fields, "decision", str)
    found = await door.experiments.decide(doing, experiment_id, _decision(fields))
    await call.reply_value(experiment_shown(found))


async def get_results(door: Door, call: Call, experiment_id: str) -> None:
    """Answer with what was calculated last, as JSON or with `?format=html` as a page.

    The scheduler calculates every minute what runs.
    """
    form = call.query().get("format", "json")
    if form not in ("json", "html"):
        raise refuse("Invalid 'format': json or html.", param="format", code="invalid_value")
    found = await door.experiments.results(experiment_id)
    if form == "html":
        await call.reply(200, report_html(found.results).encode(), list(_PAGE))
    else:
        await call.reply_value(results_shown(experiment_id, found))


async def experiment_history(door: Door, call: Call, experiment_id: str) -> None:
    """Answer with the changes of an experiment, the newest first: who, when and why."""
    steps = [step_shown(one) for one in await door.experiments.history(experiment_id)]
    await call.reply_value({"object": "list", "data": steps})


async def _asked(door: Door, call: Call) -> tuple[Doing, Fields]:
    author = author_of(call)
    _, fields = await call.fields(door.options.body_bytes_max)
    return Doing(author=author, why=member(fields, "why", str) or ""), fields


def _decision(fields: Fields) -> str:
    decision = member(fields, "decision", str) or ""
    if len(decision) > DECISION_CHARS_MAX:
        message = f"Invalid 'decision': at most {DECISION_CHARS_MAX} characters."
        raise refuse(message, param="decision", code="string_above_max_length")
    return decision
