"""How a check says no, and the small questions that most checks ask."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from openai import APIStatusError

Answer = TypeVar("Answer")

NOT_OFFERED = frozenset({400, 403, 404, 405, 415, 422, 501})
"""Statuses by which a server says no to a call that OpenAI's API answers."""

_POLL_S = 0.1


class Failed(Exception):
    """The promise is broken; the text says in one clause what was seen."""


class Refused(Exception):
    """The server does not offer this; the text is what it answered."""


class NoHook(Exception):
    """The check wants a hook that was not given; the text names it."""


class NoKey(Exception):
    """The check wants a second key that was not given."""


def require(holds: object, seen: str) -> None:
    """Raise Failed with what was seen unless the condition holds."""
    if not holds:
        raise Failed(seen)


def status_of(error: APIStatusError) -> str:
    """Return a status and the server's words, short enough for a table."""
    said = error.body.get("message") if isinstance(error.body, dict) else None
    return f"{error.status_code}: {str(said or error.response.text).strip()[:100] or 'no body'}"


async def offered(call: Awaitable[Answer]) -> Answer:
    """Return the answer to the call that a feature hangs on; raises Refused on a plain no."""
    try:
        return await call
    except APIStatusError as error:
        if error.status_code in NOT_OFFERED:
            raise Refused(status_of(error)) from None
        raise


async def refusal(
    call: Awaitable[object], *statuses: int, what: str = "the call"
) -> APIStatusError:
    """Return the error of a call that must be refused with one of these statuses.

    The error must have the shape every client reads:
    `{"error": {"message": text, "type": text, "param": text or null, "code": text or null}}`.
    `what` names the call where a check makes several.
    """
    try:
        answer = await call
    except APIStatusError as error:
        wanted = " or ".join(map(str, statuses))
        require(error.status_code in statuses, f"{what}: {status_of(error)} instead of {wanted}")
        _require_shape(error)
        return error
    close = getattr(answer, "close", None)
    if close is not None:
        await close()
    raise Failed(f"{what} was accepted, where {' or '.join(map(str, statuses))} was due")


def _require_shape(error: APIStatusError) -> None:
    try:
        body: Any = error.response.json()
    except ValueError:
        raise Failed(f"{error.status_code} whose body is not JSON") from None
    inner = body.get("error") if isinstance(body, dict) else None
    if not isinstance(inner, dict):
        raise Failed(f"{error.status_code} without an error object")
    for member in ("message", "type"):
        value = inner.get(member)
        require(isinstance(value, str) and value, f"{error.status_code}, error.{member} is {value}")
    for member in ("param", "code"):
        value = inner.get(member)
        require(value is None or isinstance(value, str), f"error.{member} is {value!r}")


async def until(
    condition: Callable[[], Awaitable[Answer | None]], within_s: float, what: str
) -> Answer:
    """Return the first answer that is not None; raises Failed when none came in time."""
    deadline = time.monotonic() + within_s
    while (answer := await condition()) is None:
        require(time.monotonic() < deadline, f"{what}, after {within_s:.0f} s")
        await asyncio.sleep(_POLL_S)
    return answer
