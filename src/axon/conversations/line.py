"""One turn at a time per conversation, first come first served, within this process."""

import asyncio
from collections import deque

from axon.conversations.errors import ConversationBusy

WAITERS_MAX = 64
"""Turns that may wait for one conversation: twice the burst a busy client's devices make. More
would only time out, each holding a connection."""

RETRY_AFTER_MS = 500
"""What a turn that could not wait is told: about the length of a short answer."""


class Line:
    """Holds at most one caller per conversation inside, and a bounded queue outside each."""

    def __init__(self, waiters_max: int = WAITERS_MAX) -> None:
        """At most `waiters_max` callers wait for one conversation."""
        self._waiters_max = waiters_max
        self._inside: dict[str, deque[asyncio.Future[None]]] = {}

    def __contains__(self, conversation_id: str) -> bool:
        return conversation_id in self._inside

    def enter_at_once(self, conversation_id: str) -> bool:
        """Go in and return True when nobody is inside; else return False."""
        if conversation_id in self._inside:
            return False
        self._inside[conversation_id] = deque()
        return True

    async def enter(self, conversation_id: str, wait_s: float) -> None:
        """Go in when everybody before has left; every entry needs one `leave`.

        Raises ConversationBusy when too many wait already, or after `wait_s` seconds.
        """
        if self.enter_at_once(conversation_id):
            return
        waiting = self._inside[conversation_id]
        if len(waiting) >= self._waiters_max:
            raise ConversationBusy(RETRY_AFTER_MS)
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            async with asyncio.timeout(wait_s):
                await turn
        except TimeoutError:
            self._give_up(conversation_id, turn)
            raise ConversationBusy(RETRY_AFTER_MS) from None
        except asyncio.CancelledError:
            self._give_up(conversation_id, turn)
            raise

    def leave(self, conversation_id: str) -> None:
        """Let the next one in, in the order of arrival."""
        waiting = self._inside[conversation_id]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._inside[conversation_id]

    def _give_up(self, conversation_id: str, turn: "asyncio.Future[None]") -> None:
        """Leave the queue, or, when let in at that very moment, let the next one in."""
        if turn.done() and not turn.cancelled():
            self.leave(conversation_id)
        elif turn in (waiting := self._inside.get(conversation_id, deque())):
            waiting.remove(turn)
