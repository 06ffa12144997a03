"""The object store: a local folder, S3 or GCS, by one client; bounded in calls, bytes and time."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import GCSStore, LocalStore, MemoryStore, S3Store

from axon.base import MIB, Clock
from axon.stores.breaker import SYSTEM_CLOCK, Breaker, Health
from axon.stores.errors import BadAddress, ObjectMissing, ObjectsAway, ObjectsRefused

Answer = TypeVar("Answer")

CALLS_AT_ONCE = 16
"""Of one process: each may hold an object in memory."""

OBJECT_BYTES_MAX = 256 * MIB
"""Of one object, and of one read: more is a mistake of the caller."""

TIMEOUT_S = 5.0
"""How long a call may take besides its bytes; somebody waits for a read."""

BYTES_PER_S_MIN = 4 * MIB
"""What a call is given time for; a store that is slower is not one to read from while people
wait."""

FAILURES_TO_OPEN = 3
PROBE_EVERY_S = 2.0
"""How often one caller finds out whether a store that is away is back."""

_CONNECT_TIMEOUT = timedelta(seconds=2)
_Store = S3Store | GCSStore | LocalStore | MemoryStore

_RETRIES_MAX = 1
"""A connection that had gone stale is worth a second try; whoever waits is told of the rest. The
client's own default goes on for three minutes."""

_REASON_CHARS_MAX = 200
"""The client's messages hold whole answers of the server."""

_FOR_THE_OWNER = 0o600
"""What is clear in an object, ids and times, is nobody else's on this machine either."""

_TOO_SHORT = ("range was invalid", "invalid range", "416 range not satisfiable")
"""How a store says that an object ends before what was asked for."""

_REFUSALS = ("401 unauthorized", "403 forbidden", "invalidaccesskeyid", "signaturedoesnotmatch")
"""How servers say no where the client has no error of its own for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsAddress:
    """Where objects are kept."""

    url: str
    """s3://bucket/prefix, gs://bucket/prefix, memory: or an absolute path of this machine."""
    endpoint: str = ""
    """Another server that speaks S3, or GCS's API; http:// is allowed where it says so."""
    region: str = ""
    access_key_id: str = ""
    """With its secret; empty: what the machine itself has, as an instance's role."""
    secret_access_key: str = ""
    service_account: str = ""
    """A file with a key for GCS; empty: what the machine itself has."""


