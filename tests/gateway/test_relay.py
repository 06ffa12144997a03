"""Handing a request to the process that owns what it is about, and what happens when it is away."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.accounts import Principal
from axon.base import IdMint, SystemClock, SystemRandomness, TaskOwner, instance_mark
from axon.gateway.call import Call, ClientGone, Message
from axon.gateway.problem import RequestRefused
from axon.gateway.relay import Owners, Relay, RelayOptions
from axon.gateway.sibling import Siblings
from tests.gateway.sibling_process import (
    CLOSE,
    Arrived,
    SiblingProcess,
    always,
    ok,
    sibling_process,
)

ORG = "org_1"
USER = 7
IDENTITY = bytes(32)
BODY_BYTES_MAX = 1000
CALLER = Principal(
    org_id=ORG,
    credential_id="key_1",
    user=USER,
    acts_for_users=False,
    permissions=frozenset(),
    tier="",
    region="",
)


def mint(name: str) -> IdMint:
    return IdMint(IDENTITY, SystemClock(), SystemRandomness(), instance_mark(name))


CONVERSATION = mint("two").mint("conv", ORG, USER)
OWN = mint("one").mint("conv", ORG, USER)


class Client:
    """One request, and what is sent back; it reads as fast as it is allowed to."""

    def __init__(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        target, _, query = path.encode().partition(b"?")
        self.reads = asyncio.Event()
        self.reads.set()
        self.leaves = asyncio.Event()
        self.got: list[Message] = []
        self._body = [body]
        self.call = Call(
            {
                "method": method,
                "path": target.decode(),
                "raw_path": target,
                "query_string": query,
                "headers": pairs,
            },
            self._receive,
            self._send,
            "req_1",
        )
        self.call.principal = CALLER

    async def _receive(self) -> Message:
        if self._body:
            return {"type": "http.request", "body": self._body.pop(), "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        self.got.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.got)

    @property
    def whole(self) -> bool:
        return bool(self.got) and self.got[-1].get("more_body") is False


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[SiblingProcess]:
    """The process that owns CONVERSATION."""
    async with sibling_process(tmp_path / "two.sock", always(ok(b"{}"))) as process:
        yield process


class Settled:
    """Notes that somebody waited for the siblings' journals."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, within_s: float) -> bool:
        self.asked += 1
        return True


_opened: list[Relay] = []


@pytest.fixture(autouse=True)
async def nothing_is_left_open() -> AsyncIterator[None]:
    """Close what the relays of a test keep."""
    yield
    for relay in _opened:
        relay.siblings.close()
    _opened.clear()
    await asyncio.sleep(0)


def relay_to(path: Path, settled: Settled | None = None, **options: float) -> Relay:
    bounds = {"answer_s": 20.0, "slow_client_s": 20.0, "present_s": 20.0, **options}
    tasks = TaskOwner(lambda name, error: pytest.fail(f"{name}: {error!r}"))
    owners = Owners(("one", "two"), "one", mint("one"))
    siblings = Siblings({"two": path}, SystemClock())
    chosen = RelayOptions(body_bytes_max=BODY_BYTES_MAX, **bounds)
    _opened.append(Relay(owners, siblings, settled or Settled(), tasks, chosen))
    return _opened[-1]


def read(process: SiblingProcess, **options: float) -> tuple[Relay, Client]:
    """Return a relay, and a client that reads CONVERSATION."""
    client = Client("GET", f"/v1/conversations/{CONVERSATION}")
    return relay_to(process.path, None, **options), client


def test_every_process_agrees_on_who_owns_what() -> None:
    names = ("one", "two", "three")
    for maker in names:
        made = mint(maker).mint("conv", ORG, USER)
        for own in names:
            owner = Owners(names, own, mint(own)).sibling_of(made, ORG)
            assert owner == (None if own == maker else maker)


def test_what_a_process_owned_that_is_gone_has_one_heir() -> None:
    names = ("one", "two", "three")
    heirs = set()
    for number in range(40):
        gone = mint(f"gone-{number}")
        ids = [gone.mint(prefix, ORG, USER) for prefix in ("conv", "resp", "conv")]
        found = {
            Owners(names, own, mint(own)).sibling_of(one, ORG) or own
            for one in ids
            for own in names
        }
        assert len(found) == 1
        heirs |= found
    assert heirs == set(names)


