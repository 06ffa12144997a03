"""Puts what was done into the journal: it outlives PostgreSQL, and stands in a hash chain."""

import asyncio

import asyncpg

from axon.base import until_done
from axon.deeds.store import mark_journaled, record_of, take_waiting
from axon.journal import Journal, JournalError
from axon.records import encode
from axon.stores import Postgres, PostgresAway
from axon.telemetry import log

LOOK_EVERY_S = 1.0
"""What was done is in PostgreSQL with the change itself; the journal has it this much later."""

AT_ONCE = 100
"""A price list may be thousands of deeds; no transaction holds more of them."""

_TIMEOUT_S = 10.0


class DeedsJournaling:
    """Part of every serving process; which of them takes a deed does not matter."""

    def __init__(self, postgres: Postgres, journal: Journal) -> None:
        """Both are opened and closed by their owner."""
        self._postgres = postgres
        self._journal = journal
        self._trouble = ""

    async def keep_journaling(self) -> None:
        """Journal what is done until cancelled."""
        while True:
            try:
                while await self.journal() == AT_ONCE:
                    pass
                self._trouble = ""
            except (PostgresAway, JournalError):
                pass  # both say so themselves, and what waits goes on waiting
            except asyncpg.PostgresError as error:  # as of a database that somebody emptied
                self._say_once(str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def journal(self) -> int:
        """Journal some of what was done; return how many. One that is told twice counts once.

        Raises PostgresAway, JournalError.
        """
        self._journal.admit()
        async with self._postgres.connection(_TIMEOUT_S) as connection, connection.transaction():
            waiting = await take_waiting(connection, AT_ONCE)
            for deed in waiting:
                await until_done(self._journal.append(*encode(record_of(deed))))
            if waiting:
                await mark_journaled(connection, waiting)
        return len(waiting)

    def _say_once(self, trouble: str) -> None:
        """Write a log line when this is not what went wrong the last time."""
        if trouble != self._trouble:
            self._trouble = trouble
            log.error("deeds.failed", "What was done is not journaled.", error__message=trouble)
