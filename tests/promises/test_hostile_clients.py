"""Clients that mean no good: memory stays bounded, and everybody else is served."""

import asyncio
import json
import resource
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest

from axon.app.roles.connections import IDLE_BEFORE_MAKING_ROOM_S
from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.promises.raw_client import (
    MODEL,
    WAIT_S,
    Others,
    RawClient,
    metric,
    resident_mib,
    serving_pid,
    until_metric,
)

ITEMS = 10_000
IDLE = 10_000
"""Far more than http.connections_max."""
OPEN_FILES_OF_THE_TEST = IDLE + 1_000
MEMORY_MIB = 250.0
"""What any of these attacks may cost: a few hundred would need many times as much unbounded."""
SHARE = 0.05
"""Of what the others got done in peace they must still get done, both measured within seconds on a
machine that other tests share. Without bounds it was a five-hundredth."""
DEEP = 50
"""Connections of one attack."""
PIPELINED_MAX = 32


@pytest.fixture(scope="module")
def axon(tmp_path_factory: pytest.TempPathFactory, upstream_address: str) -> Iterator[RunningAxon]:
    """An Axon with little patience."""
    impatient = {
        "AXON_HTTP_HEAD_S": "1.5",
        "AXON_HTTP_BODY_S": "1.5",
        "AXON_HTTP_SLOW_CLIENT_S": "3",
        "AXON_UPSTREAM_CONTEXT_WINDOW": "100000000",
        "AXON_LOG_LEVEL": "warning",
    }
    folder = tmp_path_factory.mktemp("hostile")
    process, running = start_axon(folder, upstream_address, environment=impatient)
    yield running
    stop(process)


def a_turn(client: RawClient, text: str = "[[text:well]]") -> bytes:
    return client.post("/v1/responses", {"model": MODEL, "input": text})


async def connect(stack: AsyncExitStack, axon: RunningAxon, count: int) -> list[RawClient]:
    return [await stack.enter_async_context(RawClient(axon)) for _ in range(count)]


async def test_a_connection_that_says_nothing_is_closed(axon: RunningAxon) -> None:
    async with RawClient(axon) as client:
        assert await client.rest() == b""


async def test_a_head_that_trickles_in_is_a_408(axon: RunningAxon) -> None:
    async with RawClient(axon) as client:
        assert (await client.ask(client.head("GET", "/healthz"))).status == 200
        await client.send(b"GET /healthz HTTP/1.1\r\nhost: a")
        answer = await client.answer()
        assert (answer.status, answer.code) == (408, "request_timeout")
        assert answer.headers["connection"] == "close"
        assert await client.rest() == b""


@pytest.mark.parametrize("framing", ["content_length: 1000", "transfer_encoding: chunked"])
async def test_a_body_that_trickles_in_is_a_408(axon: RunningAxon, framing: str) -> None:
    name, value = framing.split(": ")
    async with RawClient(axon) as client:
        await client.send(client.head("POST", "/v1/responses", **{name: value}))
        trickle = asyncio.create_task(_trickle(client, b'5\r\n{"a":\r\n'))
        answer = await client.answer()
        assert (answer.status, answer.code) == (408, "request_timeout")
        trickle.cancel()


async def _trickle(client: RawClient, data: bytes) -> None:
    for byte in data * 100:
        await client.send(bytes([byte]))
        await asyncio.sleep(0.1)


async def test_a_body_that_comes_slowly_and_steadily_is_taken(axon: RunningAxon) -> None:
    async with RawClient(axon) as client:
        text = "x" * 40_000
        body = json.dumps({"model": MODEL, "input": f"[[text:well]]{text}"}).encode()
        await client.send(client.head("POST", "/v1/responses", content_length=len(body)))
        for start in range(0, len(body), 4_100):  # 3 s in all, twice what an empty one has
            await client.send(body[start : start + 4_100])
            await asyncio.sleep(0.3)
        assert (await client.answer()).status == 200


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"x: " + b"y" * 1_000_000 + b"\r\n\r\n", id="one header of a megabyte"),
        pytest.param(b"x: " + b"y" * 40_000 + b"\r\n\r\n", id="one header of 40 kB"),
        pytest.param(b"x:y\r\n" * 129 + b"\r\n", id="129 headers"),
        pytest.param(b"x:y\r\n" * 200_000, id="headers without end"),
    ],
)
async def test_a_head_without_measure_is_a_431(axon: RunningAxon, flood: bytes) -> None:
    async with RawClient(axon) as client:
        sending = asyncio.create_task(client.send(b"GET /healthz HTTP/1.1\r\n" + flood))
        answer = await client.answer()
        assert (answer.status, answer.code) == (431, "headers_too_large")
        await sending


