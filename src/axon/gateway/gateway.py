"""START HERE: the ASGI application: authenticate, dispatch, answer, and say so in one log line."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache

from axon.base import AxonError, Randomness
from axon.gateway import (
    chat,
    compaction,
    completions,
    conversation_events,
    conversation_fork,
    conversation_list,
    conversation_regenerate,
    conversation_search,
    conversation_title,
    conversations,
    earlier_tries,
    embeddings,
    limits,
    models,
    operation,
    passes,
    response_items,
    responses,
    sibling,
    stored_chat,
    stored_responses,
    sync,
    usage,
)
from axon.gateway.bodies import Bodies
from axon.gateway.call import AnsweredElsewhere, Call, ClientGone, Message, Receive, Scope, Send
from axon.gateway.door import Door
from axon.gateway.openapi import RouteShown, openapi_json
from axon.gateway.operation import Operation
from axon.gateway.problems import Problem, RequestRefused, problem_of, unavailable
from axon.gateway.relay import Relay
from axon.telemetry import (
    CounterTallies,
    CounterTally,
    HistogramTallies,
    HistogramTally,
    log,
)

Route = Callable[..., Awaitable[None]]
InternalRoute = Callable[[Door, bytes], Awaitable[bytes]]

_FIXED: dict[tuple[str, str], Route] = {
    ("POST", "/v1/chat/completions"): chat.create_completion,
    ("POST", "/v1/responses"): responses.create_response,
    ("POST", "/v1/conversations"): conversations.create_conversation,
    ("GET", "/v1/conversations"): conversation_list.list_conversations,
    ("GET", "/v1/conversations/search"): conversation_search.search_conversations,
    ("GET", "/v1/sync"): sync.sync,
    ("GET", "/v1/chat/completions"): stored_chat.list_completions,
    ("POST", "/v1/responses/input_tokens"): response_items.count_input_tokens,
    ("POST", "/v1/responses/compact"): compaction.compact_input,
    ("POST", "/v1/embeddings"): embeddings.create_embeddings,
    ("POST", "/v1/completions"): completions.create_completion,
    ("GET", "/v1/models"): models.list_models,
    ("POST", "/v1/user_passes"): passes.create_pass,
    ("GET", "/v1/usage"): usage.own_usage,
    ("GET", "/v1/organization/usage/completions"): usage.completions_usage,
    ("GET", "/v1/organization/costs"): usage.costs,
    ("GET", "/v1/limits"): limits.get_limits,
    ("GET", "/v1/limit_rules"): limits.list_rules,
    ("POST", "/v1/limit_rules"): limits.set_rule,
}
"""Routes without a variable part, the hot ones first."""

_WITH_IDS: dict[tuple[str, str, int], Route] = {
    ("GET", "chat completions", 1): stored_chat.get_completion,
    ("POST", "chat completions", 1): stored_chat.update_completion,
    ("DELETE", "chat completions", 1): stored_chat.delete_completion,
    ("GET", "chat completions/messages", 1): stored_chat.list_messages,
    ("GET", "responses", 1): stored_responses.get_response,
    ("DELETE", "responses", 1): stored_responses.delete_response,
    ("POST", "responses/cancel", 1): stored_responses.cancel_response,
    ("GET", "responses/input_items", 1): response_items.list_input_items,
    ("GET", "conversations/events", 1): conversation_events.follow_conversation,
    ("POST", "conversations/fork", 1): conversation_fork.fork_conversation,
    ("POST", "conversations/title", 1): conversation_title.make_title,
    ("POST", "conversations/regenerate", 1): conversation_regenerate.regenerate,
    ("GET", "conversations", 1): conversations.get_conversation,
    ("POST", "conversations", 1): conversations.update_conversation,
    ("DELETE", "conversations", 1): conversations.delete_conversation,
    ("POST", "conversations/items", 1): conversations.create_items,
    ("GET", "conversations/items", 1): conversations.list_items,
    ("GET", "conversations/items", 2): conversations.get_item,
    ("DELETE", "limit_rules", 1): limits.remove_rule,
    ("DELETE", "conversations/items", 2): conversations.delete_item,
}
"""Routes `/v1/<thing>/<id>[/items[/<id>]]`, by method, name and number of ids."""


async def openapi(operation: Operation, call: Call, relay: Relay | None) -> None:
    """Answer with a description of this API, as OpenAPI 3.1; wants no key."""
    await call.reply_json(openapi_document())


_OPERATION: dict[str, Route] = {
    "/healthz": operation.healthz,
    "/readyz": operation.readyz,
    "/status": operation.status,
    "/metrics": operation.metrics,
    "/openapi.json": openapi,
}

_CHAT = ["chat", "completions"]
"""The one thing whose name has two parts; `_WITH_IDS` joins them by a space."""

_INTERNAL: dict[str, InternalRoute] = {
    sibling.PRESENT_PATH: sibling.present,
    sibling.EARLIER_TRY_PATH: earlier_tries.known_try,
}
"""What the node's other serving processes ask, on the private socket alone and without a key."""

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

    def __init__(
        self, door: Door, operation: Operation, randomness: Randomness, bodies: Bodies | None = None
    ) -> None:
        """Answer with the rooms behind `door`; `operation` knows how the process is.

        `bodies` bounds the bodies of all requests together.
        """
        self._bodies = bodies or Bodies()
        self._door = door
        self._operation = operation
        self._request_prefix = "req_" + randomness.bytes(6).hex()
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
        route, ids, name = _route(call.method, call.path)
        try:
            if not (private and await self._answer_internal(call)):
                await self._answer(call, route, ids, None if private else self._door.relay)
        except AnsweredElsewhere:
            pass  # and the call knows how
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
            call.over()
            self._report(call, name)

    async def crowded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI call of a client for whom there is no place: only how the process is."""
        if scope["type"] != "http" or scope["path"] in _OPERATION:
            await self(scope, receive, send)
            return
        call = self._call(scope, receive, send)
        problem = unavailable("Too many connections are open.", "server_overloaded")
        await call.reply_problem(problem, [(b"connection", b"close")])
        self._report(call, _NO_SUCH_ROUTE)

    def _call(self, scope: Scope, receive: Receive, send: Send) -> Call:
        self._requests += 1
        request_id = f"{self._request_prefix}{self._requests:010x}"
        call = Call(scope, receive, send, request_id, self._bodies)
        call.started_s = self._door.clock.monotonic()
        return call

    async def _answer_internal(self, call: Call) -> bool:
        """Return whether the call was a sibling's question, which then is answered."""
        call.log["axon.relayed"] = True
        internal = _INTERNAL.get(call.path)
        if internal is None or call.method != "POST":
            return False
        body = await call.body(self._door.options.body_bytes_max)
        await call.reply(200, await internal(self._door, body), ())
        return True

    async def _answer(
        self, call: Call, route: Route | None, ids: tuple[str, ...], relay: Relay | None
    ) -> None:
        plain = _OPERATION.get(call.path)
        if plain is not None and call.method in ("GET", "HEAD"):
            await plain(self._operation, call, relay)
            return
        authorization = call.headers.get(b"authorization", b"")
        accounts = self._door.accounts
        call.principal = accounts.known(authorization) or await accounts.verify(authorization)
        if route is None:
            raise _no_route(call)
        if relay is None or not await relay.took(call, ids):
            await route(self._door, call, *ids)

    def _report(self, call: Call, route: str) -> None:
        took_s = self._door.clock.monotonic() - call.started_s
        requests, duration = _measures(route, call.status)
        requests.inc()
        duration.observe(took_s)
        if call.path in _OPERATION or call.path in _INTERNAL:
            return
        fields = call.log
        fields["http.request.id"] = call.request_id
        fields["http.request.method"] = call.method
        fields["url.path"] = call.path
        fields["http.response.status_code"] = call.status
        fields["event.duration"] = int(took_s * 1e9)
        if call.cut:
            fields["axon.cut"] = call.cut
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
        known = path in _OPERATION or path in _INTERNAL
        return None, (), path if known else _NO_SUCH_ROUTE
    if parts[1] == "models" and method == "GET":
        return models.get_model, ("/".join(parts[2:]),), _ONE_MODEL
    if parts[1:3] == _CHAT:
        parts[1:3] = [" ".join(_CHAT)]
    thing = "/".join([parts[1], *parts[3:4]])
    ids = tuple(parts[2::2])
    route = _WITH_IDS.get((method, thing, len(ids)))
    if route is None or len(parts) > 5:
        return None, (), _NO_SUCH_ROUTE
    return route, ids, f"/v1/{thing.replace(' ', '/')}/{len(ids)}"


def routes() -> list[tuple[str, str, str]]:
    """Return every route as method, path and the first line of what it says of itself."""
    return [(method, path, (route.__doc__ or "").split("\n")[0]) for method, path, route in _all()]


@cache
def openapi_document() -> bytes:
    """Return `/openapi.json`, which is the same for the life of the process."""
    return openapi_json(_all())


def _all() -> list[RouteShown]:
    found = [RouteShown(method, path, route) for (method, path), route in _FIXED.items()]
    found.append(RouteShown("GET", _ONE_MODEL, models.get_model))
    for (method, thing, ids), route in _WITH_IDS.items():
        name, *below = thing.split("/")
        path = "/".join(["/v1", name.replace(" ", "/"), "{id}", *below])
        found.append(RouteShown(method, path + "/{id}" * (ids - 1), route))
    return found + [RouteShown("GET", path, route) for path, route in _OPERATION.items()]


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
