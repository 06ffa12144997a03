"""One HTTP call over ASGI: what came in, and the ways to answer."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec

from axon.accounts import Principal
from axon.deeds import Actor
from axon.gateway.bodies import Bodies
from axon.gateway.problem import Problem, RequestRefused, refuse
from axon.gateway.safe_headers import NOT_KEPT, Pairs, always
from axon.telemetry import TRACE_BYTES, read_traceparent
from axon.turns import Fields

Scope = Mapping[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")
_PROBLEM_JSON = (b"content-type", b"application/problem+json")
_fields = msgspec.json.Decoder(Fields)

_LOOPBACK = ("127.", "::1", "::ffff:127.")

_PASSED_ON = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")
"""What proxies add to a request."""

OPENMETER_PREFIX = "/api/"
"""Below it clients of OpenMeter ask, and read errors as that has them."""


OFREP_PREFIX = "/ofrep/"
"""Below it clients of OpenFeature ask, and read errors as OFREP has them."""


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class AnsweredElsewhere(Exception):
    """Another serving process has answered this request already."""


class Call:
    """One request being answered."""

    __slots__ = (
        "_bodies",
        "_fields",
        "_held_bytes",
        "_receive",
        "_scope",
        "_send",
        "_trace",
        "always",
        "extra",
        "headers",
        "log",
        "method",
        "path",
        "principal",
        "request_id",
        "started_s",
        "status",
        "streaming",
        "unread",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request_id: str,
        bodies: Bodies | None = None,
    ) -> None:
        """Wrap one ASGI call; its body is counted with the `bodies` of others until `over`."""
        self._bodies = bodies or Bodies()
        self._held_bytes = 0
        self._scope = scope
        self._receive = receive
        self._send = send
        self._fields: tuple[bytes, Fields] | None = None
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = request_id
        self._trace = b""
        self.principal: Principal | None = None
        self.started_s = 0.0
        self.status = 0
        self.streaming = False
        self.unread = False
        """Whether nothing of what was asked may stay here, in log lines neither: it belongs to
        another region."""
        self.always: Pairs = always(tls=False)
        """What every answer of this server has."""
        self.extra: Headers = []
        self.log: dict[str, str | int | float | bool | None] = {}

    @property
    def caller(self) -> Principal:
        """Return who is asking; only after authentication."""
        if self.principal is None:
            raise RuntimeError("this route is answered before authentication")
        return self.principal

    @property
    def actor(self) -> Actor:
        """Return who asks, as what they change is written down; only after authentication."""
        caller, client = self.caller, self._scope.get("client")
        return Actor(
            origin="api",
            place=str(client[0]) if client else "",
            org_id=caller.org_id,
            user=caller.user,
            credential_id=caller.credential_id,
        )

    @property
    def trace(self) -> bytes:
        """Return what ties the request to a trace (see `TurnHead.trace`): what its client says,
        else the digits of the request's own id."""
        if not self._trace:
            told = read_traceparent(self.headers.get(b"traceparent"))
            self._trace = told or bytes.fromhex(self.request_id[-2 * TRACE_BYTES :])
        return self._trace

    @property
    def cut(self) -> str:
        """Return why the server cut the connection off, "" when it did not."""
        why: str = self._scope.get("axon.cut", "")
        return why

    @property
    def of_this_machine(self) -> bool:
        """Return whether the request was made on this machine, as far as its connection can tell.

        One that a proxy on this machine passes on says so, in a header that proxies add.
        """
        client = self._scope.get("client")
        if client is None:  # a private socket of ours
            return True
        if any(name in self.headers for name in _PASSED_ON):
            return False
        return str(client[0]).startswith(_LOOPBACK)

    def authorization(self) -> bytes:
        """Return the header that names the caller; OFREP's clients may have it in another one."""
        given = self.headers.get(b"authorization")
        if given is None and self.path.startswith(OFREP_PREFIX):
            key = self.headers.get(b"x-api-key")
            return b"" if key is None else b"Bearer " + key
        return given or b""

    def header(self, name: bytes) -> str | None:
        """Return a header's value, its name given in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def query(self) -> dict[str, str]:
        """Return the query string's parameters, the last of each name."""
        return {name: values[-1] for name, values in self.query_values().items()}

    def query_values(self) -> dict[str, list[str]]:
        """Return the query string's parameters, every value of each name."""
        return parse_qs(self._scope["query_string"].decode("latin-1"), keep_blank_values=True)

    def target(self) -> bytes:
        """Return the path and the query as the client sent them."""
        path: bytes = self._scope["raw_path"]
        query: bytes = self._scope["query_string"]
        return b"%b?%b" % (path, query) if query else path

    async def gone(self) -> None:
        """Return when the client has closed, or has its answer; only once the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def body(self, bytes_max: int) -> bytes:
        """Return the whole body; refuse one that is larger than `bytes_max` with 413."""
        announced = self.headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > bytes_max:
            raise _too_large(bytes_max)
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        data: bytes = message.get("body", b"")
        self._bodies.take(len(data))
        self._held_bytes = len(data)
        if not message.get("more_body", False):
            return data
        whole = bytearray(data)  # a list would cost many times what a trickled body is long
        while message.get("more_body", False):
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece = message.get("body", b"")
            if len(whole) + len(piece) > bytes_max:
                raise _too_large(bytes_max)
            self._bodies.take(len(piece))
            self._held_bytes += len(piece)
            whole += piece
        return bytes(whole)

    def over(self) -> None:
        """Say that the request is answered, and its body no longer needed."""
        self._bodies.give_back(self._held_bytes)
        self._held_bytes = 0

    async def whole_body(self, bytes_max: int) -> bytes:
        """Return the body, also once its members were read."""
        return await self.body(bytes_max) if self._fields is None else self._fields[0]

    async def fields(self, bytes_max: int) -> tuple[bytes, Fields]:
        """Return the body and its members, each still JSON; refuse what is no JSON object.

        It may be called again, by the next who wants to know.
        """
        if self._fields is None:
            body = await self.body(bytes_max)
            self._fields = body, self.read_fields(body)
        return self._fields

    @staticmethod
    def read_fields(body: bytes) -> Fields:
        """Return the members of a JSON object, each still JSON."""
        try:
            body.decode()  # what stays raw is passed on, so it is looked at here
            return _fields.decode(body)
        except msgspec.ValidationError:
            raise refuse("The body must be a JSON object.", code="invalid_type") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            message = (
                f"We could not parse the JSON body of your request ({error}). The API expects a "
                "JSON payload, but what was sent was not valid JSON."
            )
            raise refuse(message, code="invalid_json") from error

    async def reply(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Answer with a whole body."""
        self.status = status
        start = [*headers, (b"content-length", b"%d" % len(body)), *self._common()]
        if not any(name == b"cache-control" for name, _ in headers):
            start.append(NOT_KEPT)
        await self._send({"type": "http.response.start", "status": status, "headers": start})
        await self._send({"type": "http.response.body", "body": body})

    async def reply_json(self, body: bytes, status: int = 200) -> None:
        """Answer with JSON."""
        await self.reply(status, body, (_JSON,))

    async def reply_value(self, value: object, status: int = 200) -> None:
        """Answer with a value, encoded as JSON."""
        await self.reply_json(msgspec.json.encode(value), status)

    async def reply_problem(self, problem: Problem, headers: Headers | None = None) -> None:
        """Answer with an error."""
        self.log["error.code"] = problem.code or problem.kind
        problem = problem.redacted()
        kind, body = _JSON, problem.body()
        if self.path.startswith(OFREP_PREFIX):
            body = problem.ofrep()
        elif self.path.startswith(OPENMETER_PREFIX):
            kind, body = _PROBLEM_JSON, problem.details(self.request_id)
        await self.reply(problem.status, body, [kind, *problem.headers(), *(headers or ())])

    async def begin_stream(self, headers: Headers) -> None:
        """Begin an answer of unknown length."""
        self.status = 200
        self.streaming = True
        start = [*headers, *self._common()]
        await self._send({"type": "http.response.start", "status": 200, "headers": start})

    async def begin_relayed(self, status: int, headers: Headers) -> None:
        """Begin another process's answer, with its own headers and nothing of ours."""
        self.status = status
        self.streaming = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send_piece(self, data: bytes, last: bool) -> None:
        """Send a piece of a streamed answer; waits while the client is slower than we are."""
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})

    def _common(self) -> Headers:
        return [(b"x-request-id", self.request_id.encode()), *self.always, *self.extra]


def _too_large(bytes_max: int) -> RequestRefused:
    message = f"The body is larger than {bytes_max} bytes."
    return RequestRefused(Problem(status=413, message=message, code="request_too_large"))
