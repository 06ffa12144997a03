"""Experiments over HTTP and from the command line, on turns that are really taken."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from axon.app.cli.main import axon as axon_commands
from axon.app.embedded import EmbeddedPostgres
from axon.app.folders import DataFolder
from axon.base import SystemClock, SystemRandomness
from axon.experiments import ExperimentsWatch
from axon.sealing import Keyring
from axon.stores import Postgres, PostgresOptions
from tests.failures.rollout import (
    Installation,
    Rollout,
    flag_of,
    moved,
    play,
    recorded,
    variant_told,
)
from tests.gateway.conftest import RunningAxon, start_upstream
from tests.gateway.flag_calls import FlagCalls, fresh


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An Axon of its own: its processes are killed, and its turns are asked for flags."""
    upstream, address = start_upstream()
    with upstream:
        one = Installation(tmp_path_factory.mktemp("trying"), address)
        yield one
        one.stop()
        upstream.kill()


@pytest.fixture(scope="module")
def trying(installed: Installation) -> RunningAxon:
    """Where it answers."""
    return installed.axon


def described(flag: str, **more: Any) -> dict[str, Any]:
    """Return an experiment with everybody in it."""
    return {
        "flag": flag,
        "hypothesis": "New words are better.",
        "control": "old",
        "shares": {"old": 50, "new": 50},
        "primary": ["turns_per_unit"],
        **more,
    }


def variant_of(call: FlagCalls, flag: str, user: str, before: str = "") -> str:
    """Return what a turn of a person got, as its engine saw it."""
    messages = [{"role": "user", "content": "[[echo]]"}]
    asked = {"model": "fake-model", "user": user, "messages": messages}
    headers = {"axon-anonymous-id": before} if before else None
    answer = call("POST", "/v1/chat/completions", asked, headers)
    assert answer.status == 200, answer.body
    return variant_told(flag, answer.body)


def test_turns_and_clients_agree_and_who_signs_in_keeps_the_variant(trying: RunningAxon) -> None:
    call, name = FlagCalls(trying), fresh("words")
    assert call.put(name, flag_of(name)).status == 200
    assert call("PUT", f"/v1/experiments/{name}", {"experiment": described(name)}).status == 200
    assert call("POST", f"/v1/experiments/{name}/start", {"why": "now"}).body["unit"] == "user"
    seen = set()
    for number in range(12):
        visitor, user = f"visitor {number}", f"user {number}"
        before = variant_of(call, name, visitor)
        assert variant_of(call, name, user, visitor) == before
        told = call.evaluate(name, targetingKey=visitor).body
        assert (told["variant"], told["reason"]) == (before, "SPLIT")
        told = call.evaluate(name, targetingKey=user, anonymousId=visitor).body
        assert told["variant"] == before
        seen.add(before)
    assert seen == {"old", "new"}
    asked = {"model": "fake-model", "messages": [{"role": "user", "content": "hello"}]}
    headers = {"axon-anonymous-id": "x" * 513}
    too_long = call("POST", "/v1/chat/completions", asked, headers)
    assert (too_long.status, too_long.body["error"]["param"]) == (400, "axon-anonymous-id")
    assert call.evaluate(name, targetingKey="x", anonymousId=3).status == 400
    stopped = call("POST", f"/v1/experiments/{name}/stop", {"decision": "no difference"})
    assert stopped.body["state"] == "stopped"
    assert call("DELETE", f"/v1/flags/{name}").status == 200


def test_an_experiment_from_the_command_line(trying: RunningAxon) -> None:
    call, name = FlagCalls(trying), fresh("words")
    assert call.put(name, flag_of(name)).status == 200
    environment = {"AXON_DATA": str(trying.data)}

    def said(*words: str, stdin: str = "") -> str:
        asked = ["experiments", *words]
        done = CliRunner().invoke(axon_commands, asked, env=environment, input=stdin)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    shares = {"old": 20, "new": 20}
    said("describe", name, "-", stdin=json.dumps(described(name, shares=shares)))
    assert said("start", name) == f"{name} is running, for users: old 20%, new 20%.\n"
    assert said("widen", name, "old=50", "new=50%").endswith("old 50%, new 50%.\n")
    for number in range(8):
        variant_of(call, name, f"user {number}")
    asyncio.run(_calculate(trying))
    assert "Turns of a unit" in said("results", name)
    assert json.loads(said("results", name, "--json"))["moved"] == 0
    page = said("results", name, "--html", "-")
    assert page.startswith("<!doctype html>")
    assert "New words are better." in page
    said("stop", name, "--ships", "new", "--decision", "people like them")
    assert variant_of(call, name, "user 1") == variant_of(call, name, "user 2") == "new"
    said("decide", name, "people love them")
    assert "people love them" in said("list")
    assert json.loads(said("show", name, "--json"))["ships"] == "new"
    history = said("history", name)
    for action in ("created", "started", "widened", "stopped", "decided"):
        assert action in history
    assert call("DELETE", f"/v1/flags/{name}").status == 200


async def _calculate(axon: RunningAxon) -> None:
    """Do what the scheduler does every minute."""
    clock = SystemClock()
    keyring = Keyring.open(DataFolder(axon.data).keyring, SystemRandomness())
    postgres = Postgres(EmbeddedPostgres(axon.data).url(), PostgresOptions(), clock)
    await postgres.start()
    try:
        await ExperimentsWatch(postgres, keyring.identity, clock).look()
    finally:
        await postgres.stop()


def test_what_cannot_be_is_refused_with_its_place(trying: RunningAxon) -> None:
    call, name = FlagCalls(trying), fresh("words")
    path = f"/v1/experiments/{name}"
    answer = call("PUT", path, {"experiment": described("no-such-flag")})
    assert (answer.status, answer.body["error"]["param"]) == (400, "$.flag")
    assert call("GET", path).status == 404
    assert call("POST", f"{path}/start", {}).status == 404
    assert call("GET", f"{path}/results").status == 404
    assert call("GET", f"{path}/results?format=csv").status == 400
    assert call("POST", f"{path}/decision", {"decision": "x" * 4001}).status == 400
    assert call("POST", f"{path}/shares", {"shares": "all"}).status == 400
    nobody = FlagCalls(trying, "sk-axon-none")
    assert nobody("GET", "/v1/experiments").status == 401
    assert call.put(name, flag_of(name)).status == 200
    assert call("PUT", path, {"experiment": described(name)}).status == 200
    answer = call("POST", f"{path}/stop", {})
    assert (answer.status, answer.body["error"]["code"]) == (409, "experiment_not_then")
    assert call("DELETE", f"/v1/flags/{name}").status == 200


@pytest.mark.failure("valkey", "wiped")
def test_nobody_moves_in_a_rollout_while_processes_are_killed_and_replaced(
    installed: Installation,
) -> None:
    rollout = Rollout(installed.axon)
    play(rollout, turns=20, upgrade=installed.upgrade)
    assert rollout.killed >= 9
    assert rollout.moved_back == []
    served = {turn: variant for turns in rollout.served.values() for turn, variant in turns}
    assert asyncio.run(recorded(rollout)) == served
    assert {turns[-1][1] for turns in rollout.served.values()} == {"new"}
    assert asyncio.run(moved(rollout)) == []
