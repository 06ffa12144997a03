"""The setting of the scheduler: on which nodes one is expected."""

from typing import Annotated

from msgspec import Meta, Struct


class SchedulerSettings(Struct, frozen=True, kw_only=True):
    """What no turn waits for: alerts, webhooks, usage to Kafka and Stripe."""

    here: Annotated[
        bool,
        Meta(
            description="Whether this node has a scheduler: `axon up` starts one, and one that is "
            "missing is a degraded mode. One does the work of all nodes; false on the others."
        ),
    ] = True
