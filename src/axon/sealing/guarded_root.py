"""A root on another machine, left alone while it does not answer, and never waited for too long."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from axon.sealing.errors import KeyRefused, KeyRootAway, KeyRootUnavailable
from axon.sealing.root import KeyContext, RootKey, RootWrapped

AT_ONCE = 8
"""Calls of one process; more wait for their turn, each within its own time limit."""

_Result = TypeVar("_Result")


class Gate(Protocol):
    """Says whether to call what did not answer: a circuit breaker."""

    reason: str
    """Why it is shut."""

    def allow(self) -> bool:
        """Return whether to call now."""
        ...

    def succeeded(self) -> None:
        """Note an answer."""
        ...

    def failed(self, reason: str) -> None:
        """Note that there was none, or one that refused us."""
        ...


class GuardedRoot:
    """The same root, behind a gate and within a time."""

    remote = True

    def __init__(self, root: RootKey, gate: Gate, timeout_s: float) -> None:
        """`timeout_s` bounds each call, with the wait for its turn."""
        self._root = root
        self._gate = gate
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def name(self) -> str:
        """Return the root's name."""
        return self._root.name

    def opens(self, root: str) -> bool:
        """Return what the root says."""
        return self._root.opens(root)

    def knows(self, version: str) -> bool:
        """Return what the root says."""
        return self._root.knows(version)

    async def wrap(self, secret: bytes, context: KeyContext) -> RootWrapped:
        """Return what the root returns; raises KeyRootAway at once while the gate is shut."""
        return await self._asked(lambda: self._root.wrap(secret, context))

    async def unwrap(self, wrapped: RootWrapped, context: KeyContext) -> bytes:
        """Return what the root returns; raises as `wrap` does."""
        return await self._asked(lambda: self._root.unwrap(wrapped, context))

    async def rewrap(self, wrapped: RootWrapped, context: KeyContext) -> RootWrapped:
        """Return what the root returns; raises as `wrap` does."""
        return await self._asked(lambda: self._root.rewrap(wrapped, context))

    async def rotate(self) -> None:
        """Have the root make a new version; raises as `wrap` does."""
        await self._asked(self._root.rotate)

    async def version(self) -> str:
        """Return what the root returns; raises as `wrap` does."""
        return await self._asked(self._root.version)

    async def _asked(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        if not self._gate.allow():
            raise KeyRootAway(self._gate.reason)
        try:
            async with asyncio.timeout(self._timeout_s), self._turns:
                found = await call()
        except TimeoutError:
            error = KeyRootAway(f"no answer within {self._timeout_s:g} s")
            self._gate.failed(error.detail)
            raise error from None
        except KeyRootUnavailable as unavailable:
            self._gate.failed(unavailable.detail)
            raise
        except KeyRefused:
            self._gate.succeeded()  # it answers: only this key is wrong
            raise
        self._gate.succeeded()
        return found
