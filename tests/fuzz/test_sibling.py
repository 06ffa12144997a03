"""What a sibling answers, when it is none: a whole answer, or AnswerCut, and always an end."""

import asyncio
import socket

from hypothesis import given, settings

from axon.gateway.sibling import AnswerCut, Fetched, SiblingConnection
from tests.fuzz.mutations import near

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
WITHIN_S = 10.0


async def fetched(answer: bytes) -> Fetched | None:
    """Return what is read of these bytes before the sibling closes; None when it is no answer."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(answer)
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    connection = SiblingConnection(reader, writer)
    try:
        async with asyncio.timeout(WITHIN_S):
            return await connection.whole()
    except AnswerCut:
        return None
    finally:
        connection.close()
        await asyncio.sleep(0)


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(near((ANSWER, CHUNKED)))
def test_any_answer_of_a_sibling_is_read_or_cut(data: bytes) -> None:
    found = asyncio.run(fetched(data))
    assert found is None or len(found.body) <= len(data)


def test_right_answers_are_read() -> None:
    assert asyncio.run(fetched(ANSWER)) == Fetched(200, b"hello")
    assert asyncio.run(fetched(CHUNKED)) == Fetched(503, b"hello")
