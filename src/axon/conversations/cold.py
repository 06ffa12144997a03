"""How a cold conversation is asked back: by whoever knows the archive, which stands above us."""

from collections.abc import Awaitable, Callable

from axon.conversations.errors import ColdAway

Thaw = Callable[[int, str], Awaitable[None]]
"""Puts what a cold conversation (user, id) says back into PostgreSQL, and returns once it is there,
whoever did it. Raises ColdAway and ColdBroken."""


async def without_archive(_: int, __: str) -> None:
    """Stand in where there is no archive; raises ColdAway."""
    raise ColdAway("this process has no archive")
