"""START HERE: the ASGI application: authenticate, dispatch, answer, and say so in one log line."""

import asyncio
from functools import cache

from axon.accounts import InvalidCredential, Misdirected
from axon.base import AxonError, Randomness
from axon.gateway.access import MONITOR
from axon.gateway.bodies import Bodies
from axon.gateway.call import AnsweredElsewhere, Call, ClientGone, Message, Receive, Scope, Send
from axon.gateway.cross_origin import answered_preflight, origin_headers
from axon.gateway.door import Door
from axon.gateway.operation import Operation
from axon.gateway.problem import Problem, RequestRefused, unavailable
from axon.gateway.problems import problem_of
from axon.gateway.relay import Relay
from axon.gateway.routing import (
    INTERNAL,
    NO_SUCH_ROUTE,
    OPERATION,
    TELLING,
    find_route,
    methods_of,
)
from axon.gateway.safe_headers import always
from axon.gateway.who_may import SIGNED, Route, access_to
from axon.telemetry import (
    CounterTallies,
    CounterTally,
    HistogramTallies,
    HistogramTally,
    log,
    trace_id,
)

_requests = CounterTallies(
    "axon_http_requests_total", "Requests answered, by route and status.", ("route", "status")
)
_duration = HistogramTallies(
    "http_server_request_duration_seconds", "From the request to the last byte.", ("route",)
)

_FAILED_FROM = 400
_PREFIX_BYTES = 11
"""With the 5 of the counter a request's id has the length of a trace's, and is it."""


class Gateway:
    """HTTP in, SSE out; one per process."""

    def __init__(
        self, door: Door, operation: Operation, randomness: Randomness, bodies: Bodies | None = None
    ) -> None:
        """Answer with the rooms behind `door`; `operation` knows how the process is.

        `bodies` bounds the bodies of all requests together.
        """
        self._bodies = bodies or Bodies()
        self._door = door
        self._always = always(door.options.tls)
        self._operation = operation
        self._request_prefix = "req_" + randomness.bytes(_PREFIX_BYTES).hex()
        self._requests = 0

    async def private(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI call of another serving process of this node, and answer it here."""
        await self(scope, receive, send, private=True)

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send, private: bool = False
    ) -> None:
        """Answer one ASGI call of a client, here or by the process that owns what it is about."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        call = self._call(scope, receive, send)
        route, ids, name = find_route(call.method, call.path)
        try:
            if not (private and await self._answer_internal(call)):
                await self._answer(call, route, ids, None if private else self._door.relay)
        except AnsweredElsewhere:
            pass  # and the call knows how
        except ClientGone:
            call.status = 499
        except AxonError as error:
            call.unread = isinstance(error, Misdirected) or (
                isinstance(error, InvalidCredential) and bool(self._door.accounts.cells.region)
            )
            await _refuse(call, problem_of(error))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost loop of a request
            log.error("http.failed", "A request failed.", error__message=repr(error)[:2000])
            await _refuse(
                call, Problem(status=500, message="The server failed.", kind="server_error")
            )
        finally:
            call.over()
            self._report(call, name)

    async def crowded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI call of a client for whom there is no place: only how the process is."""
        if scope["type"] != "http" or scope["path"] in OPERATION:
            await self(scope, receive, send)
            return
        call = self._call(scope, receive, send)
        problem = unavailable("Too many connections are open.", "server_overloaded")
        await call.reply_problem(problem, [(b"connection", b"close")])
        self._report(call, NO_SUCH_ROUTE)

    def _call(self, scope: Scope, receive: Receive, send: Send) -> Call:
        self._requests += 1
        request_id = f"{self._request_prefix}{self._requests:010x}"
        call = Call(scope, receive, send, request_id, self._bodies)
        call.started_s = self._door.clock.monotonic()
        call.always = self._always
        options = self._door.options
        call.extra += origin_headers(call, options.flag_origins, options.origins)
        return call

    async def _answer_internal(self, call: Call) -> bool:
        """Return whether the call was a sibling's question, which then is answered."""
        call.log["axon.relayed"] = True
        internal = INTERNAL.get(call.path)
        if internal is None or call.method != "POST":
            return False
        body = await call.body(self._door.options.body_bytes_max)
        await call.reply(200, await internal(self._door, body), ())
        return True

    async def _answer(
        self, call: Call, route: Route | None, ids: tuple[str, ...], relay: Relay | None
    ) -> None:
        plain = OPERATION.get(call.path)
        if plain is not None and call.method in ("GET", "HEAD"):
            if call.path in TELLING and not call.of_this_machine:
                MONITOR.require(await self._door.accounts.verify(call.authorization()))
            await plain(self._operation, call, relay)
            return
        if await answered_preflight(call):
            return
        if route is not None and route in SIGNED:
            await route(self._door, call)
            return
        authorization = call.authorization()
        accounts = self._door.accounts
        caller = accounts.known(authorization) or await accounts.verify(authorization)
        call.principal = caller
        if route is None:
            raise _no_route(call)
        access_to(route).require(caller)
        if relay is None or not await relay.took(call, ids):
            await route(self._door, call, *ids)

    def _report(self, call: Call, route: str) -> None:
        took_s = self._door.clock.monotonic() - call.started_s
        requests, duration = _measures(route, call.status)
        requests.count += 1
        duration.observe(took_s)
        if call.path in OPERATION or call.path in INTERNAL:
            return
        fields = call.log
        if not call.unread:
            fields["trace.id"] = trace_id(call.trace)
        fields["http.request.id"] = call.request_id
        fields["http.request.method"] = call.method
        fields["url.path"] = route if call.unread else call.path
        fields["http.response.status_code"] = call.status
        fields["event.duration"] = int(took_s * 1e9)
        fields["event.outcome"] = "failure" if call.status >= _FAILED_FROM else "success"
        if call.cut:
            fields["axon.cut"] = call.cut
        if call.principal is not None and not call.unread:
            fields["axon.org.id"] = call.principal.org_id
        log.event("http.request", "Answered a request.", fields)


@cache
def _measures(route: str, status: int) -> tuple[CounterTally, HistogramTally]:
    """Return the two series of a route."""
    return _requests.series(route, str(status)), _duration.series(route)


def _no_route(call: Call) -> RequestRefused:
    others = methods_of(call.path)
    if not others:
        message = f"Invalid URL ({call.method} {call.path})"
        return RequestRefused(Problem(status=404, message=message, code="unknown_url"))
    message = f"Not allowed to {call.method} on {call.path}; it takes {' and '.join(others)}."
    allow = (b"allow", ", ".join(others).encode())
    return RequestRefused(
        Problem(status=405, message=message, code="method_not_supported", beside=(allow,))
    )


async def _refuse(call: Call, problem: Problem) -> None:
    """Answer with an error, unless a stream has begun: then its bytes have already said so."""
    if not call.streaming:
        await call.reply_problem(problem)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message: Message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
