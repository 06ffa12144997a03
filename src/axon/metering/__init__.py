"""What turns consume and cost: prices, the charge of each turn, sums of usage."""

from axon.metering.book import PriceBook
from axon.metering.errors import MeteringError, PriceWrong, RangeWrong, UsageUnavailable
from axon.metering.following import FollowerOptions, PriceFollower
from axon.metering.periods import Width, zone_named
from axon.metering.price import Price, Rates, Tier, is_owed, rate, rate_at_most
from axon.metering.pricing import PriceChange, PriceFault, Prices, check_prices
from axon.metering.projecting import MeteringProjector
from axon.metering.rerating import Rerated, Rerating, rerate
from axon.metering.spending import Spending, spending
from axon.metering.usage import Dimension, Usage, UsageAnswer, UsageQuestion, UsageSum
from axon.metering.usage_events import UsageEvent
from axon.metering.usage_stream import EventSink, UsageStream
from axon.metering.usage_stream_store import SourceState

__all__ = [
    "Dimension",
    "EventSink",
    "FollowerOptions",
    "MeteringError",
    "MeteringProjector",
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
    "SourceState",
    "Spending",
    "Tier",
    "Usage",
    "UsageAnswer",
    "UsageEvent",
    "UsageQuestion",
    "UsageStream",
    "UsageSum",
    "UsageUnavailable",
    "Width",
    "check_prices",
    "is_owed",
    "rate",
    "rate_at_most",
    "rerate",
    "spending",
    "zone_named",
]