async def test_what_is_no_http_is_a_400(axon: RunningAxon) -> None:
    async with RawClient(axon) as client:
        answer = await client.ask(b"\x16\x03\x01 hello\r\n\r\n")
        assert (answer.status, answer.code) == (400, "invalid_http")


async def test_requests_sent_far_ahead_are_answered_up_to_the_bound(axon: RunningAxon) -> None:
    async with RawClient(axon) as client:
        request = client.head("GET", "/healthz")
        sending = asyncio.create_task(client.send(request * 10_000))
        statuses = await client.statuses()
        assert set(statuses) == {200}
        assert PIPELINED_MAX <= len(statuses) <= 2 * PIPELINED_MAX
        await sending


async def test_a_few_requests_sent_ahead_are_all_answered(axon: RunningAxon) -> None:
    async with RawClient(axon) as client:
        await client.send(client.head("GET", "/healthz") * 20 + a_turn(client))
        answers = [await client.answer() for _ in range(21)]
        assert [answer.status for answer in answers] == [200] * 21
        assert (await client.ask(a_turn(client))).status == 200


async def test_a_refusal_waits_for_the_answer_before_it(axon: RunningAxon) -> None:
    async with RawClient(axon) as client:
        slow = a_turn(client, "[[first_ms:500]][[text:well]]")
        await client.send(slow + b"GET / HTTP/1.1\r\n" + b"x:y\r\n" * 200 + b"\r\n")
        assert await client.statuses() == [200]


async def test_an_upgrade_nobody_offers_is_an_ordinary_request(axon: RunningAxon) -> None:
    async with RawClient(axon) as client:
        await client.send(client.head("GET", "/healthz", connection="upgrade", upgrade="h2c"))
        assert await client.statuses() == [200]


async def test_pipelining_without_reading_costs_little(axon: RunningAxon) -> None:
    others = Others(axon)
    before = resident_mib(axon)
    peace = await others.turns_a_second()
    async with AsyncExitStack() as stack:
        clients = await connect(stack, axon, DEEP)
        for client in clients:
            client.writer.write(client.head("GET", "/v1/models") * 10_000)
        assert await others.complete(SHARE * peace)
        assert resident_mib(axon) - before < MEMORY_MIB


async def test_a_body_without_end_is_a_413_and_is_not_kept(axon: RunningAxon) -> None:
    others = Others(axon)
    before = resident_mib(axon)
    peace = await others.turns_a_second()

    async def flood(client: RawClient) -> None:
        await client.send(client.head("POST", "/v1/responses", transfer_encoding="chunked"))
        sending = asyncio.create_task(_without_end(client))
        answer = await client.answer()
        assert (answer.status, answer.code) == (413, "request_too_large")
        sending.cancel()

    async with AsyncExitStack() as stack:
        clients = await connect(stack, axon, 8)
        floods = asyncio.gather(*(flood(client) for client in clients))
        assert await others.complete(SHARE * peace)
        await floods
        assert resident_mib(axon) - before < MEMORY_MIB


async def _without_end(client: RawClient) -> None:
    piece = b"%x\r\n%b\r\n" % (1 << 18, b" " * (1 << 18))
    while True:
        await client.send(piece)
        await asyncio.sleep(0.05)  # or the client itself would take all there is of the processor


async def test_headers_behind_a_body_are_bounded(axon: RunningAxon) -> None:
    async with RawClient(axon) as client:
        head = client.head("POST", "/v1/responses", transfer_encoding="chunked")
        sending = asyncio.create_task(client.send(head + b"0\r\nx: " + b"y" * 1_000_000))
        answer = await client.answer()
        assert answer.status == 431
        await sending


async def test_chunks_of_one_byte_cost_no_more_than_the_body(axon: RunningAxon) -> None:
    before = resident_mib(axon)
    async with RawClient(axon) as client:
        await client.send(client.head("POST", "/v1/responses", transfer_encoding="chunked"))
        for _ in range(20):
            await client.send(b"1\r\n \r\n" * 20_000)
        await client.send(b"0\r\n\r\n")
        assert (await client.answer()).status == 400
    assert resident_mib(axon) - before < MEMORY_MIB


