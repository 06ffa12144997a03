"""Two serving processes behind one port: one order, one truth, and either may die."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import cycle
from pathlib import Path

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.promises.reading import release, shown_to_the_model
from tests.promises.two_processes import (
    MODEL,
    NAMES,
    Client,
    connect,
    create,
    owner_of,
    pid_of,
    serving_pids,
    texts,
)

PARALLEL = 32
RELAYED = "axon_relayed_requests_total"
CUTS = ("axon_slow_clients_cut_total", "axon_relayed_requests_cut_total")
BODY_BYTES_MAX = 8 * 1024 * 1024
UNREAD_CHARACTERS = 6_000_000
"""More than the buffers of both ends hold, less than a request body may."""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, upstream_address: str) -> Iterator[RunningAxon]:
    """An Axon with two serving processes, which waits one second for a client."""
    environment = {
        "AXON_HTTP_SLOW_CLIENT_S": "1",
        "AXON_UPSTREAM_CONTEXT_WINDOW": "100000000",
    }
    folder = tmp_path_factory.mktemp("two")
    process, running = start_axon(
        folder, upstream_address, "--serving", "2", environment=environment
    )
    yield running
    stop(process)


@pytest.fixture
def clients(two: RunningAxon) -> Iterator[dict[str, Client]]:
    """One connection to each process."""
    opened = {name: connect(two, name) for name in NAMES}
    yield opened
    for client in opened.values():
        client.close()


def test_a_conversation_is_one_whoever_accepts_the_connection(
    two: RunningAxon, clients: dict[str, Client]
) -> None:
    for name in NAMES:
        conversation = create(clients[name])
        assert owner_of(conversation) == name
        said = []
        for number, other in enumerate([*NAMES, *NAMES, *NAMES]):
            with closing(connect(two, other)) as client:
                text = f"question {number} in {conversation} [[text:answer {number}]]"
                status, made = client.turn(text, conversation=conversation)
                assert status == 200
                assert owner_of(made["id"]) == name
                said += [text, f"answer {number}"]
                path = f"/v1/responses/{made['id']}"
                assert all(one.call("GET", path) == (200, made) for one in clients.values())
        assert texts(two, conversation) == said
        shown = shown_to_the_model(two.upstream, conversation)
        assert [[text for _, text in one] for one in shown] == [
            said[: 2 * number + 1] for number in range(6)
        ]


def test_a_chain_of_responses_crosses_the_processes(
    two: RunningAxon, clients: dict[str, Client]
) -> None:
    previous, said = None, []
    for number, name in zip(range(6), cycle(NAMES), strict=False):
        text = f"link {number} [[text:answer {number}]]"
        status, made = clients[name].turn(text, previous_response_id=previous)
        assert status == 200
        previous = made["id"]
        said += [text, f"answer {number}"]
        assert owner_of(previous) == NAMES[0]
    shown = [text for _, text in shown_to_the_model(two.upstream, "link 5")[0]]
    assert shown == said[:-1]


def test_parallel_turns_through_both_stay_pairs_and_see_each_other(
    two: RunningAxon, clients: dict[str, Client]
) -> None:
    conversation = create(clients["serving-2"])
    opened = [connect(two, name) for name in NAMES for _ in range(PARALLEL // 2)]

    def turn(number: int) -> int:
        text = f"question {number} in {conversation} [[text:answer {number}]]"
        return opened[number].turn(text, conversation=conversation)[0]

    with ThreadPoolExecutor(PARALLEL) as threads:
        assert set(threads.map(turn, range(PARALLEL))) == {200}
    for client in opened:
        client.close()
    said = texts(two, conversation)
    assert sorted(int(text.split()[1]) for text in said[::2]) == list(range(PARALLEL))
    assert [text.split()[1] for text in said[::2]] == [text.split()[1] for text in said[1::2]]
    shown = shown_to_the_model(two.upstream, conversation)
    seen = sorted(([text for _, text in one] for one in shown), key=len)
    assert seen == [said[: 2 * place + 1] for place in range(PARALLEL)]


def test_what_one_process_made_is_listed_by_the_other_at_once(clients: dict[str, Client]) -> None:
    cursor = clients["serving"].call("GET", "/v1/sync")[1]["cursor"]
    for name in [*NAMES] * 5:
        conversation = create(clients[name])
        for client in clients.values():
            status, page = client.call("GET", "/v1/conversations?limit=1")
            assert (status, page["data"][0]["id"]) == (200, conversation)
            _, changes = client.call("GET", f"/v1/sync?cursor={cursor}")
            assert [one["conversation_id"] for one in changes["data"]] == [conversation]
        cursor = changes["cursor"]


@pytest.mark.parametrize("path", ["responses", "chat/completions"])
def test_a_retry_finds_its_first_try_in_the_other_process(
    two: RunningAxon, clients: dict[str, Client], path: str
) -> None:
    for first, second in (NAMES, NAMES[::-1]):
        said = f"{path} {time.monotonic_ns()} [[first_ms:300]]"
        member = "input" if path == "responses" else "messages"
        value = said if path == "responses" else [{"role": "user", "content": said}]
        body = {"model": MODEL, member: value}
        headers = {"x-stainless-retry-count": "0"}
        with closing(connect(two, first)) as left:
            left.request(
                "POST",
                f"/v1/{path}",
                json.dumps(body),
                {"authorization": f"Bearer {two.api_key}", **headers},
            )
            while not shown_to_the_model(two.upstream, said):
                time.sleep(0.01)
        headers = {"x-stainless-retry-count": "1"}
        status, made = clients[second].call("POST", f"/v1/{path}", body, **headers)
        assert (status, owner_of(made["id"])) == (200, first)
        assert len(shown_to_the_model(two.upstream, said)) == 1
        headers = {"x-stainless-retry-count": "0"}
        status, anew = clients[second].call("POST", f"/v1/{path}", body, **headers)
        assert (status, owner_of(anew["id"])) == (200, second), "no retry: somebody says the same"


def test_a_retry_finds_its_first_try_after_a_crash(
    two: RunningAxon, clients: dict[str, Client]
) -> None:
    name = f"crash {time.monotonic_ns()}"
    said = f"[[held:{name}]][[text:once]]"
    body = {"model": MODEL, "input": said}
    with closing(connect(two, "serving-2")) as left:
        headers = {"authorization": f"Bearer {two.api_key}"}
        left.request("POST", "/v1/responses", json.dumps(body), headers)
        while not shown_to_the_model(two.upstream, said):
            time.sleep(0.01)
        create(clients["serving-2"])  # durable, hence so is the acceptance before it
        os.kill(pid_of(two, "serving-2"), signal.SIGKILL)
    release(two.upstream, name)
    headers = {"x-stainless-retry-count": "1"}
    status, made = clients["serving"].call("POST", "/v1/responses", body, **headers)
    assert status == 200, made
    assert owner_of(made["id"]) == "serving-2"


def test_a_stored_chat_completion_is_there_for_both_at_once(clients: dict[str, Client]) -> None:
    for name in NAMES:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "store": True}
        status, made = clients[name].call("POST", "/v1/chat/completions", body)
        assert (status, owner_of(made["id"])) == (200, name)
        for client in clients.values():
            status, found = client.call("GET", f"/v1/chat/completions/{made['id']}")
            assert (status, found["choices"]) == (200, made["choices"])
            path = "/v1/chat/completions?limit=1&order=desc"
            assert client.call("GET", path)[1]["data"][0]["id"] == made["id"]


@pytest.mark.parametrize("path", ["responses", "chat/completions", "conversations"])
def test_one_key_is_one_execution_whoever_accepts_the_connection(
    two: RunningAxon, path: str
) -> None:
    for round_ in range(4):
        said = f"{path} {round_} {time.monotonic_ns()}"
        bodies: dict[str, object] = {
            "responses": {"model": MODEL, "input": said},
            "chat/completions": {"model": MODEL, "messages": [{"role": "user", "content": said}]},
            "conversations": {"metadata": {"said": said}},
        }
        opened = [connect(two, name) for name in NAMES for _ in range(5)]

        def ask(client: Client, said: str = said, body: object = bodies[path]) -> tuple[int, str]:
            status, made = client.call("POST", f"/v1/{path}", body, **{"idempotency-key": said})
            return status, made["id"]

        with ThreadPoolExecutor(len(opened)) as threads:
            answers = set(threads.map(ask, opened))
        for client in opened:
            client.close()
        assert len(answers) == 1
        assert {status for status, _ in answers} == {200}
        assert len(shown_to_the_model(two.upstream, said)) == (path != "conversations")


def test_a_stream_comes_through_piece_by_piece(clients: dict[str, Client]) -> None:
    conversation = create(clients["serving"])
    text = f"{conversation} [[text:{' '.join('abcdefghij')}]][[chunks:10]][[delay_ms:30]]"
    body = {"model": MODEL, "input": text, "conversation": conversation, "stream": True}
    client = clients["serving-2"]
    client.request(
        "POST", "/v1/responses", json.dumps(body), {"authorization": f"Bearer {client.key}"}
    )
    answer = client.getresponse()
    assert answer.headers["content-type"].startswith("text/event-stream")
    running = []
    events = []
    while line := answer.readline():
        if line.startswith(b"data: {"):
            events.append(json.loads(line[6:]))
            if len(events) == 6:
                running.append(clients["serving"].call("GET", "/status")[1]["turns"]["running"])
    assert running == [1], "the first pieces came while the turn was still running"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.completed"
    deltas = [event["delta"] for event in events if event["type"].endswith("text.delta")]
    assert "".join(deltas).split() == list("abcdefghij")
    assert len(deltas) >= 5


def test_a_device_sees_what_happens_in_the_other_process(
    two: RunningAxon, clients: dict[str, Client]
) -> None:
    conversation = create(clients["serving"])
    with closing(connect(two, "serving-2")) as device:
        path = f"/v1/conversations/{conversation}/events"
        device.request("GET", path, headers={"authorization": f"Bearer {two.api_key}"})
        events = device.getresponse()
        assert clients["serving-2"].turn("[[text:seen]]", conversation=conversation)[0] == 200
        seen = []
        while "response.ended" not in seen:
            line = events.readline().decode()
            seen += [line[7:].strip()] if line.startswith("event: ") else []
        device.close()
    assert seen.count("conversation.item.created") == 2
    assert "response.started" in seen


def ask_and_leave(axon: RunningAxon, client: Client, text: str, conversation: str) -> None:
    """Ask for a stream and close after its first bytes."""
    body = {"model": MODEL, "input": text, "conversation": conversation, "stream": True}
    client.request(
        "POST", "/v1/responses", json.dumps(body), {"authorization": f"Bearer {axon.api_key}"}
    )
    assert client.getresponse().readline() == b"event: response.created\n"
    client.close()


def test_a_client_that_goes_away_changes_nothing(
    two: RunningAxon, clients: dict[str, Client]
) -> None:
    conversation = create(clients["serving"])
    with closing(connect(two, "serving-2")) as client:
        text = "[[text:a rather long answer]][[chunks:20]][[delay_ms:10]]"
        ask_and_leave(two, client, text, conversation)
    status, _ = clients["serving-2"].turn("[[text:next]]", conversation=conversation)
    assert status == 200
    assert texts(two, conversation)[1::2] == ["a rather long answer", "next"]


def cuts(clients: dict[str, Client]) -> float:
    """Return how many slow clients the processes have cut."""
    return sum(clients["serving"].metric(metric) for metric in CUTS)


def test_a_slow_client_is_cut_through_the_relay_and_its_turn_kept(
    two: RunningAxon, clients: dict[str, Client]
) -> None:
    conversation = create(clients["serving"])
    before = cuts(clients)
    text = f"[[text:{'x' * UNREAD_CHARACTERS}]][[chunks:100]]"
    body = {"model": MODEL, "input": text, "conversation": conversation, "stream": True}
    with closing(connect(two, "serving-2")) as deaf:
        assert deaf.sock is not None
        deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.request(
            "POST", "/v1/responses", json.dumps(body), {"authorization": f"Bearer {two.api_key}"}
        )
        while cuts(clients) == before:
            time.sleep(0.05)
    assert len(texts(two, conversation)[1]) == UNREAD_CHARACTERS


def test_a_body_is_bounded_and_otherwise_arrives_whole(
    two: RunningAxon, clients: dict[str, Client]
) -> None:
    conversation = create(clients["serving"])
    long = "x" * 1_000_000 + "[[text:read]]"
    assert clients["serving-2"].turn(long, conversation=conversation)[0] == 200
    path = f"/v1/conversations/{conversation}/items"
    items = [{"type": "message", "role": "user", "content": "y" * 500_000}]
    assert clients["serving-2"].call("POST", path, {"items": items})[0] == 200
    assert [len(text) for text in texts(two, conversation)] == [len(long), 4, 500_000]
    for place in ("/v1/responses", path):
        with closing(connect(two, "serving-2")) as client:
            status, problem = client.call("POST", place, {"input": "x" * BODY_BYTES_MAX})
            assert (status, problem["error"]["code"]) == (413, "request_too_large")


def test_nobody_outside_speaks_as_a_sibling(two: RunningAxon, clients: dict[str, Client]) -> None:
    conversation = create(clients["serving"])
    path = f"/v1/conversations/{conversation}"
    header = {"axon-relayed": "1"}
    before = clients["serving-2"].metric(RELAYED)
    assert clients["serving-2"].call("GET", path, **header)[1]["id"] == conversation
    assert clients["serving-2"].metric(RELAYED) == before + 1
    assert clients["serving"].call("POST", "/internal/present", {}, **header)[0] == 404
    run = two.data / "run"
    assert run.stat().st_mode & 0o777 == 0o700
    with closing(Client(two)) as client:
        client.key = "wrong"
        assert client.call("GET", path, **header)[0] == 401


def test_each_process_tells_how_all_are(clients: dict[str, Client]) -> None:
    for name, client in clients.items():
        (other,) = set(NAMES) - {name}
        status = client.call("GET", "/status")[1]
        sibling = status["siblings"][other]
        assert (status["ready"], sibling["ready"]) == (True, True)
        assert sibling["journal"]["instance"].endswith(f"-{other}")
        assert "siblings" not in sibling
        client.request("GET", "/metrics")
        page = client.getresponse().read().decode()
        families = {one.name: one for one in text_string_to_metric_families(page)}
        running = families["axon_turns_running"].samples
        assert {sample.labels["instance"] for sample in running} == set(NAMES)


def test_unknown_ids_are_not_there_wherever_they_are_asked_for(clients: dict[str, Client]) -> None:
    conversation = create(clients["serving"])
    for wrong in (conversation[:-1] + "z", "conv_" + "0" * 50, "resp_é"):
        for client in clients.values():
            path = f"/v1/conversations/{wrong}".replace("é", "%C3%A9")
            assert client.call("GET", path)[0] == 404
            assert client.turn("x", conversation=wrong)[0] == 404


def test_a_turn_waits_for_an_owner_that_restarts(
    two: RunningAxon, clients: dict[str, Client]
) -> None:
    conversation = create(clients["serving-2"])
    assert clients["serving"].turn("[[text:before]]", conversation=conversation)[0] == 200
    os.kill(pid_of(two, "serving-2"), signal.SIGKILL)
    status, answer = clients["serving"].turn("[[text:after]]", conversation=conversation)
    while status == 503:  # it went out on a connection that was about to end
        assert answer["error"]["code"] == "owner_restarting"
        status, answer = clients["serving"].turn("[[text:after]]", conversation=conversation)
    assert status == 200
    assert texts(two, conversation)[1::2] == ["before", "after"]


async def keep_asking(
    client: openai.AsyncOpenAI, conversation: str, over: asyncio.Event
) -> list[int]:
    """Take one turn after another until told to stop; return those that were acknowledged."""
    acknowledged: list[int] = []
    refused: list[tuple[int, str | None]] = []
    number = 0
    while not over.is_set():
        number += 1
        try:
            answer = await client.responses.create(
                model=MODEL,
                input=f"question {number} [[text:answer {number}]]",
                conversation=conversation,
            )
            acknowledged += [number] if answer.status == "completed" else []
        except openai.APIStatusError as error:
            refused.append((error.status_code, error.response.headers.get("retry-after-ms")))
            await asyncio.sleep(0.1)
        except openai.APIConnectionError:
            continue  # its process died
    assert all(status in (409, 503) and retry for status, retry in refused), refused
    return acknowledged


async def test_either_may_die_under_load_and_the_other_goes_on(two: RunningAxon) -> None:
    over = asyncio.Event()
    async with two.async_client() as client:
        made = [await client.conversations.create() for _ in range(16)]
        loads = [asyncio.create_task(keep_asking(client, one.id, over)) for one in made]
        for name in NAMES:
            await asyncio.sleep(0.5)
            survivor = next(other for other in NAMES if other != name)
            # Opened before, so that the survivor itself takes its turns meanwhile.
            with closing(await asyncio.to_thread(connect, two, survivor)) as other:
                conversation = await asyncio.to_thread(create, other)
                before = await asyncio.to_thread(pid_of, two, name)
                os.kill(before, signal.SIGKILL)
                turns = 0
                while turns < 20 or len(serving_pids(two)) < 2 or before in serving_pids(two):
                    status, _ = await asyncio.to_thread(
                        other.turn, "[[text:x]]", conversation=conversation
                    )
                    assert status == 200, "the survivor serves its own without a break"
                    turns += 1
            (await asyncio.to_thread(connect, two, name)).close()
        over.set()
        acknowledged = await asyncio.gather(*loads)
    for one, numbers in zip(made, acknowledged, strict=True):
        said = await asyncio.to_thread(texts, two, one.id)
        questions = [int(text.split()[1]) for text in said[::2]]
        assert questions == [int(text.split()[1]) for text in said[1::2]]
        assert questions == sorted(set(questions)), "each once, in the order they were asked"
        assert numbers and set(numbers) <= set(questions)


def kill_everything(process: "subprocess.Popen[str]", running: RunningAxon) -> None:
    """Kill the supervisor, and with it all it started; wait until they are gone."""
    with process:
        process.kill()
    for pid in (pid for pids in running.pids.values() for pid in pids):
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.01)


def leave_a_turn_open(axon: RunningAxon, conversation: str) -> Client:
    """Begin a turn that is held until its conversation is released; return once it is accepted."""
    text = f"open [[held:{conversation}]][[text:ended all the same]]"
    body = json.dumps({"model": MODEL, "input": text, "conversation": conversation})
    client = Client(axon)
    headers = {"authorization": f"Bearer {axon.api_key}"}
    client.request("POST", "/v1/responses", body, headers)
    while not shown_to_the_model(axon.upstream, f"held:{conversation}"):
        time.sleep(0.01)
    with closing(connect(axon, owner_of(conversation))) as other:
        create(other)  # durable, hence so is the acceptance before it
    return client


def test_the_number_of_processes_may_change(tmp_path: Path, upstream_address: str) -> None:
    """Also when PostgreSQL lacks what a process had acknowledged that is not there any more, and
    a turn of that process still ran.
    """
    left_open = ""
    conversations: dict[str, list[str]] = {}
    for round_, processes in enumerate((2, 1)):
        process, running = start_axon(tmp_path, upstream_address, "--serving", str(processes))
        names = NAMES[:processes]
        for conversation, said in conversations.items():
            assert texts(running, conversation) == said
        os.kill(running.pids["projector"][0], signal.SIGSTOP)
        if round_ == 0:
            for name in names:
                with closing(connect(running, name)) as client:
                    conversations[create(client)] = []
        for name in names:
            with closing(connect(running, name)) as client:
                for conversation, said in conversations.items():
                    text = f"{round_} {name} {conversation} [[text:answer {len(said)}]]"
                    status, made = client.turn(text, conversation=conversation)
                    assert status == 200
                    assert owner_of(made["id"]) == owner_of(conversation), "for when it is back"
                    said += [text, f"answer {len(said)}"]
        if round_ == 0:
            with closing(connect(running, NAMES[1])) as client:
                left_open = create(client)
            leave_a_turn_open(running, left_open).close()
        else:
            assert texts(running, left_open)[1:] == ["ended all the same"]
        kill_everything(process, running)
        release(upstream_address, left_open)
    for conversation, said in conversations.items():
        shown = shown_to_the_model(upstream_address, conversation)
        seen = [[text for _, text in one] for one in shown]
        assert seen == [said[: 2 * turns + 1] for turns in range(len(said) // 2)]
