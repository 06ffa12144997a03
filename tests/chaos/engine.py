"""An engine whose answers prove themselves: each names its question and the one before it.

`python -m tests.chaos.engine --port N`. The answer to a question holding `[t:MARK]` is a fixed
number of words that names MARK and the mark of the question before it in the history it was
shown, so a lost, torn or misplaced turn shows in the text alone. It streams word by word.
"""

import argparse
import asyncio
import base64
import json
import os
import re
from typing import Any

WORD_DELAY_S = 0.02
"""Long enough that a kill at a random moment usually lands inside a stream."""

FILLER = tuple(f"word{number}" for number in range(12))
HEAD_BYTES_MAX = 64 * 1024
_MARK = re.compile(r"\[t:([\w-]+)\]")
_ANSWER = re.compile(r"answer to:([\w-]+) after:([\w-]+) " + " ".join(FILLER) + r" end:([\w-]+)")


def question(mark: str, padding_bytes: int = 0) -> str:
    """Return a question the engine can answer; padding is text that hardly compresses."""
    padding = base64.b64encode(os.urandom(padding_bytes)).decode() if padding_bytes else ""
    return f"Please answer [t:{mark}] {padding}".rstrip()


def marks_in(text: str) -> list[str]:
    """Return the marks of the questions in a text, in order."""
    return _MARK.findall(text)


def answer(mark: str, previous: str) -> list[str]:
    """Return the words of the whole answer."""
    return [f"answer to:{mark}", f"after:{previous}", *FILLER, f"end:{mark}"]


def previous_of(text: str, mark: str) -> str | None:
    """Return the mark a whole answer to `mark` says came before; None when it is not whole."""
    found = _ANSWER.fullmatch(text)
    if found is None or {found.group(1), found.group(3)} != {mark}:
        return None
    return found.group(2)


def _marks_of(body: dict[str, Any]) -> list[str]:
    users = [message for message in body["messages"] if message["role"] == "user"]
    return [mark for message in users for mark in marks_in(json.dumps(message["content"]))]


def _chunk(choices: list[dict[str, Any]], **more: Any) -> bytes:
    event = {"id": "chatcmpl-chaos", "object": "chat.completion.chunk", "created": 1760000000}
    text = json.dumps(event | {"model": "chaos", "choices": choices} | more)
    return f"data: {text}\n\n".encode()


async def _stream(writer: asyncio.StreamWriter, words: list[str]) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
    writer.write(b"transfer-encoding: chunked\r\n\r\n")

    async def send(event: bytes) -> None:
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await writer.drain()

    for number, word in enumerate(words):
        await asyncio.sleep(WORD_DELAY_S)
        delta = {"content": word if number == 0 else f" {word}"}
        await send(_chunk([{"index": 0, "delta": delta, "finish_reason": None}]))
    await send(_chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    usage = {"prompt_tokens": 10, "completion_tokens": len(words), "total_tokens": 10 + len(words)}
    await send(_chunk([], usage=usage))
    await send(b"data: [DONE]\n\n")
    writer.write(b"0\r\n\r\n")


def _whole(writer: asyncio.StreamWriter, status: str, body: dict[str, Any]) -> None:
    text = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(text)}"
    writer.write(head.encode() + b"\r\n\r\n" + text)


async def _answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
    body = await reader.readexactly(int(length.group(1))) if length else b""
    path = head.split(" ")[1]
    if path.endswith("/models"):
        model = {"id": "chaos", "object": "model", "created": 1760000000, "owned_by": "chaos"}
        _whole(writer, "200 OK", {"object": "list", "data": [model]})
    elif path.endswith("/chat/completions") and json.loads(body).get("stream"):
        marks = _marks_of(json.loads(body))
        await _stream(writer, answer(marks[-1], marks[-2] if len(marks) > 1 else "none"))
    else:
        _whole(writer, "404 Not Found", {"error": {"message": "only streams and models"}})
    await writer.drain()


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            await _answer_one(reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client went away, which is how it says that it has finished
    finally:
        writer.close()


async def serve(port: int) -> None:
    """Answer on a port of localhost until killed; prints one line when it listens."""
    server = await asyncio.start_server(_converse, "127.0.0.1", port, limit=HEAD_BYTES_MAX)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))