@pytest.mark.parametrize(
    "identity",
    ["", "conv_", "x" * 50, CONVERSATION[:-1] + "x", "gpt-4", f"ü{CONVERSATION}"],
    ids=["empty", "a prefix", "no id", "a tampered one", "a model", "one with a letter before"],
)
def test_what_is_no_id_of_ours_stays_where_it_is(identity: str) -> None:
    owners = Owners(("one", "two"), "one", mint("one"))
    assert owners.sibling_of(identity, ORG) is None
    assert owners.sibling_of(CONVERSATION, "org_2") is None
    assert owners.sibling_of(CONVERSATION, ORG) == "two"


async def test_a_request_arrives_as_it_was_sent_and_its_answer_comes_back(
    two: SiblingProcess,
) -> None:
    two.answer = always(
        b"HTTP/1.1 418 Short\r\ncontent-length: 5\r\nx-request-id: its own\r\n"
        b"connection: keep-alive\r\nkeep-alive: timeout=5\r\n\r\nhello"
    )
    path = f"/v1/conversations/{CONVERSATION}?items=delete&x=%20"
    headers = {"authorization": "Bearer k", "te": "trailers", "host": "a.example", "x-y": "z"}
    client = Client("DELETE", path, b"body", **headers)
    relay = relay_to(two.path)
    assert await relay.took(client.call, (CONVERSATION,))
    passed = {"authorization": "Bearer k", "x-y": "z", "host": "sibling", "content-length": "4"}
    assert two.arrived == [Arrived("DELETE", path, passed, b"body")]
    start, *_ = client.got
    assert (start["status"], client.body, client.whole) == (418, b"hello", True)
    assert start["headers"] == [(b"content-length", b"5"), (b"x-request-id", b"its own")]
    assert (client.call.status, client.call.log["axon.relayed.to"]) == (418, "two")


@pytest.mark.parametrize(
    "body",
    [
        {"conversation": CONVERSATION},
        {"conversation": {"id": CONVERSATION}},
        {"previous_response_id": mint("two").mint("resp", ORG, USER)},
    ],
    ids=["its conversation", "the same as an object", "a response"],
)
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/input_tokens"])
async def test_a_turn_goes_where_what_it_continues_is(
    two: SiblingProcess, body: object, path: str
) -> None:
    raw = json.dumps({"model": "m", "input": "x", **dict(body)}).encode()  # type: ignore[call-overload]
    client = Client("POST", path, raw)
    assert await relay_to(two.path).took(client.call, ())
    assert [request.body for request in two.arrived] == [raw]


@pytest.mark.parametrize(
    "raw",
    [b"{}", b'{"conversation":null}', b'{"conversation":"%b"}' % OWN.encode()],
    ids=["nothing", "null", "our own"],
)
async def test_what_continues_nothing_of_a_sibling_stays(two: SiblingProcess, raw: bytes) -> None:
    client = Client("POST", "/v1/responses", raw)
    assert not await relay_to(two.path).took(client.call, ())
    assert await client.call.fields(BODY_BYTES_MAX) == (raw, client.call.read_fields(raw))
    assert two.connections == 0


def keyed(path: str, key: str, body: bytes = b"{}") -> Client:
    client = Client("POST", path, body)
    client.call.headers[b"idempotency-key"] = key.encode()
    return client


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions", "/v1/conversations"])
async def test_requests_with_one_key_meet_in_one_process(two: SiblingProcess, path: str) -> None:
    relay = relay_to(two.path)
    taken = {f"key-{n}": await relay.took(keyed(path, f"key-{n}").call, ()) for n in range(40)}
    assert set(taken.values()) == {True, False}
    assert [await relay.took(keyed(path, key).call, ()) for key in taken] == [*taken.values()]
    others = Owners(("one", "two"), "two", mint("two"))
    for key, elsewhere in taken.items():
        assert (others.keeper_of(key.encode(), ORG) is None) == elsewhere
    heads = [request.headers["idempotency-key"] for request in two.arrived]
    assert heads == 2 * [key for key, elsewhere in taken.items() if elsewhere]


