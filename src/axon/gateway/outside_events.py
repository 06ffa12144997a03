"""`POST /api/v1/events`: outside events as CloudEvents, the way OpenMeter's clients send them."""

import msgspec

from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.problem import Problem, RequestRefused, refuse
from axon.metering import Sender

_ONE = "application/cloudevents+json"
_MANY = "application/cloudevents-batch+json"
_EITHER = ("application/json", "")
"""Of these the body says whether it is one event or a list."""


async def send_events(door: Door, call: Call) -> None:
    """Take one outside event or a list of them; 204 once all are durable, else none was taken.

    An event is known by organization, `source` and `id` for ever: one that comes again counts
    once. Wants a key that acts for users, or the permission `events` or `admin`.
    """
    caller = call.caller
    form = (call.header(b"content-type") or "").partition(";")[0].strip().lower()
    if form not in (_ONE, _MANY, *_EITHER):
        message = f"Unsupported content type {form[:100]!r}: use {_ONE} or {_MANY}."
        raise RequestRefused(Problem(status=415, message=message, code="unsupported_media_type"))
    body = await call.body(door.options.body_bytes_max)
    sender = Sender(
        org_id=caller.org_id,
        user=caller.user,
        credential_id=caller.credential_id,
        time_zone=door.limits.time_zone(caller.org_id),
        refuse=lambda subject: door.refuse_elsewhere(call, [subject]),
    )
    is_one = form == _ONE or (form in _EITHER and body.lstrip()[:1] != b"[")
    ingest = door.events.ingest
    try:
        await (ingest.take_one if is_one else ingest.take_batch)(sender, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"The body must be a JSON list of events ({error})."
        raise refuse(message, code="invalid_json") from error
    await call.reply(204, b"", ())
