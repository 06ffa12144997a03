"""What the tests of the accounts share: a clock to turn, processes to open, counts to read."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from axon.accounts import Accounts, AccountsAdmin, AccountsOptions, CreatedKey, NewKey, User
from axon.base import MICROS_PER_SECOND, SystemClock, SystemRandomness
from axon.sealing import Keyring
from axon.stores import Postgres, PostgresOptions
from axon.telemetry import render_metrics

STALENESS_S = 3600.0
NEVER_MS = 3_600_000
"""A poll the test drives itself, by calling refresh."""


class TurnedClock:
    """Both kinds of time, moved by the test alone."""

    def __init__(self) -> None:
        self._now_us = SystemClock().now_us()
        self._monotonic = 1000.0

    def now_us(self) -> int:
        return self._now_us

    def monotonic(self) -> float:
        return self._monotonic

    def turn(self, seconds: float) -> None:
        """Let time pass; less than no time sets the wall clock back."""
        self._now_us += int(seconds * MICROS_PER_SECOND)
        self._monotonic += max(seconds, 0.0)


class AllOnes:
    """Puts the first poll of its own as far away as it goes: the tests drive it."""

    def bytes(self, count: int) -> bytes:
        return b"\xff" * count


@dataclass(kw_only=True)
class Scene:
    """An installation: one database and keyring, and as many processes as a test opens."""

    database: str
    keyring: Keyring
    folder: Path
    clock: TurnedClock = field(default_factory=TurnedClock)
    opened: list[tuple[Postgres, Accounts]] = field(default_factory=list)

    def options(self, snapshot: str = "accounts.json", cache_max: int = 1000) -> AccountsOptions:
        return AccountsOptions(
            snapshot_path=self.folder / snapshot,
            staleness_max_s=STALENESS_S,
            poll_every_ms=NEVER_MS,
            cache_max=cache_max,
        )

    async def postgres(self) -> Postgres:
        postgres = Postgres(self.database, PostgresOptions(connect_timeout_s=0.5))
        await postgres.start()
        return postgres

    async def process(self, options: AccountsOptions | None = None) -> Accounts:
        """Start what one process has: its own pool and its own Accounts."""
        postgres = await self.postgres()
        accounts = Accounts(
            postgres, self.keyring, self.clock, AllOnes(), options or self.options()
        )
        await accounts.start()
        self.opened.append((postgres, accounts))
        return accounts

    async def close(self) -> None:
        for postgres, accounts in self.opened:
            await accounts.stop()
            await postgres.stop()
        self.opened.clear()


@dataclass(kw_only=True)
class Office:
    """An administrator with one organization and one user in it."""

    admin: AccountsAdmin
    postgres: Postgres
    user: User

    @classmethod
    async def open(cls, scene: Scene, postgres: Postgres) -> "Office":
        admin = AccountsAdmin(postgres, scene.keyring, scene.clock, SystemRandomness())
        org = await admin.create_org("acme", "gold", "eu")
        user = await admin.create_user(org.org_id, "alice", ["auditor"])
        return cls(admin=admin, postgres=postgres, user=user)

    async def key(self, expires_us: int = 0, acts_for_users: bool = False) -> CreatedKey:
        new = NewKey(
            org_id=self.user.org_id,
            user=self.user.user,
            name="laptop",
            expires_us=expires_us,
            acts_for_users=acts_for_users,
        )
        return await self.admin.create_key(new)


def bearer(secret: str) -> bytes:
    return b"Bearer " + secret.encode()


def queries() -> int:
    """Return how many look-up queries this test process has made so far."""
    for line in render_metrics().decode().splitlines():
        if line.startswith("axon_accounts_lookup_queries_total"):
            return int(float(line.split()[1]))
    raise AssertionError("the query counter is not rendered")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for `condition`; the limit only ends a test that has already failed."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)