async def test_a_key_does_not_take_a_turn_from_its_conversation(two: SiblingProcess) -> None:
    relay = relay_to(two.path)
    for key in map(str, range(10)):
        here = b'{"conversation":"%b"}' % OWN.encode()
        assert not await relay.took(keyed("/v1/responses", key, here).call, ())
        there = b'{"conversation":"%b"}' % CONVERSATION.encode()
        assert await relay.took(keyed("/v1/responses", key, there).call, ())


async def test_a_request_can_be_handed_on_after_its_body_was_read(two: SiblingProcess) -> None:
    client = Client("POST", "/v1/chat/completions", b'{"a":1}')
    await client.call.fields(BODY_BYTES_MAX)
    relay = relay_to(two.path)
    assert not await relay.handed_on(client.call, OWN)
    assert await relay.handed_on(client.call, CONVERSATION)
    assert two.arrived[0].body == b'{"a":1}'


async def test_a_body_over_the_bound_goes_nowhere(two: SiblingProcess) -> None:
    for path, ids in (("/v1/responses", ()), ("/v1/conversations/x/items", (CONVERSATION,))):
        client = Client("POST", path, b"x" * (BODY_BYTES_MAX + 1))
        client.call.headers[b"content-length"] = b"%d" % (BODY_BYTES_MAX + 1)
        with pytest.raises(RequestRefused) as refused:
            await relay_to(two.path).took(client.call, ids)
        assert refused.value.problem.status == 413
    assert two.connections == 0


async def test_a_list_waits_for_what_siblings_have_not_projected(two: SiblingProcess) -> None:
    settled = Settled()
    relay = relay_to(two.path, settled)
    for path in ("/v1/conversations", "/v1/sync", "/v1/chat/completions"):
        assert not await relay.took(Client("GET", path).call, ())
    assert not await relay.took(Client("GET", "/v1/models").call, ())
    assert settled.asked == 3


async def test_an_answer_is_passed_on_piece_by_piece(two: SiblingProcess) -> None:
    go_on = asyncio.Event()

    async def in_two_pieces(_request: Arrived, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await go_on.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    two.answer = in_two_pieces
    relay, client = read(two)
    asked = asyncio.create_task(relay.took(client.call, (CONVERSATION,)))
    while client.body != b"one":
        await asyncio.sleep(0)
    assert not client.whole
    assert client.got[0]["headers"] == []
    go_on.set()
    assert await asked
    assert (client.body, client.whole) == (b"onetwo", True)


async def test_connections_are_used_again_and_replaced_when_stale(two: SiblingProcess) -> None:
    relay, _ = read(two)

    async def ask() -> None:
        client = Client("GET", f"/v1/conversations/{CONVERSATION}")
        assert await relay.took(client.call, (CONVERSATION,))
        assert client.whole

    await ask()
    await ask()
    assert two.connections == 1
    two.answer = always(CLOSE, ok())
    await ask()  # it went out on the kept connection, which then closed: a read is repeated
    assert (len(two.arrived), two.connections) == (4, 2)


async def test_an_owner_that_ends_before_its_answer(two: SiblingProcess) -> None:
    two.answer = always(CLOSE)
    for method, tries in (("GET", 2), ("POST", 1), ("DELETE", 1)):
        two.arrived.clear()
        client = Client(method, f"/v1/conversations/{CONVERSATION}")
        with pytest.raises(RequestRefused) as refused:
            await relay_to(two.path).took(client.call, (CONVERSATION,))
        problem = refused.value.problem
        assert (problem.status, problem.code) == (503, "owner_restarting")
        assert problem.retry_after_ms
        assert len(two.arrived) == tries
        assert client.got == []


@pytest.mark.parametrize(
    "cut_off",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
async def test_an_owner_that_ends_within_its_answer_leaves_it_visibly_unfinished(
    two: SiblingProcess, cut_off: bytes
) -> None:
    async def half(_request: Arrived, writer: asyncio.StreamWriter) -> None:
        writer.write(cut_off)
        writer.close()

    two.answer = half
    relay, client = read(two)
    assert await relay.took(client.call, (CONVERSATION,))
    assert not client.whole
    assert client.call.log["axon.cut"] == "two ended"
    assert len(two.arrived) == 1, "what has begun is not repeated"


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"x" * 70_000])
async def test_an_answer_that_cannot_be_read_is_none(two: SiblingProcess, answer: bytes) -> None:
    two.answer = always(answer)
    client = Client("POST", f"/v1/conversations/{CONVERSATION}")
    with pytest.raises(RequestRefused):
        await relay_to(two.path).took(client.call, (CONVERSATION,))
    assert client.got == []


