"""`axon flags`: what a person does with flags, from the first import to the roll back."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from axon.app.cli.main import axon
from axon.base import AxonError
from tests.app.imported_flags import UNLEASH
from tests.gateway.conftest import RunningAxon, start_axon, start_upstream, stop

DOCUMENT = {
    "flags": {
        "prompt": {
            "state": "ENABLED",
            "variants": {"kind": "Be kind.", "brief": "Be brief."},
            "defaultVariant": "brief",
            "targeting": {"if": [{"==": [{"var": "plan"}, "pro"]}, "kind", "brief"]},
        },
        "beta": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
        },
    }
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAxon]:
    """An Axon whose flags come from the API, and from a folder."""
    upstream, address = start_upstream()
    folder = tmp_path_factory.mktemp("flag-files")
    (folder / "file.json").write_text(json.dumps({"flags": {"of-file": DOCUMENT["flags"]["beta"]}}))
    data = tmp_path_factory.mktemp("axon")
    process, found = start_axon(data, address, environment={"AXON_FLAGS_FOLDER": str(folder)})
    with upstream:
        yield found
        stop(process)
        upstream.kill()


class FlagCommands:
    """Runs commands against one data folder, in this process: each start would take a while."""

    def __init__(self, data: Path) -> None:
        self._environment = {"AXON_DATA": str(data)}

    def run(self, *words: str, stdin: str = "") -> Result:
        return CliRunner().invoke(axon, ["flags", *words], env=self._environment, input=stdin)

    def said(self, *words: str, stdin: str = "") -> str:
        done = self.run(*words, stdin=stdin)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    def json(self, *words: str) -> list[Any]:
        return [json.loads(line) for line in self.said(*words, "--json").splitlines()]

    def refused(self, *words: str, stdin: str = "") -> str:
        """Return why a command was refused."""
        done = self.run(*words, stdin=stdin)
        assert isinstance(done.exception, AxonError)
        return str(done.exception)


@pytest.fixture
def flags(running: RunningAxon) -> FlagCommands:
    return FlagCommands(running.data)


def test_from_the_first_import_to_the_roll_back(flags: FlagCommands, tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text(json.dumps(DOCUMENT))
    said = flags.said("import", str(file), "--why", "the first ones")
    assert "prompt has version 1" in said and "beta has version 1" in said
    assert "Nothing was to be changed" in flags.said("import", "-", stdin=file.read_text())
    assert flags.said("try", "prompt", "--context", '{"plan": "pro"}') == (
        'kind (TARGETING_MATCH): "Be kind."\n'
    )
    assert flags.said("try", "prompt").startswith("brief (TARGETING_MATCH)")
    assert "beta has version 2" in flags.said("set", "beta", "--default", "on", "--why", "go")
    assert flags.said("try", "beta") == "on (STATIC): true\n"
    assert "beta has version 3" in flags.said("set", "beta", "--off", "--why", "too many errors")
    assert flags.said("try", "beta") == "off (DISABLED): null\n"
    assert "beta has version 4" in flags.said("rollback", "beta", "--why", "they were others'")
    assert flags.said("try", "beta") == "on (STATIC): true\n"
    history = flags.json("history", "beta")
    assert [one["action"] for one in history] == ["rolled_back", "edited", "edited", "created"]
    assert [one["why"] for one in history][1:3] == ["too many errors", "go"]
    assert "too many errors" in flags.said("history", "beta")
    assert "version 5" in flags.said("archive", "beta")
    gone = flags.run("try", "beta")
    assert gone.exit_code == 1 and gone.stdout.startswith("FLAG_NOT_FOUND")
    assert [one["key"] for one in flags.json("list")] == ["of-file", "prompt"]
    assert "archived" in flags.said("list", "--archived")


def test_flags_of_another_vendor_are_made_like_others(flags: FlagCommands) -> None:
    text = json.dumps(UNLEASH).replace('"10.0.0.1"', '"10.0.0.0/8"')
    words = ("import", "--from", "unleash", "-", "--why", "we moved")
    assert "cannot be kept" in flags.refused(*words, stdin=text)
    said = flags.said(*words, "--leave-out", stdin=text)
    assert "color has version 1" in said and "people" not in said and "in-segment" not in said
    bob = '{"targetingKey": "bob", "plan": "team"}'
    assert flags.said("try", "color", "--context", bob) == 'blue (TARGETING_MATCH): "#00f"\n'
    assert flags.json("history", "color")[0]["why"] == "we moved"
    assert flags.said("import", "-", "--dry-run", stdin=json.dumps(DOCUMENT)) == (
        "would make prompt (string, on): kind, brief\nwould make beta (boolean, on): on, off\n"
    )


def test_a_change_for_later_is_shown_and_cancelled(flags: FlagCommands) -> None:
    definition = json.dumps(DOCUMENT["flags"]["beta"])
    flags.said("set", "later", "--file", "-", stdin=definition)
    (planned,) = flags.json("set", "later", "--off", "--at", "2099-12-01T09:00:00+01:00")
    assert planned["schedule_id"] in flags.said("show", "later")
    assert flags.said("cancel", planned["schedule_id"]) == "It will not be done.\n"
    assert planned["schedule_id"] not in flags.said("show", "later")


def test_a_draft_is_tried_before_anybody_is_served_by_it(
    flags: FlagCommands, tmp_path: Path
) -> None:
    draft = tmp_path / "draft.json"
    draft.write_text(json.dumps(DOCUMENT).replace("Be kind.", "Be very kind."))
    words = ("--file", str(draft), "--context", '{"plan": "pro"}')
    assert flags.said("try", "prompt", *words) == 'kind (TARGETING_MATCH): "Be very kind."\n'
    draft.write_text('{"flags": {"prompt": {}}}')
    assert "$.flags.prompt" in flags.refused("try", "prompt", *words)


def test_what_is_wrong_is_said_with_its_place(flags: FlagCommands, tmp_path: Path) -> None:
    wrong = '{"state": "ON", "variants": {}}'
    assert "$.flags.wrong.state" in flags.refused("set", "wrong", "--file", "-", stdin=wrong)
    assert flags.run("set", "wrong").exit_code == 2
    assert flags.run("import", "-", stdin="[").exit_code == 2
    assert flags.run("try", "x", "--context", "5").exit_code == 2
    assert "comes from a file" in flags.refused("set", "of-file", "--off")
    (listed,) = [one for one in flags.json("list") if one["key"] == "of-file"]
    assert listed["origin"] == "folder"
    assert "axon up" in FlagCommands(tmp_path).refused("list")


def test_a_draft_is_tried_on_turns_of_the_past(
    flags: FlagCommands, running: RunningAxon, tmp_path: Path
) -> None:
    draft = {
        "state": "ENABLED",
        "variants": {"brief": {"system": {"text": "Be brief."}}, "plain": {}},
        "defaultVariant": "brief",
        "metadata": {"axon.turn": True},
    }
    file = tmp_path / "draft.json"
    file.write_text(json.dumps({"flags": {"tone": draft}}))
    words = ("replay", "--draft", str(file), "--since", "1h")
    for _ in range(2):
        running.sync_client().chat.completions.create(
            model="small", messages=[{"role": "user", "content": "hello"}]
        )
    deadline = time.monotonic() + 60  # for the projector, which is seldom behind
    while (found := json.loads(flags.said(*words, "--json")))["turns"] < 2:
        assert time.monotonic() < deadline
    assert found["turns"] == found["moved"] == 2
    (move,) = found["flags"][0]["moves"]
    assert move["before"] == "(not asked)" and move["after"] == "brief" and move["units"] == 1
    said = flags.said(*words)
    assert said.startswith("2 of 2 turns would have been served differently.")
    assert "tone, by user:" in said and "(not asked)   brief   2       1" in said
    later = flags.run("replay", "--draft", str(file), "--since", "1h", "--until", "2h")
    assert later.exit_code == 2 and "--since is before --until" in later.output
    assert flags.run("replay", "--draft", "-", "--since", "soon").exit_code == 2
