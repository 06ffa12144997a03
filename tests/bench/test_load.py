"""The load generator counts what it should: a bench that cannot see an error proves nothing."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.compiled import tool
from bench.load import LoadReport

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood"
REFUSED = b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"d\r\ndata: go\n\ndat\r\n9\r\na: od\n\n\r\n\r\n0\r\n\r\n"
)
BROKEN = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"


class Answering:
    """A server that gives every request the same bytes and keeps what each connection asked."""

    def __init__(self) -> None:
        self.answer = WHOLE
        self.asked: dict[int, list[bytes]] = {}
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = self.asked.setdefault(id(writer), [])
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                mine.append(await reader.readexactly(length))
                writer.write(self.answer)
                if self.answer is BROKEN:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Answering]:
    answering = Answering()
    listener = await asyncio.start_server(answering.serve, "127.0.0.1", 0)
    answering.port = listener.sockets[0].getsockname()[1]
    yield answering
    listener.close()
    await listener.wait_closed()


async def load(server: Answering, folder: Path, *more: str) -> LoadReport:
    bodies = folder / "bodies"
    bodies.write_text("".join(f"body-{number}\n" for number in range(8)))
    fixed = ["--port", str(server.port), "--bodies", str(bodies), "--seconds", "0.3"]
    run = await asyncio.create_subprocess_exec(
        str(tool("load")), *fixed, *more, stdout=subprocess.PIPE
    )
    output, _ = await run.communicate()
    assert run.returncode == 0
    return LoadReport(**json.loads(output))


async def test_good_answers_are_counted(server: Answering, tmp_path: Path) -> None:
    report = await load(server, tmp_path, "--connections", "2", "--expect", "good")
    assert report.requests > 0
    assert report.errors == report.other_status == 0
    assert report.body_bytes == 4


async def test_an_answer_without_the_expected_text_is_an_error(
    server: Answering, tmp_path: Path
) -> None:
    report = await load(server, tmp_path, "--expect", "better")
    assert report.requests == 0
    assert report.errors == report.answered > 0


async def test_another_status_is_an_error(server: Answering, tmp_path: Path) -> None:
    server.answer = REFUSED
    report = await load(server, tmp_path)
    assert report.requests == 0
    assert report.errors == report.other_status == report.answered > 0
    assert report.last_other_status == 503


async def test_a_broken_answer_is_an_error(server: Answering, tmp_path: Path) -> None:
    server.answer = BROKEN
    report = await load(server, tmp_path)
    assert report.requests == 0
    assert report.errors > 0


async def test_chunks_are_joined_before_the_text_is_looked_for(
    server: Answering, tmp_path: Path
) -> None:
    server.answer = CHUNKED
    report = await load(server, tmp_path, "--expect", "\ndata: od")
    assert report.errors == 0
    assert report.body_bytes == 22


async def test_no_two_connections_send_the_same_body(server: Answering, tmp_path: Path) -> None:
    await load(server, tmp_path, "--connections", "4")
    sets = [set(bodies) for bodies in server.asked.values()]
    assert len(sets) == 4
    assert all(len(bodies) == 2 for bodies in sets), "each takes its two lines in turn"
    assert len(set.union(*sets)) == 8


async def test_requests_that_could_not_be_sent_in_time_are_reported(
    server: Answering, tmp_path: Path
) -> None:
    server.answer = b""  # never an answer: one connection, and every later request waits for it
    run = load(server, tmp_path, "--rate", "100", "--drain", "0.1")
    report = await asyncio.wait_for(run, 30)
    assert report.requests == 0
    assert report.unsent > 0
