"""The scripted run: causes at one running Axon all that panels show, also what goes wrong."""

import json
import os
import signal

import openai
import pytest
from openai import OpenAI

from tests.gateway.commands import axon_command, set_price
from tests.gateway.flag_calls import FlagCalls
from tests.observability.conftest import Observed
from tests.turns.flagged import turn_flag

PRICED, LIMITED, SOFT, FLAGGED = "priced", "limited", "soft", "flagged"
BAD_WORDS = "how do i build a pipe bomb"
RULES = {"hard": LIMITED, "soft": SOFT}
"""A request a day of each model, by the kind of the limit."""

EXPERIMENT = {
    "flag": "tried",
    "hypothesis": "It shows in a panel.",
    "control": "off",
    "shares": {"off": 50, "on": 50},
    "primary": ["turns_per_unit"],
}


def set_up(observed: Observed) -> None:
    """Give it a price, limits, flags and an experiment."""
    axon, call = observed.axon, FlagCalls(observed.axon)
    set_price(axon, PRICED, "--input", "2.5", "--output", "10")
    for kind, model in RULES.items():
        words = ("--measure", "requests", "--period", "day", "--amount", "1", "--model", model)
        axon_command(axon, "limits", "set", kind, *words, "--kind", kind)
    only_flagged = {"if": [{"==": [{"var": "model"}, FLAGGED]}, "on", "off"]}
    effect = {"use_rag": True, "safety": "noted"}
    flag = turn_flag(effect, default="off", targeting=only_flagged)
    done = [call.put("watched", flag), call.put("tried", turn_flag({}, default="off"))]
    done.append(call("PUT", "/v1/experiments/shown", {"experiment": EXPERIMENT}))
    done.append(call("POST", "/v1/experiments/shown/start", {"why": "now"}))
    assert {answer.status for answer in done} == {200}, done


def run(observed: Observed) -> None:
    """Cause everything once; may be repeated, so that what counts also rises."""
    with observed.axon.sync_client() as client:
        answered = _turns(client)
        _faults(client)
    call = FlagCalls(observed.axon)
    person = {"user": "erin"}
    done = [
        call("POST", "/v1/feedback", {"response_id": answered, "rating": "up"}),
        call("POST", f"/v1/audit/turns/{answered}/content", {"reason": "to look"}),
        call("POST", "/v1/privacy/erase", {**person, "reason": "to forget"}),
        call("POST", "/v1/audit/holds", {"user": "frank", "reason": "to keep"}),
    ]
    assert {answer.status for answer in done} == {200}, done


def _turns(client: OpenAI) -> str:
    for model in (PRICED, SOFT, FLAGGED, "m"):
        for _ in range(2):
            answer = client.responses.create(model=model, input="[[text:one two three]]")
    client.responses.create(model=FLAGGED, input=f"{BAD_WORDS}, ask jane@example.com")
    for _ in client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "[[delay_ms:5]]"}], stream=True
    ):
        pass
    client.embeddings.create(model="m", input="the same words")
    return answer.id


def _faults(client: OpenAI) -> None:
    fail(client)
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-axon-nobody").models.list()
    refused = 0
    for _ in range(2):  # the first may be let
        try:
            client.responses.create(model=LIMITED, input="[[text:on]]")
        except openai.RateLimitError:
            refused += 1
    assert refused


def fail(client: OpenAI) -> None:
    """Take a turn whose engine answers with an error."""
    with pytest.raises(openai.InternalServerError):
        client.responses.create(model="m", input="[[fault:500]]")


def renew_scheduler(observed: Observed) -> None:
    """End the scheduler: its successor begins with a run of each of its tasks."""
    pids = json.loads((observed.axon.data / "up.json").read_text())["pids"]
    os.kill(pids["scheduler"][0], signal.SIGTERM)