class Objects:
    """One for each process. An object is written once under a name nobody else has, and never
    changed: to write it again changes nothing.
    """

    def __init__(
        self,
        address: ObjectsAddress,
        clock: Clock = SYSTEM_CLOCK,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Connects to nothing yet; raises BadAddress for what cannot be read.

        A call is given `timeout_s` besides the time its bytes take.
        """
        self._timeout_s = timeout_s
        self._folder: Path | None = None
        self._opened = self._open(address)
        self._breaker = Breaker("archive", FAILURES_TO_OPEN, PROBE_EVERY_S, clock)
        self._free = asyncio.Semaphore(CALLS_AT_ONCE)

    @property
    def health(self) -> Health:
        """Return how the store is."""
        return self._breaker.health

    async def write(self, path: str, content: bytes) -> None:
        """Write an object; on return it survives a crash. Raises ObjectsAway, ObjectsRefused.

        The server is asked to refuse a name that is taken, which then is an earlier try's: whoever
        writes reads it back and compares.
        """

        async def ask() -> None:
            try:
                await obstore.put_async(self._store(), path, content, mode="create")
            except AlreadyExistsError:
                return
            if self._folder is not None:
                await asyncio.to_thread(_make_durable, self._folder, path)

        await self._call(ask, len(content))

    async def read(self, path: str, start: int, length: int) -> bytes:
        """Return `length` bytes from `start` on; raises as `write` does, and ObjectMissing."""

        async def ask() -> bytes:
            found = await obstore.get_range_async(self._store(), path, start=start, length=length)
            return found.to_bytes()

        found = await self._call(ask, length)
        if len(found) != length:
            raise ObjectMissing(f"{path} ends after {start + len(found)} bytes")
        return found

    async def delete(self, path: str) -> None:
        """Delete an object; one that is not there is no error. Raises as `write` does."""

        async def ask() -> None:
            await obstore.delete_async(self._store(), path)

        try:
            await self._call(ask, 0)
        except ObjectMissing:
            return

    async def keep_looking(self) -> None:
        """Find out that the store is back, until cancelled: nobody may ask it for hours."""
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            if not self.health.up:
                with suppress(ObjectsAway):
                    await self.check()

    async def check(self) -> None:
        """Return when the store answers and lets us look; raises as `write` does."""

        async def ask() -> None:
            async for _ in obstore.list(self._store(), chunk_size=1):
                return

        await self._call(ask, 0)

    async def _call(self, ask: Callable[[], Awaitable[Answer]], size: int) -> Answer:
        """Return the answer; raises ObjectsAway at the time limit, and at once while away."""
        if size > OBJECT_BYTES_MAX:
            raise ValueError(f"{size} bytes are more than an object may have")
        if not self._breaker.allow():
            raise ObjectsAway(self._breaker.reason)
        async with self._told(self._timeout_s + size / BYTES_PER_S_MIN), self._free:
            return await ask()

    @asynccontextmanager
    async def _told(self, timeout_s: float) -> AsyncIterator[None]:
        """Tell the breaker how a call ended, and the caller in our words."""
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except FileNotFoundError as error:
            self._breaker.succeeded()
            raise ObjectMissing(_short(error)) from None
        except TimeoutError:
            reason = f"no answer within {timeout_s:.1f} s"
            self._breaker.failed(reason)
            raise ObjectsAway(reason) from None
        except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
            self._breaker.failed(_short(error))
            raise ObjectsRefused(_short(error)) from None
        except (BaseError, OSError, ValueError) as error:
            said, reason = str(error).lower(), _short(error)
            if any(short in said for short in _TOO_SHORT):
                self._breaker.succeeded()
                raise ObjectMissing(reason) from None
            self._breaker.failed(reason)
            if any(refusal in said for refusal in _REFUSALS):
                raise ObjectsRefused(reason) from None
            raise ObjectsAway(reason) from None
        else:
            self._breaker.succeeded()

    def _store(self) -> _Store:
        """Return the store; a folder that could not be made so far is tried again."""
        if self._opened is None:
            self._opened = LocalStore(self._folder, automatic_cleanup=True, mkdir=True)
        return self._opened

    def _open(self, address: ObjectsAddress) -> _Store | None:
        """Return the store; None for a folder, which may not be there yet: a disk not mounted."""
        try:
            if address.url.startswith("s3://"):
                return _open_s3(address)
            if address.url.startswith("gs://"):
                return _open_gcs(address)
            if address.url == "memory:":
                return MemoryStore()
            if not address.url.startswith("/"):
                raise BadAddress("it is neither s3://, gs:// nor an absolute path")
            self._folder = Path(address.url)
            return None
        except (BaseError, ValueError) as error:
            raise BadAddress(_short(error)) from error


def _open_s3(address: ObjectsAddress) -> S3Store:
    bucket, prefix = _bucket_of(address)
    settings = {
        "endpoint": address.endpoint,
        "region": address.region or "us-east-1",
        "access_key_id": address.access_key_id,
        "secret_access_key": address.secret_access_key,
        "disable_bulk_delete": True,  # one at a time is understood by every server
    }
    return S3Store(
        bucket,
        prefix=prefix,
        config={name: value for name, value in settings.items() if value},  # type: ignore[arg-type]
        client_options={
            "connect_timeout": _CONNECT_TIMEOUT,
            "allow_http": address.endpoint.startswith("http://"),
        },
        retry_config={
            "max_retries": _RETRIES_MAX,
            "retry_timeout": timedelta(seconds=TIMEOUT_S),
        },
    )


def _open_gcs(address: ObjectsAddress) -> GCSStore:
    bucket, prefix = _bucket_of(address)
    settings = {"base_url": address.endpoint, "service_account": address.service_account}
    return GCSStore(
        bucket,
        prefix=prefix,
        config={name: value for name, value in settings.items() if value},  # type: ignore[arg-type]
        client_options={
            "connect_timeout": _CONNECT_TIMEOUT,
            "allow_http": address.endpoint.startswith("http://"),
        },
        retry_config={
            "max_retries": _RETRIES_MAX,
            "retry_timeout": timedelta(seconds=TIMEOUT_S),
        },
    )


def _bucket_of(address: ObjectsAddress) -> tuple[str, str | None]:
    bucket, _, prefix = address.url.partition("://")[2].partition("/")
    if not bucket:
        raise BadAddress("it names no bucket")
    return bucket, prefix or None


def _make_durable(folder: Path, path: str) -> None:
    """Flush a file of the local folder, and the names of all folders on the way; blocks."""
    file = folder / path
    _flush(file, os.O_RDONLY)
    for parent in file.parents:
        _flush(parent, os.O_RDONLY | os.O_DIRECTORY)
        if parent == folder:
            return


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        if not flags & os.O_DIRECTORY:
            os.fchmod(descriptor, _FOR_THE_OWNER)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:_REASON_CHARS_MAX]
