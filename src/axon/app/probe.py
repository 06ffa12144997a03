"""One small HTTP GET: enough to ask a server of ours whether it is ready."""

import asyncio
from collections.abc import Mapping

TIMEOUT_S = 1.0

_ANSWER_BYTES_MAX = 1 << 20
"""Longer than any page we ask for; an answer is cut off there."""


async def get(
    host: str, port: int, path: str, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes] | None:
    """Return the status and the body of `http://host:port/path`, or None without an answer.

    A `host` that begins with a slash is a unix socket, and needs no port.
    """
    lines = [f"GET {path} HTTP/1.1", f"host: {host}:{port}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    try:
        async with asyncio.timeout(TIMEOUT_S):
            if host.startswith("/"):
                reader, writer = await asyncio.open_unix_connection(host)
            else:
                reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write("\r\n".join([*lines, "", ""]).encode())
                answer = await _read_all(reader)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    parts = head.split(None, 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():
        return None
    return int(parts[1]), body


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    while len(answer) < _ANSWER_BYTES_MAX and (piece := await reader.read(65_536)):
        answer += piece
    return answer


async def answers_ok(
    host: str, port: int, path: str, headers: Mapping[str, str] | None = None
) -> bool:
    """Return whether the server answers the GET with a 200."""
    answer = await get(host, port, path, headers)
    return answer is not None and answer[0] == 200
