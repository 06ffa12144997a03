"""What turns consume and cost, and outside events: prices, charges, meters, sums of usage."""

from axon.metering.activity import Activity, activity
from axon.metering.book import PriceBook
from axon.metering.entitlements import Entitlement, Entitlements, EntitlementValue, Holder
from axon.metering.errors import (
    BatchTooLarge,
    EventWrong,
    MeteringError,
    MeterWrong,
    PriceWrong,
    RangeWrong,
    UnknownEntitlement,
    UnknownMeter,
    UsageUnavailable,
)
from axon.metering.following import FollowerOptions, PriceFollower
from axon.metering.ingest import EVENTS_MAX, ClosingPolicy, Ingest, IngestParts, Sender
from axon.metering.meter_sums import MeterQuestion, MeterSum, MeterSums
from axon.metering.meters import (
    NAME_PATTERN,
    PATH_PATTERN,
    SUBJECT,
    Aggregation,
    Meter,
    Meters,
)
from axon.metering.outside_events import OutsideEvents
from axon.metering.periods import Width, zone_named
from axon.metering.price import Nano, Price, Rates, Tier, is_owed, rate, rate_at_most
from axon.metering.price_store import all_prices
from axon.metering.pricing import PriceChange, PriceFault, Prices, check_prices
from axon.metering.projecting import MeteringProjector
from axon.metering.rerating import Rerated, Rerating, rerate
from axon.metering.rollups import ROLLUPS
from axon.metering.spending import Spending, spending
from axon.metering.usage import Usage, UsageAnswer, UsageSum
from axon.metering.usage_events import UsageEvent
from axon.metering.usage_query import Dimension, UsageQuestion
from axon.metering.usage_stream import EventSink, UsageStream
from axon.metering.usage_stream_store import SourceState

__all__ = [
    "EVENTS_MAX",
    "NAME_PATTERN",
    "PATH_PATTERN",
    "ROLLUPS",
    "SUBJECT",
    "Activity",
    "Aggregation",
    "BatchTooLarge",
    "ClosingPolicy",
    "Dimension",
    "Entitlement",
    "EntitlementValue",
    "Entitlements",
    "EventSink",
    "EventWrong",
    "FollowerOptions",
    "Holder",
    "Ingest",
    "IngestParts",
    "Meter",
    "MeterQuestion",
    "MeterSum",
    "MeterSums",
    "MeterWrong",
    "MeteringError",
    "MeteringProjector",
    "Meters",
    "Nano",
    "OutsideEvents",
    "Price",
    "PriceBook",
    "PriceChange",
    "PriceFault",
    "PriceFollower",
    "PriceWrong",
    "Prices",
    "RangeWrong",
    "Rates",
    "Rerated",
    "Rerating",
    "Sender",
    "SourceState",
    "Spending",
    "Tier",
    "UnknownEntitlement",
    "UnknownMeter",
    "Usage",
    "UsageAnswer",
    "UsageEvent",
    "UsageQuestion",
    "UsageStream",
    "UsageSum",
    "UsageUnavailable",
    "Width",
    "activity",
    "all_prices",
    "check_prices",
    "is_owed",
    "rate",
    "rate_at_most",
    "rerate",
    "spending",
    "zone_named",
]
