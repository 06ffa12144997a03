"""Which serving process owns what a request is about, and handing the request to it.

What happens in one conversation happens in one process: its order, its newest turns and its
running streams are kept there. The owner is written in every id, so nobody needs to be asked.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from axon.base import IdMint, TaskOwner, UnknownId, instance_mark
from axon.gateway.call import Call, ClientGone
from axon.gateway.members import ConversationName, member, required
from axon.gateway.problem import RequestRefused, unavailable
from axon.gateway.sibling import (
    PRESENT_S,
    AnswerCut,
    Sibling,
    SiblingAway,
    SiblingConnection,
    Siblings,
    request_head,
)
from axon.telemetry import counter
from axon.turns import Fields

_CONTINUING = frozenset({"/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens"})
"""Where the body says which conversation it is about."""

_ACROSS_CONVERSATIONS = frozenset(
    {"/v1/chat/completions", "/v1/conversations", "/v1/conversations/search", "/v1/sync"}
)
"""What is read from PostgreSQL whoever owns it; siblings' newest changes must be there first."""

SETTLED_S = 2.0
"""How long such a read waits for them; then it answers with what is there."""

_HEIRS_KEPT = 1024
"""Marks of processes that are gone: few, but a client may keep ids of many."""

KNOWN_S = 5.0
"""How long siblings are asked what they know: one that restarts is back by then."""

_OF_ONE_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding"}
)
"""Headers about one connection and its framing (RFC 9110, 7.6.1); the next has its own."""

_WRITTEN_ANEW = _OF_ONE_CONNECTION | {b"content-length", b"expect", b"host", b"upgrade"}

_relayed = counter("axon_relayed_requests_total", "Requests handed to the process that owns them.")
_cut = counter("axon_relayed_requests_cut_total", "Relayed answers that ended before their end.")


