"""Requests that have no turn yet, so that a retry finds them."""

import asyncio
from types import TracebackType

from axon.conversations import StoredTurn
from axon.turns.request import RunningTurn

Asked = tuple[str, int, str, bytes]
"""Whose requests at hand ask for the same: credential, person, surface, body."""


class Waiting:
    """A request that has no turn yet, inside a `with`: it waits for its conversation, or for what
    became of the try before it.

    Its client may give up and try again before that: then there must be one turn all the same.
    """

    __slots__ = ("_all", "_heard", "_place", "number")

    def __init__(self, all_: "dict[Asked, list[Waiting]]", place: Asked, number: int) -> None:
        """Made by `Retries.waiting`."""
        self.number = number
        self._all = all_
        self._place = place
        self._heard: asyncio.Future[RunningTurn | StoredTurn | None] | None = None

    def __enter__(self) -> "Waiting":
        self._all.setdefault(self._place, []).append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.settle(None)

    @property
    def over(self) -> bool:
        """Return whether it is settled."""
        return self not in self._all.get(self._place, ())

    def settle(self, turn: RunningTurn | StoredTurn | None) -> None:
        """Say which turn it is of, None when it became none; the first word counts."""
        if self.over:
            return
        same = self._all[self._place]
        same.remove(self)
        if not same:
            del self._all[self._place]
        if self._heard is not None:
            self._heard.set_result(turn)

    async def turn(self) -> RunningTurn | StoredTurn | None:
        """Return what it is settled with."""
        if self._heard is None:
            self._heard = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._heard)
