"""`GET /api/v1/subjects/{subject}/entitlements/{key}/value`: may a subject use a feature now?"""

from datetime import datetime
from typing import Annotated

import msgspec

from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.meter_shapes import entitlement_shown, exact_json
from axon.gateway.meters import instant_us
from axon.gateway.problem import not_found, refuse
from axon.metering import Holder

_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


async def get_value(door: Door, call: Call, subject_id: str, entitlement_id: str) -> None:
    """Answer with how much of an entitlement a subject has used and has left in this period.

    `time` asks for the period of another instant, up to that instant. 503 when nobody can tell.
    """
    await _answer(door, call, subject_id, entitlement_id)


async def get_customer_value(door: Door, call: Call, customer_id: str, entitlement_id: str) -> None:
    """Answer as for the subject of this name, whom the published clients call a customer."""
    await _answer(door, call, customer_id, entitlement_id)


async def _answer(door: Door, call: Call, subject: str, key: str) -> None:
    if "\0" in subject:
        raise not_found("No subject is named so.")
    door.refuse_elsewhere(call, [subject])
    at_us = door.clock.now_us()
    time = call.query().get("time")
    if time is not None:
        try:
            at_us = instant_us(msgspec.convert(time, _Instant))
        except msgspec.ValidationError as error:
            raise refuse(f"Invalid 'time': {error}.", param="time") from error
    org_id = call.caller.org_id
    holder = Holder(org_id=org_id, time_zone=door.limits.time_zone(org_id), subject=subject)
    value = await door.events.entitlements.value(holder, key, at_us)
    await call.reply_json(exact_json(entitlement_shown(value)))
