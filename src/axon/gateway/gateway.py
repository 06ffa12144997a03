"""START HERE: the ASGI application: authenticate, dispatch, answer, and say so in one log line."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache

from axon.base import AxonError, Randomness
from axon.gateway import chat, conversations, models, operation, passes, responses
from axon.gateway.call import Call, ClientGone, Message, Receive, Scope, Send
from axon.gateway.door import Door
from axon.gateway.operation import Operation
from axon.gateway.problems import Problem, RequestRefused, problem_of
from axon.telemetry import (
    CounterTallies,
    CounterTally,
    HistogramTallies,
    HistogramTally,
    log,
)

Route = Callable[..., Awaitable[None]]

_FIXED: dict[tuple[str, str], Route] = {
    ("POST", "/v1/chat/completions"): chat.create_completion,
    ("POST", "/v1/responses"): responses.create_response,
    ("POST", "/v1/conversations"): conversations.create_conversation,
    ("GET", "/v1/models"): models.list_models,
    ("POST", "/v1/user_passes"): passes.create_pass,
}
"""Routes without a variable part, the hot ones first."""

_WITH_IDS: dict[tuple[str, str, int], Route] = {
    ("GET", "responses", 1): responses.get_response,
    ("DELETE", "responses", 1): responses.delete_response,
    ("GET", "conversations", 1): conversations.get_conversation,
    ("POST", "conversations", 1): conversations.update_conversation,
    ("DELETE", "conversations", 1): conversations.delete_conversation,
    ("POST", "conversations/items", 1): conversations.create_items,
    ("GET", "conversations/items", 1): conversations.list_items,
    ("GET", "conversations/items", 2): conversations.get_item,
    ("DELETE", "conversations/items", 2): conversations.delete_item,
}
"""Routes `/v1/<thing>/<id>[/items[/<id>]]`, by method, name and number of ids."""

_OPERATION: dict[str, Route] = {
    "/healthz": operation.healthz,
    "/readyz": operation.readyz,
    "/status": operation.status,
    "/metrics": operation.metrics,
}

_ONE_MODEL = "/v1/models/{id}"
"""The one route whose id may hold slashes."""

_requests = CounterTallies(
    "axon_http_requests_total", "Requests answered, by route and status.", ("route", "status")
)
_duration = HistogramTallies(
    "http_server_request_duration_seconds", "From the request to the last byte.", ("route",)
)
_NO_SUCH_ROUTE = "unknown"


class Gateway:
    """HTTP in, SSE out; one per process."""

    def __init__(self, door: Door, operation: Operation, randomness: Randomness) -> None:
        """Answer with the rooms behind `door`; `operation` knows how the process is."""
        self._door = door
        self._operation = operation
        self._request_prefix = "req_" + randomness.bytes(6).hex()
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI call."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        self._requests += 1
        call = Call(scope, receive, send, f"{self._request_prefix}{self._requests:010x}")
        call.started_s = self._door.clock.monotonic()
        route, ids, name = _route(call.method, call.path)
        try:
            await self._answer(call, route, ids)
        except ClientGone:
            call.status = 499
        except AxonError as error:
            await _refuse(call, problem_of(error))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost loop of a request
            log.error("http.failed", "A request failed.", error__message=repr(error)[:2000])
            await _refuse(
                call, Problem(status=500, message="The server failed.", kind="server_error")
            )
        finally:
            self._report(call, name)

    async def _answer(self, call: Call, route: Route | None, ids: tuple[str, ...]) -> None:
        plain = _OPERATION.get(call.path)
        if plain is not None and call.method in ("GET", "HEAD"):
            await plain(self._operation, call)
            return
        authorization = call.headers.get(b"authorization", b"")
        accounts = self._door.accounts
        call.principal = accounts.known(authorization) or await accounts.verify(authorization)
        if route is None:
            raise _no_route(call)
        await route(self._door, call, *ids)

    def _report(self, call: Call, route: str) -> None:
        took_s = self._door.clock.monotonic() - call.started_s
        requests, duration = _measures(route, call.status)
        requests.inc()
        duration.observe(took_s)
        if call.path in _OPERATION:
            return
        fields = call.log
        fields["http.request.id"] = call.request_id
        fields["http.request.method"] = call.method
        fields["url.path"] = call.path
        fields["http.response.status_code"] = call.status
        fields["event.duration"] = int(took_s * 1e9)
        if call.principal is not None:
            fields["axon.org.id"] = call.principal.org_id
        log.event("http.request", "Answered a request.", fields)


@cache
def _measures(route: str, status: int) -> tuple[CounterTally, HistogramTally]:
    """Return the two series of a route."""
    return _requests.series(route, str(status)), _duration.series(route)


def _route(method: str, path: str) -> tuple[Route | None, tuple[str, ...], str]:
    """Return the route, the ids in its path, and a name that is safe as a metric's label."""
    route = _FIXED.get((method, path))
    if route is not None:
        return route, (), path
    parts = path.strip("/").split("/")
    if parts[0] != "v1" or len(parts) < 3:
        return None, (), path if path in _OPERATION else _NO_SUCH_ROUTE
    if parts[1] == "models" and method == "GET":
        return models.get_model, ("/".join(parts[2:]),), _ONE_MODEL
    thing = "/".join([parts[1], *parts[3:4]])
    ids = tuple(parts[2::2])
    route = _WITH_IDS.get((method, thing, len(ids)))
    if route is None or len(parts) > 5:
        return None, (), _NO_SUCH_ROUTE
    return route, ids, f"/v1/{thing}/{len(ids)}"


def routes() -> list[tuple[str, str, str]]:
    """Return every route as method, path and the first line of what it says of itself."""
    found = [(method, path, route) for (method, path), route in _FIXED.items()]
    found.append(("GET", _ONE_MODEL, models.get_model))
    for (method, thing, ids), route in _WITH_IDS.items():
        name, *below = thing.split("/")
        path = "/".join(["/v1", name, "{id}", *below])
        found.append((method, path + "/{id}" * (ids - 1), route))
    found += [("GET", path, route) for path, route in _OPERATION.items()]
    return [(method, path, (route.__doc__ or "").split("\n")[0]) for method, path, route in found]


def _no_route(call: Call) -> RequestRefused:
    message = f"Invalid URL ({call.method} {call.path})"
    return RequestRefused(Problem(status=404, message=message, code="unknown_url"))


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
