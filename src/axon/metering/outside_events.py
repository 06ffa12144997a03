"""Everything about outside events that a serving process has."""

from dataclasses import dataclass

from axon.metering.entitlements import Entitlements
from axon.metering.ingest import Ingest
from axon.metering.meter_sums import MeterSums
from axon.metering.meters import Meters


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideEvents:
    """Taking them, what counts them, and what that comes to."""

    ingest: Ingest
    meters: Meters
    sums: MeterSums
    entitlements: Entitlements
