"""`POST /v1/stripe/events`: what Stripe sends, which is signed and comes without a key."""

from axon.base import KIB
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.problem import Problem, RequestRefused

EVENT_BYTES_MAX = 64 * KIB
"""A thin event has a few hundred bytes."""


async def take_event(door: Door, call: Call) -> None:
    """Take an event that Stripe has signed; wants no key. One that nobody waits for is ignored.

    Reports of rejected meter events are kept, and the scheduler reads them. A wrong signature, or
    one of more than five minutes ago, is a 400; without `stripe.webhook_secret` all of it is a 404.
    """
    if door.stripe_webhook is None:
        message = f"Invalid URL ({call.method} {call.path})"
        raise RequestRefused(Problem(status=404, message=message, code="unknown_url"))
    body = await call.body(EVENT_BYTES_MAX)
    kept = await door.stripe_webhook.take(body, call.header(b"stripe-signature"))
    await call.reply_value({"object": "stripe_event", "kept": kept})
