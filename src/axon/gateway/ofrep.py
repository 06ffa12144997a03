"""`/ofrep/v1`: clients of OpenFeature ask for flags (OFREP 0.3.0), and hear that they changed."""

import asyncio
import hashlib
import hmac
from typing import Any

import msgspec

from axon.base import MICROS_PER_SECOND, TaskOwner
from axon.flags import FLAG_NOT_FOUND, Evaluation, EvaluationContext, Listener, TooManyListeners
from axon.gateway.access import FLAGS
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.flag_shapes import OfrepFlag, OfrepFlags, OfrepStream
from axon.gateway.problem import Problem, RequestRefused, unavailable
from axon.telemetry import counter, log

EVENTS_PATH = "/ofrep/v1/events"

CLIENT_SIDE = "client_side"
"""In a flag's metadata: true for what a person's own client may see, which gets to know its
variants' values. A server asks for all."""

_OWN_METADATA = "axon."
"""How we decide is nothing for a person's client."""

ANONYMOUS = "anonymousId"
"""In a context: who somebody was before signing in. Experiments go on to place the person so."""

INACTIVITY_S = 120
"""After which a client whose page is hidden lets go of its stream."""

KEEP_ALIVE_S = 15.0
"""How often a quiet stream says something: proxies give up on one after 30 to 60 seconds."""

FRESH_WITHIN_S = 0.5
"""How long an answer waits for a change of which its client heard from another process."""

_DAY_US = 86_400 * MICROS_PER_SECOND
_TOKEN_BYTES = 16

_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_cut = counter("axon_slow_clients_cut_total", "Streams ended because their client did not read.")

Context = dict[str, Any]


class _Asked(msgspec.Struct):
    context: Context = {}


_asked = msgspec.json.Decoder(_Asked)


async def evaluate_flag(door: Door, call: Call, flag_id: str) -> None:
    """Answer with what one flag says in a context; 404 when there is none."""
    context = await _context(door, call, flag_id)
    found = door.flags.flag_set.evaluate(flag_id, context)
    if not _visible(call, found):
        found = Evaluation(
            key=flag_id,
            reason=found.reason,
            error_code=FLAG_NOT_FOUND,
            detail="there is no such flag",
        )
    status = 200
    if found.error_code:
        status = 404 if found.error_code == FLAG_NOT_FOUND else 400
    await call.reply_value(_shown(door, call, found), status)


async def evaluate_flags(door: Door, call: Call) -> None:
    """Answer with what all flags say in a context; 304 while that is what the client has."""
    context = await _context(door, call, "")
    await _catch_up(door, call)
    flags = door.flags
    found = flags.flag_set.evaluate_all(context)
    uri = f"{EVENTS_PATH}?token={_token(door, door.clock.now_us() // _DAY_US)}"
    answer = OfrepFlags(
        flags=[_shown(door, call, one) for one in found if _visible(call, one)],
        metadata={"version": flags.flag_set.version},
        event_streams=[
            OfrepStream(type="sse", endpoint={"requestUri": uri}, inactivity_delay_sec=INACTIVITY_S)
        ],
    )
    body = msgspec.json.encode(answer)
    etag = f'"{hashlib.blake2s(body, digest_size=16).hexdigest()}"'
    headers = [(b"etag", etag.encode()), (b"cache-control", b"no-cache")]
    if etag in _tags(call.header(b"if-none-match") or ""):
        await call.reply(304, b"", headers)
    else:
        await call.reply(200, body, [(b"content-type", b"application/json"), *headers])


async def follow_changes(door: Door, call: Call) -> None:
    """Stream a `refetchEvaluation` for every change; wants no key, but the URL of an answer.

    The first is sent at once, for a change may lie between that answer and this stream.
    """
    if not _is_token(door, call.query().get("token", "")):
        message = "The token in the URL is wrong or too old: evaluate the flags again."
        raise RequestRefused(Problem(status=401, message=message, code="invalid_token"))
    await call.body(door.options.body_bytes_max)
    try:
        listener = door.flags.listen()
    except TooManyListeners as error:
        raise RequestRefused(unavailable(str(error), "server_overloaded")) from error
    watchers = TaskOwner(_watcher_failed)
    watchers.start(_close_when_gone(call, listener), "client of the flags' events")
    try:
        await call.begin_stream(_STREAM)
        async for number in listener.numbers(KEEP_ALIVE_S):
            await _send(door, call, number)
        await call.send_piece(b"", True)
    except TimeoutError:
        _cut.inc()
        call.log["axon.cut"] = "slow client"
    finally:
        listener.close()
        await watchers.cancel()


