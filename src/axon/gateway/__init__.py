"""HTTP in, SSE out: OpenAI's API over the rooms below, without SQL or business rules."""

from axon.gateway.door import Door, GatewayOptions
from axon.gateway.gateway import Gateway, routes
from axon.gateway.operation import Operation, Status
from axon.gateway.relay import Owners, Relay, RelayOptions
from axon.gateway.sibling import SiblingAway, Siblings
from axon.gateway.streaming import Streams

__all__ = [
    "Door",
    "Gateway",
    "GatewayOptions",
    "Operation",
    "Owners",
    "Relay",
    "RelayOptions",
    "SiblingAway",
    "Siblings",
    "Status",
    "Streams",
    "routes",
]
