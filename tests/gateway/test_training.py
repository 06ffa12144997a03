"""Examples for models: of whom, in which shapes, without whose data."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from axon.app.cli.main import axon as commands
from axon.app.embedded import EmbeddedPostgres
from axon.base import AxonError
from axon.training import Unusable
from axon.training.consent import basis
from tests.gateway.audited import MODEL, Client, client_of, soon
from tests.gateway.commands import axon_command, axon_text
from tests.gateway.conftest import RunningAxon

TOOL = {"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}
CANARIES = (
    "jane.canary@example.com",
    "4111 1111 1111 1111",
    "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEF",
)


@pytest.fixture(scope="module")
def people(axon: RunningAxon) -> dict[str, Client]:
    axon_command(axon, "orgs", "create", "learning")
    axon_command(axon, "orgs", "create", "elsewhere")
    made = {name: client_of(axon, "learning", name) for name in ("ada", "bob", "carl", "dora")}
    made["trainer"] = client_of(axon, "learning", "tess", "trainer")
    made["officer"] = client_of(axon, "learning", "otto", "privacy_officer")
    made["stranger"] = client_of(axon, "elsewhere", "tim", "trainer", "admin")
    return made


def allow(officer: Client, policy: str) -> None:
    status, shown = officer.ask("PUT", "/training/policy", {"policy": policy, "reason": "a test"})
    assert (status, shown["policy"]) == (200, policy)
    soon(lambda: officer.get("/training/policy")["policy"] == policy)


def agree(person: Client, consent: bool) -> None:
    status, shown = person.ask("PUT", "/training/consent", {"consent": consent})
    assert (status, shown["consent"]) == (200, consent)
    soon(lambda: person.get("/training/consent")["consent"] is consent)


def exported(trainer: Client, name: str, **more: Any) -> tuple[list[Any], dict[str, int]]:
    """Return all examples, and the turns left out by why, of pages of two turns."""
    found, dropped, after = [], dict[str, int](), ""
    while True:
        asked = {"format": name, "reason": "a test", "limit": 2, "after": after, **more}
        page = trainer.post("/training/export", **asked)
        found += page["data"]
        for why, count in page["dropped"].items():
            dropped[why] = dropped.get(why, 0) + count
        if not page["has_more"]:
            return found, dropped
        after = page["last_id"]


def judged(client: Client, answer: str, **words: str) -> None:
    client.post("/feedback", response_id=answer, **words)
    soon(lambda: client.ask("GET", f"/feedback/{answer}")[0] == 200)


def chat(client: Client, *said: Mapping[str, Any], **more: Any) -> str:
    made = client.post("/chat/completions", model=MODEL, messages=list(said), **more)
    return str(made["id"])


def asks(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def test_who_did_not_agree_is_in_no_example(people: dict[str, Client]) -> None:
    ada, bob, carl, trainer, officer = (
        people[name] for name in ("ada", "bob", "carl", "trainer", "officer")
    )
    for person in (ada, bob, carl):
        chat(person, asks(f"[[text:fine]] {person.key[-6:]}"))
    soon(lambda: sum(exported(trainer, "sft")[1].values()) == 3)
    assert exported(trainer, "sft") == ([], {"organization_off": 3})
    agree(ada, True)
    agree(carl, False)
    assert exported(trainer, "sft")[0] == [], "the organization has not"
    allow(officer, "opted_in")
    (one,), dropped = exported(trainer, "sft")
    assert one["messages"][0]["content"].endswith(ada.key[-6:])
    assert dropped == {"not_asked": 1, "refused": 1}
    allow(officer, "all")
    found, dropped = exported(trainer, "sft")
    assert len(found) == 2 and dropped == {"refused": 1}
    agree(ada, False)
    assert exported(trainer, "sft")[1] == {"refused": 2}, "what was agreed can be taken back"
    assert exported(people["stranger"], "sft") == ([], {})
    assert ada.ask("POST", "/training/export", {"format": "sft", "reason": "mine"})[0] == 403
    assert trainer.ask("PUT", "/training/policy", {"policy": "all", "reason": "x"})[0] == 403
    assert ada.ask("PUT", "/training/consent", {"consent": True, "user": "bob"})[0] == 403
    log = client_log(people["officer"])
    assert {"training_policy", "training_consent", "trained"} <= {one["action"] for one in log}
    trained = next(one for one in log if one["action"] == "trained")
    assert trained["reason"] == "a test" and "sft" in trained["objects"]


def client_log(officer: Client) -> list[dict[str, Any]]:
    return list(officer.get("/audit/log?limit=100")["data"])


def test_where_law_wants_a_yes_the_organizations_is_none() -> None:
    assert basis("all", "", "us") == basis("all", "", "") == "organization"
    assert basis("all", "yes", "eu") == basis("opted_in", "yes", "") == "opted_in"
    for policy, consent, region, why in (
        ("off", "yes", "", "organization_off"), ("opted_in", "", "", "not_asked"),
        ("all", "", "eu", "not_asked"), ("all", "", "eu-west", "not_asked"),
        ("all", "no", "us", "refused"), ("opted_in", "no", "us", "refused"),
    ):  # fmt: skip
        with pytest.raises(Unusable, match=why):
            basis(policy, consent, region)


def test_each_format_has_its_shape(people: dict[str, Client]) -> None:
    dora, trainer, officer = people["dora"], people["trainer"], people["officer"]
    allow(officer, "opted_in")
    for name in ("ada", "bob", "carl"):
        agree(people[name], False)
    agree(dora, True)
    question = asks("[[text:4]] two and two")
    judged(dora, chat(dora, says("hello"), question), rating="up")
    judged(dora, chat(dora, asks("[[text:5]] two and two")), rating="down", edited="it is 4")
    called = chat(dora, asks('[[tool:send {"to":"bob"}]] send it'), tools=[TOOL])
    conversation = dora.post("/conversations")["id"]
    first = dora.post("/responses", model=MODEL, input="[[text:red]] a colour",
                      conversation=conversation, instructions="be brief")["id"]  # fmt: skip
    second = dora.post("/responses", model=MODEL, input="[[text:blue]] another",
                       conversation=conversation)["id"]  # fmt: skip
    judged(dora, first, rating="up", comment="good")
    third = dora.post(f"/conversations/{conversation}/regenerate", model=MODEL,
                      temperature=0.5)["id"]  # fmt: skip
    judged(dora, third, rating="up", preferred_over=second)
    soon(lambda: len(exported(trainer, "sft")[0]) == 6)

    messages = [one["messages"] for one in exported(trainer, "sft")[0]]
    call = {"id": messages[2][1]["tool_calls"][0]["id"], "type": "function",
            "function": {"name": "send", "arguments": '{"to":"bob"}'}}  # fmt: skip
    assert messages == [
        [says("hello"), question, says("4")],
        [asks("[[text:5]] two and two"), says("it is 4")],
        [asks('[[tool:send {"to":"bob"}]] send it'), {**says(""), "tool_calls": [call]}],
        [{"role": "system", "content": "be brief"}, asks("[[text:red]] a colour"), says("red")],
        [asks("[[text:red]] a colour"), says("red"), asks("[[text:blue]] another"), says("blue")],
        [asks("[[text:red]] a colour"), says("red"), asks("[[text:blue]] another"), says("blue")],
    ]
    assert exported(trainer, "sft")[0][2]["tools"] == [TOOL] and called
    assert len(exported(trainer, "sft", liked=True)[0]) == 4
    assert exported(trainer, "sft", model="other") == ([], {})
    assert exported(trainer, "sft", until=1) == ([], {})
    spoken = [one["conversations"] for one in exported(trainer, "sharegpt")[0]]
    assert spoken[0] == [
        {"from": "gpt", "value": "hello"}, {"from": "human", "value": question["content"]},
        {"from": "gpt", "value": "4"},
    ]  # fmt: skip
    assert spoken[2][1] == {"from": "function_call", "value": json.dumps(call["function"],
                            separators=(",", ":"))}  # fmt: skip
    assert spoken[3][0] == {"from": "system", "value": "be brief"}
    unpaired = exported(trainer, "unpaired")[0]
    assert [(one["completion"][0]["content"], one["label"]) for one in unpaired] == [
        ("4", True), ("it is 4", True), ("5", False), ("red", True), ("blue", True),
    ]  # fmt: skip
    assert unpaired[0]["prompt"] == [says("hello"), question]
    (edited,) = exported(trainer, "preference")[0]
    assert edited == {
        "prompt": [asks("[[text:5]] two and two")], "chosen": [says("it is 4")],
        "rejected": [says("5")],
    }  # fmt: skip
    (told,) = exported(trainer, "openai")[0]
    assert told == {
        "input": {"messages": edited["prompt"], "tools": [], "parallel_tool_calls": True},
        "preferred_output": edited["chosen"], "non_preferred_output": edited["rejected"],
    }  # fmt: skip


def test_of_two_answers_to_one_question_the_better_is_chosen(people: dict[str, Client]) -> None:
    dora, trainer = people["dora"], people["trainer"]
    before = exported(trainer, "preference")[0]
    shape = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer"}}}
    same = asks("how many of them")
    worse, other = chat(dora, same), chat(dora, asks("how many of these"))
    better = chat(dora, same, response_format=shape)
    judged(dora, worse, rating="down")
    judged(dora, other, rating="down")
    judged(dora, better, rating="up", preferred_over=other)
    soon(lambda: len(exported(trainer, "preference")[0]) > len(before))
    pair = exported(trainer, "preference")[0][-1]
    assert pair["prompt"] == [same], "what was asked otherwise is not compared"
    assert pair["chosen"] != pair["rejected"] == [says("tok0 tok1 tok2")]
    judged(dora, better, rating="up", preferred_over=worse)
    soon(lambda: len(exported(trainer, "preference")[0]) == len(before) + 1)


def test_personal_data_and_deleted_turns_are_in_no_example(people: dict[str, Client]) -> None:
    dora, trainer = people["dora"], people["trainer"]
    values = " and ".join(CANARIES)
    arguments = {"to": "jane.canary@example.com", "card": 4111111111111111, "deep": [values]}
    answer = chat(
        dora, {"role": "system", "content": values}, asks(f"[[text:{values}]] {values}"),
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c", "type": "function",
             "function": {"name": "send", "arguments": json.dumps(arguments)}},
        ]},
        {"role": "tool", "tool_call_id": "c", "content": json.dumps(arguments)},
        asks(f"[[text:{values}]] again"), tools=[TOOL],
    )  # fmt: skip
    judged(dora, answer, rating="down", edited=f"better: {values}", comment=values)
    kept = chat(dora, asks("[[text:gone]] to be deleted"), store=True)
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    chat(dora, {"role": "user", "content": picture})
    soon(lambda: "gone" in str(exported(trainer, "sft")[0]))
    assert dora.ask("DELETE", f"/chat/completions/{kept}")[0] == 200
    soon(lambda: exported(trainer, "sft")[1].get("deleted") == 1)
    assert exported(trainer, "sft")[1]["media"] == 1
    for name in ("sft", "sharegpt", "unpaired", "preference", "openai"):
        asked = {"format": name, "reason": "a test"}
        page = trainer.post("/training/export", **asked)
        text = json.dumps(page["data"])
        assert "[email]" in text and "better" in text
        for value in (*CANARIES, "4111111111111111"):
            assert value not in text, (name, value)
        assert page["hidden"]["email"] and page["hidden"]["card"]


def test_from_the_command_line(
    axon: RunningAxon, people: dict[str, Client], tmp_path: Path
) -> None:
    trainer = people["trainer"]

    def run(*words: str, key: str = trainer.key) -> Any:
        told = {"AXON_DATA": str(axon.data), "AXON_API_KEY": key, "AXON_BASE_URL": axon.base_url}
        return CliRunner().invoke(commands, ["training", *words], env=told)

    out = tmp_path / "data"
    asked = ("export", "--format", "sft", "--since", "1d", "--reason", "a test", "--out", str(out))
    done = run(*asked, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    manifest = json.loads(done.stdout)
    assert manifest["examples"] == len((out / "part-00001.jsonl").read_text().splitlines())
    assert manifest["bases"] == {"opted_in": manifest["examples"] + manifest["duplicates"]}
    assert manifest["dropped"]["refused"] == 3 and manifest["reason"] == "a test"
    shown = run("verify", str(out))
    assert shown.exit_code == 0 and "3 turns left out: the person refused" in shown.stdout
    assert "something in" in str(run(*asked).exception)
    wrong = run(*asked[:4], "yesterday", *asked[5:])
    assert wrong.exit_code == 2 and "not a time like" in wrong.output
    (out / "part-00001.jsonl").write_text("{}\n")
    assert isinstance(run("verify", str(out)).exception, AxonError)
    officer = people["officer"].key
    assert run("policy", key=officer).stdout.strip() == "opted_in"
    assert run("consent", "ada", key=officer).stdout.strip() == "no"
    changed = run("consent", "ada", "yes", "--reason", "wrote to us", key=officer)
    assert changed.stdout.strip() == "yes"
    soon(lambda: run("consent", "ada", key=officer).stdout.strip() == "yes")


def test_the_erased_are_gone_and_have_not_agreed(people: dict[str, Client]) -> None:
    dora, trainer = people["dora"], people["trainer"]
    assert exported(trainer, "sft", model=MODEL)[0]
    dora.post("/privacy/erase", reason="a test")
    soon(lambda: dora.get("/training/consent")["consent"] is False)
    found, _ = exported(trainer, "sft")
    assert all("fine" in json.dumps(one) for one in found), "ada's alone"
    agree(dora, True)
    assert exported(trainer, "sft")[1]["erased"] > 3


def test_what_is_asked_wrongly_is_refused(people: dict[str, Client]) -> None:
    trainer = people["trainer"]
    good = {"format": "sft", "reason": "a test"}
    for wrong in (
        {"format": "csv"}, {"reason": ""}, {"limit": 0}, {"limit": 201}, {"after": "x"},
        {"since": -1}, {"until": 2**40}, {"model": "\0"}, {"liked": 3},
    ):  # fmt: skip
        status, body = trainer.ask("POST", "/training/export", {**good, **wrong})
        assert status == 400 and body["error"]["param"] == next(iter(wrong)), wrong


async def untouched_since_1970(axon: RunningAxon, conversation_id: str) -> None:
    connection = await asyncpg.connect(EmbeddedPostgres(axon.data).url())
    await connection.execute(
        "UPDATE conversations.conversations SET created_us = 1, updated_us = 1 WHERE id = $1",
        conversation_id,
    )
    await connection.close()


def test_a_conversation_in_the_archive_gives_the_same_example(
    axon: RunningAxon,
) -> None:
    """Also of a turn whose prompt is what came before it."""
    axon_command(axon, "orgs", "create", "old")
    ada, officer = client_of(axon, "old", "ada"), client_of(axon, "old", "o", "privacy_officer")
    trainer = client_of(axon, "old", "t", "trainer")
    allow(officer, "all")
    conversation = ada.post("/conversations")["id"]
    for text in ("the first", "the second"):
        ada.say(text, conversation=conversation)
    soon(lambda: len(exported(trainer, "sft")[0]) == 2)
    warm, _ = exported(trainer, "sft")
    assert "the first" in str(warm[1]) and "the second" in str(warm[1])
    before = axon_command(axon, "archive", "status")["conversations"]
    asyncio.run(untouched_since_1970(axon, conversation))
    axon_text(axon, "archive", "run")  # or the scheduler does, if it looks just now
    soon(lambda: axon_command(axon, "archive", "status")["conversations"] > before)
    assert exported(trainer, "sft")[0] == warm


def test_a_person_in_the_eu_is_asked_whatever_the_organization_says(axon: RunningAxon) -> None:
    axon_command(axon, "orgs", "create", "abroad", "--region", "eu")
    ada = client_of(axon, "abroad", "ada")
    officer, trainer = (
        client_of(axon, "abroad", name, name) for name in ("privacy_officer", "trainer")
    )
    allow(officer, "all")
    ada.say("here")
    soon(lambda: exported(trainer, "sft")[1])
    assert exported(trainer, "sft") == ([], {"not_asked": 1})
    agree(ada, True)
    assert len(exported(trainer, "sft")[0]) == 1
