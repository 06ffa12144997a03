"""Writing an object so that it is there: noted, written, flushed, read back and compared."""

import re
from collections.abc import Sequence

from axon.archive.errors import ObjectNotKept
from axon.archive.parts import ArchiveParts
from axon.archive.store import begin_object
from axon.base import utc_from_us

QUERY_TIMEOUT_S = 30.0

_REGION = re.compile(r"[a-z0-9-]{1,32}")
_ELSEWHERE = "elsewhere"
"""Of organizations whose region would make no folder's name."""

_NAME_BYTES = 16


async def write_object(parts: ArchiveParts, region: str, frames: Sequence[bytes]) -> str:
    """Return the path of a new object with these frames, in their order.

    Nothing refers to it yet: one that is left so is swept. Raises ObjectsAway, ObjectNotKept and
    PostgresAway.
    """
    content, now_us = b"".join(frames), parts.clock.now_us()
    path = new_path(region, now_us, parts.randomness.bytes(_NAME_BYTES))
    async with parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
        await begin_object(connection, path, len(frames), len(content), now_us)
    await parts.objects.write(path, content)
    if await parts.objects.read(path, 0, len(content)) != content:
        raise ObjectNotKept(path)
    return path


def new_path(region: str, now_us: int, name: bytes) -> str:
    """Return YYYY/MM/DD/region/name.zst."""
    folder = region if _REGION.fullmatch(region) else _ELSEWHERE
    return f"{utc_from_us(now_us):%Y/%m/%d}/{folder}/{name.hex()}.zst"