async def test_a_crowd_of_trickling_clients_stands_in_nobodys_way(axon: RunningAxon) -> None:
    others = Others(axon)
    peace = await others.turns_a_second()
    async with AsyncExitStack() as stack:
        clients = await connect(stack, axon, 10 * DEEP)
        for number, client in enumerate(clients):
            request = client.head("POST", "/v1/responses", content_length=1000)
            client.writer.write(request if number % 2 else request[:20])
        assert await others.complete(SHARE * peace)


async def test_streams_nobody_reads_cost_their_answers_and_end(axon: RunningAxon) -> None:
    others = Others(axon)
    before = resident_mib(axon)
    cut = await metric(axon, "axon_slow_clients_cut_total")
    peace = await others.turns_a_second()
    address = urlsplit(axon.base_url)
    async with AsyncExitStack() as stack:
        for _ in range(16):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((str(address.hostname), int(address.port or 0)))
            asked = {"model": MODEL, "input": "[[chunks:50]][[pad:60000]]", "stream": True}
            deaf.sendall(RawClient(axon).post("/v1/responses", asked))
        async with asyncio.timeout(WAIT_S):
            while await metric(axon, "axon_turns_running"):  # what is left waits for its readers
                await asyncio.sleep(0.05)
        assert await others.complete(SHARE * peace)
        await until_metric(axon, "axon_slow_clients_cut_total", cut + 16)
    assert resident_mib(axon) - before < 2 * MEMORY_MIB


async def test_an_answer_nobody_reads_is_let_go(axon: RunningAxon) -> None:
    cut = await metric(axon, "axon_slow_clients_cut_total")
    address = urlsplit(axon.base_url)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((str(address.hostname), int(address.port or 0)))
        request = a_turn(RawClient(axon), f"[[text:{'x' * 6_000_000}]]")
        await asyncio.to_thread(deaf.sendall, request)
        await until_metric(axon, "axon_slow_clients_cut_total", cut + 1)


async def test_a_conversation_of_ten_thousand_items(axon: RunningAxon) -> None:
    others = Others(axon)
    peace = await others.turns_a_second()
    async with RawClient(axon) as client:
        made = json.loads((await client.ask(client.post("/v1/conversations", {}))).body)["id"]
        path = f"/v1/conversations/{made}"
        items = [{"role": "user", "content": "x" * 1000} for _ in range(20)]
        request = client.post(f"{path}/items", {"items": items})
        for _ in range(ITEMS // len(items)):
            assert (await client.ask(request)).status == 200
        before = resident_mib(axon)
        asked = {"model": MODEL, "input": "[[text:well]]", "conversation": made}
        asked["truncation"] = "auto"

        async def go_on() -> int:
            for _ in range(5):
                assert (await client.ask(client.post("/v1/responses", asked))).status == 200
            return 5

        turns = asyncio.create_task(go_on())
        assert await others.complete(SHARE * peace)
        assert await turns == 5
        assert resident_mib(axon) - before < MEMORY_MIB
        newest = await client.ask(client.head("GET", f"{path}/items?limit=100"))
        assert len(json.loads(newest.body)["data"]) == 100


async def test_ten_thousand_idle_connections(axon: RunningAxon) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < OPEN_FILES_OF_THE_TEST:
        pytest.skip(f"this test needs {OPEN_FILES_OF_THE_TEST} open files, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, OPEN_FILES_OF_THE_TEST), hard))
    others = Others(axon)
    pid, before = serving_pid(axon), resident_mib(axon)
    peace = await others.turns_a_second()
    address = urlsplit(axon.base_url)
    where = (str(address.hostname), int(address.port or 0))
    idle = await asyncio.to_thread(lambda: [socket.create_connection(where) for _ in range(IDLE)])
    try:
        await asyncio.sleep(2 * IDLE_BEFORE_MAKING_ROOM_S)  # who came just now keeps its place
        assert await others.complete(SHARE * peace)
        assert resident_mib(axon) - before < MEMORY_MIB
        assert await metric(axon, "axon_http_connections") <= 4096 + 256
    finally:
        for one in idle:
            one.close()
    assert serving_pid(axon) == pid
    assert await others.complete(SHARE * peace)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