class Owners:
    """The serving processes of this node, and what each of them owns."""

    def __init__(self, names: Sequence[str], own: str, mint: IdMint) -> None:
        """`names` are all of them, `own` among them; no two share a mark."""
        self._names = tuple(names)
        self.own = own
        self._mint = mint
        self._by_mark = {instance_mark(name): name for name in names}
        self._heir = lru_cache(maxsize=_HEIRS_KEPT)(self._choose)

    def sibling_of(self, object_id: str, org_id: str) -> str | None:
        """Return the process that owns an object; None when it is this one, or there is none.

        An id that is not this organization's is a 404, which any process can tell.
        """
        if not object_id.isascii():
            return None
        try:
            mark = self._mint.read(object_id, object_id.rpartition("_")[0], org_id).mark
        except UnknownId:
            return None
        return self._unless_own(self._by_mark.get(mark) or self._heir(mark))

    def keeper_of(self, key: bytes, org_id: str) -> str | None:
        """Return where the requests with an idempotency key meet; None when it is here.

        Two with the same key at the same time, accepted by two processes, are then one after all.
        """
        return self._unless_own(self._choose(b"%b\0%b" % (org_id.encode(), key)))

    def _unless_own(self, name: str) -> str | None:
        return None if name == self.own else name

    def _choose(self, what: bytes) -> str:
        """Return one of the processes; all choose the same, and few choices change with the set.

        For what a process owned that is no longer there, `what` is its mark: a conversation and
        its responses have the same heir. (Rendezvous hashing, Thaler and Ravishankar 1998.)
        """
        return max(self._names, key=lambda name: hashlib.blake2s(what + name.encode()).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """The bounds of handing on a request."""

    body_bytes_max: int
    answer_s: float
    """How long the owner may say nothing: longer than any turn."""
    slow_client_s: float
    """How long a piece of the answer may wait for its client to read."""
    present_s: float = PRESENT_S


class Relay:
    """Hands requests to the processes that own what they are about; for more than one process."""

    def __init__(
        self,
        owners: Owners,
        siblings: Siblings,
        settled: Callable[[float], Awaitable[bool]],
        tasks: TaskOwner,
        options: RelayOptions,
    ) -> None:
        """`settled(within_s)` waits until PostgreSQL has what siblings have made durable so far."""
        self.siblings = siblings
        self.own = owners.own
        """The name of this process."""
        self._owners = owners
        self._settled = settled
        self._tasks = tasks
        self._options = options

    async def took(self, call: Call, ids: Sequence[str]) -> bool:
        """Return whether the request was another process's, which then has answered it.

        `ids` are those of its path. What is about nothing, or about nothing of ours, stays here.
        Raises RequestRefused: the body is wrong, or the owner does not answer.
        """
        about = ids[0] if ids else None
        if call.method == "POST" and call.path in _CONTINUING:
            _, fields = await call.fields(self._options.body_bytes_max)
            about = _continued(fields)
        elif call.method == "GET" and call.path in _ACROSS_CONVERSATIONS:
            await self._settled(SETTLED_S)
        if about:
            return await self.handed_on(call, about)
        key = call.headers.get(b"idempotency-key")
        if key and call.method == "POST":
            return await self._hand_to(call, self._owners.keeper_of(key, call.caller.org_id))
        return False

    async def handed_on(self, call: Call, object_id: str) -> bool:
        """Return whether another process owns this object, and has answered the request.

        Raises RequestRefused when that does not answer; nothing may have been answered before.
        """
        return await self._hand_to(call, self._owners.sibling_of(object_id, call.caller.org_id))

    async def handed_to_who_knows(self, call: Call, path: str, question: bytes) -> bool:
        """Return whether a sibling named an object of its own, and has answered the request.

        All are asked at `path`. Raises RequestRefused when one does not answer: it may know.
        """
        try:
            answers = await self.siblings.ask(path, question, KNOWN_S)
        except SiblingAway:
            raise _away() from None
        named = next((answer.decode() for answer in answers if answer), "")
        return bool(named) and await self.handed_on(call, named)

    async def _hand_to(self, call: Call, owner: str | None) -> bool:
        if owner is None:
            return False
        body = await call.whole_body(self._options.body_bytes_max)
        call.log["axon.relayed.to"] = owner
        _relayed.inc()
        await self._hand_on(call, self.siblings[owner], body)
        return True

    async def _hand_on(self, call: Call, sibling: Sibling, body: bytes) -> None:
        """Send the request and its answer on; only what may be repeated is tried a second time."""
        headers = [header for header in call.headers.items() if header[0] not in _WRITTEN_ANEW]
        request = request_head(call.method, call.target(), headers, body) + body
        for may_repeat in (call.method == "GET", False):
            connection = await self._connect(sibling)
            try:
                await self._exchange(call, connection, request)
                return
            except AnswerCut:
                if call.streaming:
                    _cut.inc()
                    call.log["axon.cut"] = f"{sibling.name} ended"
                    return
                if not may_repeat:
                    raise _away() from None
            finally:
                sibling.put_back(connection)

    async def _connect(self, sibling: Sibling) -> SiblingConnection:
        try:
            return await sibling.connect(self._options.present_s)
        except SiblingAway:
            raise _away() from None

    async def _exchange(self, call: Call, connection: SiblingConnection, request: bytes) -> None:
        """Pass on the request and its answer; raises AnswerCut, ClientGone and RequestRefused."""
        watcher = self._tasks.start(_close_when_gone(call, connection), "relayed client")
        try:
            await self._pass_back(call, connection, request)
        except AnswerCut:
            if watcher.done():
                raise ClientGone from None
            raise
        except TimeoutError:
            if call.streaming:
                raise AnswerCut("a side was too slow") from None
            raise _away() from None
        finally:
            watcher.cancel()

    async def _pass_back(self, call: Call, connection: SiblingConnection, request: bytes) -> None:
        """Pass the answer on piece by piece: the owner is read no faster than the client reads."""
        now_s = asyncio.get_running_loop().time
        async with asyncio.timeout(self._options.answer_s) as bound:
            await connection.send(request)
            await connection.head()
            kept = [one for one in connection.headers if one[0] not in _OF_ONE_CONNECTION]
            await call.begin_relayed(connection.status, kept)
            last = False
            while not last:
                data, last = await connection.piece()
                bound.reschedule(now_s() + self._options.slow_client_s)
                await call.send_piece(data, last)
                bound.reschedule(now_s() + self._options.answer_s)


async def _close_when_gone(call: Call, connection: SiblingConnection) -> None:
    """Let go of the owner's answer once nobody reads it; the owner sees its client go."""
    await call.gone()
    connection.close()


def _continued(fields: Fields) -> str | None:
    """Return the conversation or the response that a request continues."""
    raw = fields.get("conversation")
    if raw is not None and bytes(raw)[:1] == b"{":
        return required(fields, "conversation", ConversationName).id
    named = member(fields, "conversation", str)
    return named or member(fields, "previous_response_id", str)


def _away() -> RequestRefused:
    """Return the refusal while an owner restarts; a retry finds it, or what it had done."""
    message = "The process that keeps this conversation is restarting."
    return RequestRefused(unavailable(message, "owner_restarting"))
