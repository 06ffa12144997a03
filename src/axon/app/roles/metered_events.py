"""Builds what a serving process does with outside events."""

from axon.app.settings import MeteringSettings, entitlements_of, meters_of
from axon.base import Clock, IdMint
from axon.journal import Journal
from axon.metering import (
    ClosingPolicy,
    Entitlements,
    Ingest,
    IngestParts,
    MeterSums,
    OutsideEvents,
)
from axon.stores import Postgres


def outside_events(
    settings: MeteringSettings, journal: Journal, postgres: Postgres, mint: IdMint, clock: Clock
) -> OutsideEvents:
    """Return the taking, the meters and the entitlements of settings that were checked."""
    meters = meters_of(settings)
    policy = ClosingPolicy(
        closed_after_days=settings.closed_after_days, late_events=settings.late_events
    )
    parts = IngestParts(journal=journal, mint=mint, clock=clock, meters=meters, policy=policy)
    return OutsideEvents(
        ingest=Ingest(parts),
        meters=meters,
        sums=MeterSums(postgres),
        # Apart from the reports, so that a long one holds up nobody who asks what it may do.
        entitlements=Entitlements(entitlements_of(settings), meters, MeterSums(postgres)),
    )