async def _close_when_gone(call: Call, listener: Listener) -> None:
    await call.gone()
    listener.close()


async def _send(door: Door, call: Call, number: int | None) -> None:
    piece = b": keep-alive\n\n"
    if number is not None:
        now_s = door.clock.now_us() // MICROS_PER_SECOND
        data = {"type": "refetchEvaluation", "etag": f'"{number}"', "lastModified": now_s}
        piece = b"id: %d\ndata: %b\n\n" % (number, msgspec.json.encode(data))
    async with asyncio.timeout(door.options.slow_client_s):
        await call.send_piece(piece, False)


def _watcher_failed(name: str, error: BaseException) -> None:
    log.error(
        "task.failed", "A background task failed.", axon__task=name, error__message=repr(error)
    )


async def _context(door: Door, call: Call, key: str) -> EvaluationContext:
    """Return for whom it is asked: a person's client speaks for that person alone."""
    body = await call.body(door.options.body_bytes_max)
    try:
        claimed = _asked.decode(body).context if body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        is_json = isinstance(error, msgspec.ValidationError)
        code = "INVALID_CONTEXT" if is_json else "PARSE_ERROR"
        raise RequestRefused(_wrong(key, code, str(error))) from error
    caller = call.caller
    user, targeting_key = caller.user, f"{caller.user:016x}"
    if caller.acts_for_users:
        named = claimed.get("targetingKey", "")
        if not isinstance(named, str):
            raise RequestRefused(_wrong(key, "INVALID_CONTEXT", "the targetingKey is no text"))
        targeting_key = named
        user = door.accounts.subject(caller, named or None)
    placed = user
    if caller.acts_for_users:
        before = claimed.get(ANONYMOUS, "")
        if not isinstance(before, str):
            raise RequestRefused(_wrong(key, "INVALID_CONTEXT", f"the {ANONYMOUS} is no text"))
        placed = door.accounts.subject(caller, before) if before else user
    return EvaluationContext(
        now_us=door.clock.now_us(),
        targeting_key=targeting_key,
        user=f"{user:016x}",
        org=caller.org_id,
        region=caller.region,
        tier=caller.tier,
        placed=f"{placed:016x}",
        claimed=claimed,
    )


def _wrong(key: str, code: str, details: str) -> Problem:
    return Problem(status=400, message=details, code=code, param=key or None)


def _sees_all(call: Call) -> bool:
    return call.caller.acts_for_users or FLAGS.admits(call.caller)


def _visible(call: Call, found: Evaluation) -> bool:
    return _sees_all(call) or found.metadata.get(CLIENT_SIDE) is True


def _shown(door: Door, call: Call, found: Evaluation) -> OfrepFlag:
    if found.error_code:
        return OfrepFlag(key=found.key, error_code=found.error_code, error_details=found.detail)
    metadata = dict(found.metadata)
    if _sees_all(call):
        metadata["axon.version"] = door.flags.version_of(found.key)
    else:
        metadata = {
            name: one for name, one in metadata.items() if not name.startswith(_OWN_METADATA)
        }
    return OfrepFlag(
        key=found.key,
        reason=found.reason,
        variant=found.variant or "",
        value=msgspec.UNSET if found.variant is None else found.value,
        metadata=metadata,
    )


async def _catch_up(door: Door, call: Call) -> None:
    """Know the change of which the client heard, perhaps from another process."""
    wanted = call.query().get("flagConfigEtag", "").strip('"')
    if wanted.isdecimal() and len(wanted) < 16 and int(wanted) > door.flags.number:
        await door.flags.catch_up(int(wanted), FRESH_WITHIN_S)


def _tags(header: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]


def _token(door: Door, day: int) -> str:
    """Return what opens the stream of changes on a day and the next: an EventSource sends no key.

    It lets its holder hear that something changed, and nothing else. All of a day are the same, so
    that a client that asks again need not connect again.
    """
    digest = hashlib.blake2s(
        day.to_bytes(8, "big"), key=door.options.events_secret, digest_size=_TOKEN_BYTES
    )
    return digest.hexdigest()


def _is_token(door: Door, token: str) -> bool:
    today = door.clock.now_us() // _DAY_US
    known = [_token(door, day) for day in (today, today - 1)]
    return any(hmac.compare_digest(token.encode(), one.encode()) for one in known)
