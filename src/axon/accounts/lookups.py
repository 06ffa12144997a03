"""Questions about unknown credentials, gathered so that many of them cost one query."""

import asyncio
from collections.abc import Awaitable, Callable

from axon.accounts.credential import Credential
from axon.accounts.errors import AccountsUnavailable
from axon.base import TaskOwner
from axon.telemetry import counter

LOOKUPS_WAITING_MAX = 1000
"""Different unknown credentials that may wait for PostgreSQL; more get AccountsUnavailable. Two
full queries' worth, so nobody waits longer than three times the time limit of a query."""

LOOKUP_BATCH_MAX = 500
"""Credentials in one query; PostgreSQL answers that many within a few milliseconds."""

_queries = counter(
    "axon_accounts_lookup_queries_total",
    "Queries for credentials that no process of this node had seen.",
)

Fetch = Callable[[list[bytes | str]], Awaitable[list[Credential]]]


class Lookups:
    """At most one query runs at a time; whoever comes meanwhile shares the next one.

    A flood of made-up keys is therefore never a flood of queries, and many requests with one key
    ask once.
    """

    def __init__(self, fetch: Fetch, tasks: TaskOwner) -> None:
        """`fetch` returns the credentials with these HMACs or ids that exist."""
        self._fetch = fetch
        self._tasks = tasks
        self._waiting: dict[bytes | str, asyncio.Future[Credential | None]] = {}
        self._asked: dict[bytes | str, asyncio.Future[Credential | None]] = {}

    async def find(self, key: bytes | str) -> Credential | None:
        """Return the credential with this HMAC or id, None when there is none.

        Raises AccountsUnavailable when PostgreSQL cannot be asked, or too many are waiting.
        """
        answer = self._asked.get(key) or self._waiting.get(key)
        if answer is None:
            if len(self._waiting) + len(self._asked) >= LOOKUPS_WAITING_MAX:
                raise AccountsUnavailable("too many unknown API keys at once")
            answer = self._waiting[key] = asyncio.get_running_loop().create_future()
            if len(self._waiting) == 1 and not self._asked:
                self._tasks.start(self._ask(), "accounts.lookups")
        await asyncio.wait([answer])  # one who is cancelled must not cancel it for the others
        if answer.cancelled():
            raise AccountsUnavailable
        return answer.result()

    async def _ask(self) -> None:
        try:
            while self._waiting:
                await self._ask_once()
        except AccountsUnavailable:
            pass  # whoever waits is told so by the cancelled answer
        finally:
            for answer in (*self._asked.values(), *self._waiting.values()):
                answer.cancel()
            self._asked = {}
            self._waiting = {}

    async def _ask_once(self) -> None:
        keys = list(self._waiting)[:LOOKUP_BATCH_MAX]
        self._asked = {key: self._waiting.pop(key) for key in keys}
        _queries.inc()
        found: dict[bytes | str, Credential] = {}
        for credential in await self._fetch(keys):
            found[credential.mac] = found[credential.credential_id] = credential
        for key, answer in self._asked.items():
            answer.set_result(found.get(key))
        self._asked = {}
