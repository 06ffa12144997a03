"""One small HTTP POST: to an address that was checked, following nothing, all of it bounded."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence

from axon.alerts.guard import Target
from axon.base import KIB

HEAD_BYTES_MAX = 16 * KIB
"""Of an answer; of its body nothing is read."""


class PostFailed(Exception):
    """Why nothing was answered, in words for the log of deliveries."""


async def post(
    target: Target,
    addresses: Sequence[str],
    message: tuple[Mapping[str, str], bytes],
    tls: ssl.SSLContext,
) -> int:
    """Return the status of the answer; raises PostFailed. Bound it with a timeout of your own.

    `addresses` are those that were checked: the name is only told to the server, and proven by its
    certificate, so that another look-up cannot lead elsewhere.
    """
    reader, writer = await _connect(target, addresses, tls)
    try:
        writer.write(_request(target, *message))
        head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise PostFailed(f"no answer: {type(error).__name__}") from error
    finally:
        writer.transport.abort()  # a body that is still coming is not waited for
    parts = head.split(b"\r\n", 1)[0].split(None, 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
        raise PostFailed("no answer in HTTP/1.1")
    return int(parts[1])


def _request(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"POST {target.path} HTTP/1.1", f"host: {target.authority}", "connection: close"]
    lines += ["user-agent: axon-webhooks", "content-type: application/json"]
    lines += [f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _connect(
    target: Target, addresses: Sequence[str], tls: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    why = "it has no address"
    for address in addresses:
        try:
            return await asyncio.open_connection(
                address,
                target.port,
                ssl=tls if target.tls else None,
                server_hostname=target.host if target.tls else None,
                limit=HEAD_BYTES_MAX,
            )
        except OSError as error:  # of TLS too
            why = f"{address}: {error}"
    raise PostFailed(why)