async def test_an_owner_that_does_not_come_back_is_not_sent_the_request(tmp_path: Path) -> None:
    """Neither one that is frozen, nor one whose socket nobody holds, nor one that is not there."""
    arrived = asyncio.Event()
    seen = bytearray()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.read(65_536))
        arrived.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(deaf, tmp_path / "frozen.sock")
    for name in ("frozen.sock", "absent.sock"):
        client = Client("POST", f"/v1/conversations/{CONVERSATION}", b"{}")
        with pytest.raises(RequestRefused) as refused:
            await relay_to(tmp_path / name, present_s=0.2).took(client.call, (CONVERSATION,))
        assert refused.value.problem.status == 503
    await arrived.wait()
    assert CONVERSATION.encode() not in seen, "it could be run later, after the refusal"
    server.close()


async def test_a_request_waits_for_an_owner_that_comes_back(tmp_path: Path) -> None:
    client = Client("GET", f"/v1/conversations/{CONVERSATION}")
    path = tmp_path / "two.sock"
    asked = asyncio.create_task(relay_to(path).took(client.call, (CONVERSATION,)))
    while not client.call.log:
        await asyncio.sleep(0)
    async with sibling_process(path, always(ok(b"back"))):
        assert await asked
    assert client.body == b"back"


async def test_a_process_that_ends_waits_no_longer(tmp_path: Path) -> None:
    relay = relay_to(tmp_path / "absent.sock", present_s=1000)
    clients = [Client("GET", f"/v1/conversations/{CONVERSATION}") for _ in range(2)]
    waiting = asyncio.create_task(relay.took(clients[0].call, (CONVERSATION,)))
    while not clients[0].call.log:
        await asyncio.sleep(0)
    relay.siblings.stop_waiting()
    with pytest.raises(RequestRefused):
        await waiting
    with pytest.raises(RequestRefused):
        await relay.took(clients[1].call, (CONVERSATION,))


async def hangs(_request: Arrived, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def test_an_owner_that_says_nothing_is_given_up(two: SiblingProcess) -> None:
    two.answer = hangs
    relay, client = read(two, answer_s=0.1)
    with pytest.raises(RequestRefused) as refused:
        await relay.took(client.call, (CONVERSATION,))
    assert refused.value.problem.status == 503
    assert len(two.arrived) == 1


async def endless(_request: Arrived, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
        await writer.drain()


async def test_a_client_that_does_not_read_is_let_go(two: SiblingProcess) -> None:
    two.answer = endless
    relay, client = read(two, slow_client_s=0.1)
    asked = asyncio.create_task(relay.took(client.call, (CONVERSATION,)))
    while len(client.got) < 3:
        await asyncio.sleep(0)
    client.reads.clear()
    assert await asked
    assert not client.whole
    assert "axon.cut" in client.call.log


@pytest.mark.parametrize("answer", [hangs, endless])
async def test_a_client_that_goes_away_is_let_go_by_the_owner_too(
    two: SiblingProcess, answer: object
) -> None:
    two.answer = answer  # type: ignore[assignment]
    relay, client = read(two)
    asked = asyncio.create_task(relay.took(client.call, (CONVERSATION,)))
    while not two.arrived:
        await asyncio.sleep(0)
    client.leaves.set()
    with pytest.raises(ClientGone):
        await asked
    if answer is endless:
        await two.left.wait()
