"""Builds what decides about a turn before it runs: prices, limits, flags, redaction, safety."""

from dataclasses import dataclass
from pathlib import Path

from axon.app.folders import DataFolder
from axon.app.roles.ground import Ground
from axon.app.settings import Settings, policies_of, safety_of
from axon.flags import Flags, FlagsParts
from axon.journal import Journal, read_cursor
from axon.limits import Limits, LimitsParts
from axon.metering import FollowerOptions, PriceBook, PriceFollower
from axon.privacy import Policies
from axon.safety import SafetyPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What turns cost and may use, what flags decide about them, what is hidden and checked."""

    prices: PriceBook
    follower: PriceFollower
    limits: Limits
    flags: Flags
    policies: Policies
    safety: SafetyPolicy | None


async def open_allowance(
    settings: Settings, folder: DataFolder, ground: Ground, journal: Journal
) -> Allowance:
    """Return it, with the prices that are known; the stores may be away."""
    book = PriceBook()
    follower = _prices(folder, ground, book)
    await follower.start()
    return Allowance(
        prices=book,
        follower=follower,
        limits=_limits(settings, folder, ground, journal),
        flags=_flags(settings, folder, ground, journal),
        policies=policies_of(settings.privacy),
        safety=safety_of(settings.safety),
    )


def _prices(folder: DataFolder, ground: Ground, book: PriceBook) -> PriceFollower:
    options = FollowerOptions(snapshot_path=folder.prices_snapshot)
    return PriceFollower(ground.postgres, book, ground.randomness, options)


def _limits(settings: Settings, folder: DataFolder, ground: Ground, journal: Journal) -> Limits:
    return Limits(
        LimitsParts(
            postgres=ground.postgres,
            valkey=ground.valkey,
            clock=ground.clock,
            randomness=ground.randomness,
            instance=journal.instance,
            projected=lambda: read_cursor(journal.directory),
            snapshot=folder.limits_snapshot,
            processes=settings.http.processes,
            poll_every_ms=settings.accounts.poll_every_ms,
        )
    )


def _flags(settings: Settings, folder: DataFolder, ground: Ground, journal: Journal) -> Flags:
    return Flags(
        FlagsParts(
            postgres=ground.postgres,
            valkey=ground.valkey,
            valkey_url=settings.valkey.url,
            journal=journal,
            mint=ground.mint,
            clock=ground.clock,
            snapshot=folder.flags_snapshot,
            folder=_watched(settings.flags.folder),
            poll_every_ms=settings.accounts.poll_every_ms,
        )
    )


def _watched(folder: str) -> Path | None:
    return Path(folder).expanduser().absolute() if folder else None
