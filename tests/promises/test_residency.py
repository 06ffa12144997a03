"""Two cells, eu and us: no byte of an EU person reaches a store of the US cell.

EU traffic with canaries is sent to both doors. Then every file of the US cell's data folder (its
journals, PostgreSQL and its write-ahead log, keys, log lines), its whole Valkey and all rows of its
database are searched for the canaries, for the EU's ids, and for what the EU cell has sealed.
"""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from axon.app.embedded import EmbeddedPostgres, EmbeddedValkey
from axon.base import MIB
from axon.stores import Valkey
from tests.gateway.audited import command, soon
from tests.gateway.conftest import RunningAxon, start_axon, stop

MODEL = "fake-model"
CANARY = "zugspitze-canary"
"""In everything a client can say: bodies, names, headers, paths and queries."""

URLS = {"eu": "https://eu.example.com/v1", "us": "https://us.example.com/v1"}
_SETTINGS = """
[residency]
region = "{region}"
[residency.cells.eu]
base_url = "https://eu.example.com/v1"
[residency.cells.us]
base_url = "https://us.example.com/v1"
"""

FILE_BYTES_MAX = 64 * MIB
"""PostgreSQL's and the journal's files are smaller."""

BLOB_PIECE_BYTES = 24
"""Of the middle of a sealed blob: 192 random bits are nowhere by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A running cell, and the product of the region."""

    axon: RunningAxon
    key: str

    def send(
        self, method: str, path: str, body: Any = None, key: str = "", **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Return the status, the headers and the body of an answer."""
        connection = HTTPConnection(urlsplit(self.axon.base_url).netloc, timeout=60)
        content = None if body is None else json.dumps(body)
        sent = {"authorization": f"Bearer {key or self.key}", **headers}
        connection.request(method, path, content, sent)
        answer = connection.getresponse()
        told = dict(answer.getheaders())
        text = answer.read().decode(errors="replace")  # an export is a zip archive
        connection.close()
        return answer.status, told, text


def start_cell(folder: Path, region: str, upstream: str) -> tuple[Any, Cell]:
    folder.mkdir()
    config = folder / "axon.toml"
    config.write_text(_SETTINGS.format(region=region))
    process, running = start_axon(folder / "data", upstream, "--config", str(config))
    ask = ("--config", str(config))
    command(running, "orgs", "create", "acme", *ask)
    command(running, "users", "create", "backend", "--org", "acme", *ask)
    made = command(
        running, "keys", "create", "--org", "acme", "--user", "backend", "--name", "b",
        "--acts-for-users", *ask,
    )  # fmt: skip
    return process, Cell(axon=running, key=str(made["secret"]))


@pytest.fixture(scope="module")
def cells(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str
) -> Iterator[dict[str, Cell]]:
    """Both cells; they share an engine, which keeps nothing."""
    folder = tmp_path_factory.mktemp("cells")
    with ThreadPoolExecutor(2) as threads:
        work = {
            region: threads.submit(start_cell, folder / region, region, upstream_address)
            for region in URLS
        }
    yield {region: one.result()[1] for region, one in work.items()}
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda one: stop(one.result()[0]), work.values())) == [0, 0]


def requests_of_ada(conversation: str, response: str) -> list[tuple[str, str, Any]]:
    """Return every kind of request that says something of a person, or names what is theirs."""
    me = {"safety_identifier": f"ada-{CANARY}"}
    message = {"role": "user", "content": CANARY}
    event = {
        "specversion": "1.0", "id": CANARY, "source": CANARY, "type": "x", "subject": CANARY,
        "data": {"words": CANARY},
    }  # fmt: skip
    chat = {"model": MODEL, "messages": [message], "store": True, **me}
    turn = {"model": MODEL, "input": CANARY, "metadata": {"note": CANARY}, **me}
    flags = {"context": {"targetingKey": f"ada-{CANARY}", "note": CANARY}}
    in_conversation = {**turn, "conversation": conversation}
    return [
        ("POST", "/v1/chat/completions", chat),
        ("POST", "/v1/chat/completions", {**chat, "stream": True}),
        ("POST", "/v1/responses", turn),
        ("POST", "/v1/responses", in_conversation),
        ("POST", "/v1/responses", {**turn, "previous_response_id": response}),
        ("POST", "/v1/responses", {**turn, "stream": True, "background": True}),
        ("POST", "/v1/embeddings", {"model": MODEL, "input": CANARY, **me}),
        ("POST", "/v1/completions", {"model": MODEL, "prompt": CANARY, **me}),
        ("POST", "/v1/conversations", {"metadata": {"note": CANARY}, **me}),
        ("POST", f"/v1/conversations/{conversation}", {"title": CANARY}),
        ("GET", f"/v1/conversations/{conversation}/items", None),
        ("GET", f"/v1/conversations/search?q={CANARY}", None),
        ("GET", f"/v1/responses/{response}?stream=true", None),
        ("POST", "/v1/feedback", {"response_id": response, "rating": "up", "comment": CANARY}),
        ("POST", "/v1/user_passes", {"user": f"ada-{CANARY}"}),
        ("POST", "/v1/privacy/export", {"user": f"ada-{CANARY}", "reason": CANARY}),
        ("POST", "/api/v1/events", [event]),
        ("GET", f"/api/v1/subjects/{quote(CANARY)}/entitlements/x/value", None),
        ("POST", "/ofrep/v1/evaluate/flags", flags),
        ("POST", f"/ofrep/v1/evaluate/flags/{CANARY}", flags),
        ("GET", f"/v1/no-such-thing/{CANARY}", None),
    ]


HEADERS = {
    "idempotency-key": CANARY,
    "axon-anonymous-id": CANARY,
    "x-request-id": CANARY,
    "user-agent": CANARY,
}


def misdirected(answer: tuple[int, dict[str, str], str]) -> bool:
    """Return whether an answer is a 421 that says where to go, and repeats nothing."""
    status, headers, text = answer
    assert CANARY not in text + str(headers)
    told = json.loads(text)
    told = told.get("error", told)
    where = (told["region"], told["base_url"], headers["axon-region"], headers["axon-base-url"])
    return (status, where) == (421, ("eu", URLS["eu"], "eu", URLS["eu"]))


def test_no_byte_of_an_eu_person_reaches_a_store_of_the_us_cell(cells: dict[str, Cell]) -> None:
    eu, us = cells["eu"], cells["us"]
    assert eu.key.startswith("sk-axon-eu-") and us.key.startswith("sk-axon-us-")
    me = {"safety_identifier": f"ada-{CANARY}"}
    _, _, text = eu.send("POST", "/v1/conversations", {**me})
    conversation = json.loads(text)["id"]
    turn = {"model": MODEL, "input": CANARY, "conversation": conversation, **me}
    response = json.loads(eu.send("POST", "/v1/responses", turn)[2])["id"]
    ada = json.loads(eu.send("POST", "/v1/user_passes", {"user": f"ada-{CANARY}"})[2])["value"]
    asked = requests_of_ada(conversation, response)

    with ThreadPoolExecutor(4) as threads:  # at the right door
        served = list(threads.map(lambda one: eu.send(*one)[0], asked))
    assert 421 not in served and served.count(200) > len(served) // 2

    for key in (eu.key, ada):  # at the wrong door, with everything that says whose it is
        assert all(misdirected(us.send(*one, key, **HEADERS)) for one in asked)

    # A person of a US organization who lives in the EU: known here by a number alone.
    _place(us, f"ada-{CANARY}")
    _place(us, CANARY)
    naming = [one for one in asked if CANARY in str(one[2]) and "no-such" not in one[1]]
    named = [one for one in naming if _names_ada(one)]
    assert len(named) > 10
    soon(lambda: us.send(*named[0], **HEADERS)[0] == 421)
    assert all(misdirected(us.send(*one, **HEADERS)) for one in named)

    # A key from before regions says nothing: it is unknown here, and nothing of it stays.
    assert us.send(*asked[3], key=f"sk-axon-{48 * '0'}", **HEADERS)[0] == 401

    # The US cell serves its own people meanwhile.
    said = {"model": MODEL, "input": "hello from the us", "safety_identifier": "bob"}
    assert us.send("POST", "/v1/responses", said)[0] == 200

    needles = [CANARY.encode(), conversation.encode(), response.encode(), *_sealed(eu)]
    assert len(needles) > 10
    assert all(any(needle in text for text in everything(eu)) for needle in needles)
    needles += [eu.key.encode(), ada.encode()]
    for kept in everything(us):
        assert not [needle for needle in needles if needle in kept]


def _names_ada(asked: tuple[str, str, Any]) -> bool:
    body = asked[2]
    text = json.dumps(body)
    names = (f'"ada-{CANARY}"', f'"subject": "{CANARY}"')
    of_another_cell = ("conversation", "previous_response_id", "response_id")
    return any(name in text for name in names) and not any(
        isinstance(body, dict) and name in body for name in of_another_cell
    )


def _place(cell: Cell, name: str) -> None:
    config = cell.axon.data.parent / "axon.toml"
    words = ("users", "place", name, "--org", "acme", "--region", "eu")
    command(cell.axon, *words, "--config", str(config))


def _sealed(cell: Cell) -> list[bytes]:
    """Return a piece of every sealed blob that the cell's PostgreSQL has."""
    rows = soon(lambda: _fetch(cell, "SELECT blob FROM conversations.items"))
    return [row["blob"][-BLOB_PIECE_BYTES - 8 : -8] for row in rows]


def everything(cell: Cell) -> Iterator[bytes]:
    """Return what the cell keeps: its files, rows and keys of Valkey; rows with what is in them."""
    soon(lambda: _lag(cell) == 0)
    _fetch(cell, "CHECKPOINT")
    for path in sorted(cell.axon.data.rglob("*")):
        if path.is_file() and path.stat().st_size <= FILE_BYTES_MAX:
            yield path.read_bytes()
    tables = _fetch(cell, "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^pg_'")
    for schema, table in tables:
        for row in _fetch(cell, f'SELECT * FROM "{schema}"."{table}"'):
            yield b"\n".join(one if isinstance(one, bytes) else str(one).encode() for one in row)
    yield from asyncio.run(_valkey(EmbeddedValkey(cell.axon.data).url()))


def _lag(cell: Cell) -> float:
    lines = cell.send("GET", "/metrics")[2].splitlines()
    found = [line for line in lines if line.startswith("axon_projection_lag_records")]
    return float(found[0].split()[-1])


def _fetch(cell: Cell, statement: str) -> list[Any]:
    async def work() -> list[Any]:
        connection = await asyncpg.connect(EmbeddedPostgres(cell.axon.data).url())
        rows: list[Any] = await connection.fetch(statement)
        await connection.close()
        return rows

    return asyncio.run(work())


async def _valkey(url: str) -> list[bytes]:
    """Return every key of a Valkey with its value, as Valkey itself would write it to a file."""
    valkey = Valkey(url, timeout_ms=10_000)
    await valkey.start()
    await valkey.call("CONFIG", "SET", "rdbcompression", "no")
    keys = await valkey.call("KEYS", "*")
    assert isinstance(keys, list) and keys
    texts = []
    for key in keys:
        assert isinstance(key, bytes)
        value = await valkey.call("DUMP", key)
        texts.append(key + (value if isinstance(value, bytes) else b""))
    await valkey.stop()
    return texts
