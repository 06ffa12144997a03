"""`POST /v1/user_passes`: a short-lived signed pass for one person's browser or device."""

from axon.accounts import PASS_LIFETIME_S_MAX
from axon.base import MICROS_PER_SECOND
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.members import member, required
from axon.gateway.problem import refuse

_LIFETIME_S = 3600


async def create_pass(door: Door, call: Call) -> None:
    """Answer with a pass for the named person; the key must be permitted to act for users."""
    _, fields = await call.fields(door.options.body_bytes_max)
    user = required(fields, "user", str)
    lifetime_s = member(fields, "expires_in", int) or _LIFETIME_S
    if not 1 <= lifetime_s <= PASS_LIFETIME_S_MAX:
        message = f"Invalid 'expires_in': expected 1 to {PASS_LIFETIME_S_MAX} seconds."
        raise refuse(message, param="expires_in", code="invalid_value")
    made = door.accounts.mint_user_pass(call.caller, user, lifetime_s)
    expires_s = made.expires_us // MICROS_PER_SECOND
    await call.reply_value({"object": "user_pass", "value": made.text, "expires_at": expires_s})
