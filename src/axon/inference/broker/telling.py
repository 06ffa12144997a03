"""What a gateway tells workers and its own successor: at once, or when Valkey is back."""

import asyncio
from collections import deque

from axon.inference.broker import wire
from axon.stores import Valkey, ValkeyAway, ValkeyReply

OWED_MAX = 10_000
"""Commands that wait for Valkey: two or three for each job dismissed meanwhile. The oldest go."""


class Teller:
    """Sends commands whose answers nobody waits for."""

    def __init__(self, valkey: Valkey) -> None:
        """Owe nothing."""
        self._valkey = valkey
        self._owed: deque[wire.Command] = deque(maxlen=OWED_MAX)

    def tell(self, command: wire.Command) -> None:
        """Send a command whose loss does no harm."""
        try:
            self._valkey.call(*command).add_done_callback(_ignore)
        except ValkeyAway:
            return

    def owe(self, commands: list[wire.Command]) -> None:
        """Send commands now, or when `settle` finds Valkey there; each may be sent twice."""
        for command in commands:
            try:
                answer = self._valkey.call(*command)
            except ValkeyAway:
                self._owed.append(command)
            else:
                answer.add_done_callback(_Check(self._owed, command))

    def settle(self) -> None:
        """Send what is owed."""
        owed = list(self._owed)
        self._owed.clear()
        self.owe(owed)


class _Check:
    """Puts a command back among those owed when its answer did not come."""

    __slots__ = ("_command", "_owed")

    def __init__(self, owed: deque[wire.Command], command: wire.Command) -> None:
        self._owed = owed
        self._command = command

    def __call__(self, answer: "asyncio.Future[ValkeyReply]") -> None:
        if not answer.cancelled() and isinstance(answer.exception(), ValkeyAway):
            self._owed.append(self._command)


def _ignore(answer: "asyncio.Future[ValkeyReply]") -> None:
    if not answer.cancelled():
        answer.exception()
