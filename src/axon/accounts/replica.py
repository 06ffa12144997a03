"""This process's copy of the credentials: follows PostgreSQL, outlives it by a bounded time."""

import asyncio
import math
from dataclasses import dataclass
from pathlib import Path

from axon.accounts.credential import Credential
from axon.accounts.errors import AccountsUnavailable
from axon.accounts.held import HeldCredentials
from axon.accounts.homes import Homes
from axon.accounts.residency import NO_REGIONS, Cells
from axon.accounts.snapshot import Snapshot, read_snapshot, write_snapshot
from axon.accounts.store import read_changes
from axon.base import MICROS_PER_SECOND, Clock
from axon.stores import Postgres
from axon.telemetry import counter, log

_SNAPSHOTS_PER_STALENESS = 20
"""An unchanged snapshot is written again this many times in the longest time it may serve: a
process that is killed and starts during an outage has lost at most a twentieth of that time."""

_SAVES_APART_S = 5.0
"""Between two snapshots, however much changes: a hundred thousand keys are 32 MB of file."""

_snapshot_failures = counter(
    "axon_accounts_snapshot_failures_total",
    "Snapshots of the credentials that could not be written.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsOptions:
    """How the credentials are kept."""

    snapshot_path: Path
    """The file that stands in for PostgreSQL at start; several processes may share it."""
    staleness_max_s: float
    """How long after PostgreSQL last answered the known credentials still count."""
    poll_every_ms: int = 400
    """How often changes are asked for: with the query, a revocation counts within a second."""
    cache_max: int = 50_000
    """Credentials held, and Authorization headers remembered: about 50 MB at most."""
    cells: Cells = NO_REGIONS
    """Which region is served here."""


class Replica:
    """Every credential up to `cache_max`, as of the last poll that PostgreSQL answered."""

    def __init__(self, postgres: Postgres, clock: Clock, options: AccountsOptions) -> None:
        """It is empty and not fresh until `load` or `refresh`."""
        self._postgres = postgres
        self._clock = clock
        self._options = options
        self._held = HeldCredentials(options.cache_max)
        self.homes = Homes()
        """Who belongs to another region than their organization."""
        self._seen = 0
        self._synced_at = -math.inf
        self._saved_at = -math.inf
        self._unsaved = False
        self.emptied = False
        """Whether PostgreSQL has lost the keys that it once had."""
        self.save_error = ""
        """Why the snapshot could not be written the last time; empty when it was."""

    @property
    def age_s(self) -> float:
        """Return how many seconds ago PostgreSQL last confirmed what is held; inf for never."""
        return self._clock.monotonic() - self._synced_at

    @property
    def fresh(self) -> bool:
        """Return whether what is held may still be believed."""
        return self.age_s <= self._options.staleness_max_s

    def find(self, key: bytes | str) -> Credential | None:
        """Return the credential with this HMAC or id, when it is held and may be believed."""
        return self._held.find(key) if self.fresh else None

    def put(self, credential: Credential) -> Credential:
        """Hold what was just read, unless a newer version is held; return what is held now."""
        return self._held.put(credential)

    def distrust(self) -> None:
        """Believe nothing that is held until PostgreSQL has been heard again."""
        self._synced_at = -math.inf

    async def load(self) -> None:
        """Take over the snapshot, if there is one; its age counts."""
        snapshot = await asyncio.to_thread(read_snapshot, self._options.snapshot_path)
        if snapshot is None:
            log.info("accounts-snapshot-absent", "No snapshot of the API keys can be read")
            return
        for credential in snapshot.credentials:
            self._held.put(credential)
        self.homes.put(snapshot.homes)
        self._seen = snapshot.seen
        # A clock that was set back must not make an old snapshot young, so the distance counts.
        age_s = abs(self._clock.now_us() - snapshot.synced_us) / MICROS_PER_SECOND
        self._synced_at = self._clock.monotonic() - age_s
        log.info(
            "accounts-snapshot-read",
            f"The snapshot holds {len(self._held)} API keys and is {age_s:.0f} s old",
        )

    async def refresh(self) -> bool:
        """Take over what changed in PostgreSQL; return whether anything did.

        Raises AccountsUnavailable, and then what is held only ages.
        """
        changed = False
        while True:
            asked_at = self._clock.monotonic()
            changes = await read_changes(self._postgres, self._seen)
            self.emptied = changes.number == 0 and self._seen > 0
            if self.emptied:
                # An installation that had keys has none: that is no news of them all being
                # revoked, and with it every client would be locked out.
                raise AccountsUnavailable("the database holds no API key any more: was it emptied?")
            if changes.number < self._seen:  # the database went back to an older backup
                self._held.clear()
                self.homes.clear()
                self._seen = 0
                changed = True
                continue
            for credential in changes.credentials:
                self._held.put(credential)
                changed = True
            self.homes.put(changes.homes)
            changed |= bool(changes.homes)
            if changes.through >= changes.number:
                break
            self._seen = changes.through
        self._seen = changes.number
        self._synced_at = asked_at
        self._unsaved |= changed
        return changed

    async def save_if_due(self) -> None:
        """Write the snapshot when something changed, but not too often, and when it grows old."""
        apart_s = _SAVES_APART_S
        if not self._unsaved:
            apart_s = self._options.staleness_max_s / _SNAPSHOTS_PER_STALENESS
        if self._clock.monotonic() - self._saved_at >= apart_s:
            await self._save()

    async def save_rest(self) -> None:
        """Write the snapshot if it lacks a change."""
        if self._unsaved and self.fresh:
            await self._save()

    async def _save(self) -> None:
        """A disk that refuses costs the snapshot and nothing else; the next change tries again."""
        snapshot = Snapshot(
            synced_us=self._clock.now_us() - int(self.age_s * MICROS_PER_SECOND),
            seen=self._seen,
            credentials=self._held.all(),
            homes=self.homes.all(),
        )
        self._saved_at = self._clock.monotonic()
        self._unsaved = False
        try:
            await asyncio.to_thread(write_snapshot, self._options.snapshot_path, snapshot)
        except OSError as error:
            _snapshot_failures.inc()
            if not self.save_error:
                log.warning("accounts-snapshot-failed", f"The snapshot was not written: {error}")
            self.save_error = str(error)
        else:
            self.save_error = ""
