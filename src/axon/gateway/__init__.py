"""HTTP in, SSE out: OpenAI's API over the rooms below, without SQL or business rules."""

from axon.gateway.access import PERMISSIONS
from axon.gateway.audit_shapes import AccessShown, TurnShown
from axon.gateway.bodies import Bodies
from axon.gateway.call import AsgiApp
from axon.gateway.door import Door, GatewayOptions, PeopleRooms
from axon.gateway.experiment_shapes import ExperimentHistory, ExperimentPage, ExperimentResults
from axon.gateway.flag_shapes import FlagHistory, FlagPage, FlagShown
from axon.gateway.gateway import Gateway
from axon.gateway.operation import Operation, Status
from axon.gateway.problem import Problem
from axon.gateway.relay import Owners, Relay, RelayOptions
from axon.gateway.routing import openapi_document, routes
from axon.gateway.sibling import SiblingAway, Siblings

__all__ = [
    "PERMISSIONS",
    "AccessShown",
    "AsgiApp",
    "Bodies",
    "Door",
    "ExperimentHistory",
    "ExperimentPage",
    "ExperimentResults",
    "FlagHistory",
    "FlagPage",
    "FlagShown",
    "Gateway",
    "GatewayOptions",
    "Operation",
    "Owners",
    "PeopleRooms",
    "Problem",
    "Relay",
    "RelayOptions",
    "SiblingAway",
    "Siblings",
    "Status",
    "TurnShown",
    "openapi_document",
    "routes",
]
