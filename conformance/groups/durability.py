"""Durability: what was acknowledged is there after the storage stalls or the server is killed.

These checks want hooks: shell commands that stall and heal the storage, kill and restart the
server. `--hook-restart` returns once the server was started; the suite waits until it answers.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from openai import APIError
from openai.types.responses import Response, ResponseStreamEvent

from conformance.events import raw, shown_text
from conformance.groups.background import start
from conformance.groups.conversations import said_by
from conformance.groups.resume import known
from conformance.registry import check
from conformance.server import ENDED, FINAL, SHORT, Server, text_of
from conformance.unique import unique
from conformance.verdicts import Failed, offered, require, until

_AT_ONCE = 8
_ACKNOWLEDGED = frozenset({"response.completed", "response.incomplete"})
_STALLED_TIMEOUT_S = 4.0
_SHOWN_WITHIN_S = 20.0
_BUDGET_S = 240.0


@dataclass(slots=True, kw_only=True)
class _Turn:
    """One streamed turn as its client saw it."""

    conversation: str
    said: str
    events: list[ResponseStreamEvent] = field(default_factory=list)
    acknowledged: bool = False

    async def run(self, server: Server, **more: Any) -> None:
        """Read events until the end or until the connection breaks."""
        try:
            call = server.open_stream(self.said, conversation=self.conversation, **more)
            async with await call as stream:
                async for event in stream:
                    self.events.append(event)
                    self.acknowledged = event.type in _ACKNOWLEDGED
        except APIError:
            return
        except Exception as error:  # noqa: BLE001 - the SDK does not wrap what breaks midway
            require(type(error).__module__.split(".")[0] in ("httpx", "httpx2"), repr(error))

    @property
    def response_id(self) -> str:
        """Return the response's id, or "" when not even the first event came."""
        return str(raw(self.events[0])["response"]["id"]) if self.events else ""


async def _turns(server: Server, count: int, said: str) -> list[_Turn]:
    """Return turns in new conversations that each hold one earlier pair."""
    made = [(await server.conversation()).id for _ in range(count)]
    for conversation in made:
        await server.respond("Say hello. (before)", conversation=conversation)
    return [_Turn(conversation=id_, said=f"{said} ({n})") for n, id_ in enumerate(made)]


async def _examine(server: Server, turn: _Turn) -> str:
    """Return "whole", "cut" or "absent"; raises Failed for a half or contradicting turn."""
    items = [item for item in await server.items(turn.conversation) if item.type != "reasoning"]
    roles = [str(getattr(item, "role", item.type)) for item in items]
    require(roles[:2] == ["user", "assistant"], f"the earlier pair is damaged: {roles}")
    if roles[2:] == []:
        require(not turn.acknowledged, "an acknowledged turn is lost")
        return "absent"
    require(roles[2:] == ["user", "assistant"], f"half a turn: {roles[2:]}")
    require(said_by(items[2]) == turn.said, "another question is stored")
    kept, shown = said_by(items[3]), shown_text(turn.events)
    if turn.acknowledged:
        require(kept == shown, "an acknowledged answer is stored differently")
    require(kept.startswith(shown) or shown.startswith(kept), "the stored answer is another one")
    return "whole" if getattr(items[3], "status", "completed") == "completed" else "cut"


async def _count(server: Server, turns: list[_Turn]) -> str:
    ends = [await _examine(server, turn) for turn in turns]
    acknowledged = sum(turn.acknowledged for turn in turns)
    counts = ", ".join(f"{ends.count(end)} {end}" for end in ("whole", "cut", "absent"))
    return f"{acknowledged} acknowledged; afterwards {counts}"


@check("durability", "storage stalls: nothing acknowledged is lost", budget_s=_BUDGET_S)
async def stalled(server: Server) -> str:
    """Turns acknowledged while the storage is frozen are there, whole, after it is healed.

    Turns that were refused or ran into the time-out are there whole or not at all.
    Wants --hook-stall and --hook-heal. Documented: nowhere; it is what a 200 means.
    """
    server.hooks.want("stall", "heal")
    turns = await _turns(server, 5, SHORT)
    async with server.hooks.stalled():
        for turn in turns:
            await _patiently(turn.run(server, timeout=_STALLED_TIMEOUT_S))
    await server.answers_again()
    return await _count(server, turns)


async def _patiently(call: Any) -> None:
    """Give a call during a stall a bounded time; a hang is not an acknowledgement."""
    try:
        await asyncio.wait_for(call, _STALLED_TIMEOUT_S * 1.5)
    except TimeoutError:
        return


@check("durability", "storage stalls: the chat goes on", budget_s=_BUDGET_S)
async def available(server: Server) -> str:
    """Running conversations are answered while the storage is frozen.

    Wants --hook-stall and --hook-heal. Documented: nowhere; what people notice of an outage.
    """
    server.hooks.want("stall", "heal")
    turns = await _turns(server, 5, SHORT)
    async with server.hooks.stalled():
        for turn in turns:
            await _patiently(turn.run(server, timeout=_STALLED_TIMEOUT_S))
    await server.answers_again()
    good = sum(turn.acknowledged for turn in turns)
    require(good == len(turns), f"{good} of {len(turns)} turns were answered")
    return f"{good} of {len(turns)} turns were answered"


@check("durability", "kill at the acknowledgement", budget_s=_BUDGET_S)
async def killed_at_the_end(server: Server) -> str:
    """The server is killed as soon as turns are acknowledged; they are there after a restart.

    Wants --hook-kill and --hook-restart. Documented: nowhere; it is what a 200 means.
    """
    server.hooks.want("kill", "restart")
    turns = await _turns(server, _AT_ONCE, SHORT)
    await asyncio.gather(*(turn.run(server) for turn in turns))
    await server.kill_and_restart()
    good = sum(turn.acknowledged for turn in turns)
    require(good, "no turn was acknowledged before the kill")
    return await _count(server, turns)


@check("durability", "kill midway: no half turn", budget_s=_BUDGET_S)
async def killed_midway(server: Server) -> str:
    """After a kill in the middle of streams, each turn is there with its answer or not at all.

    What was shown and what is stored agree as far as both go; the conversation takes new turns.
    Wants --hook-kill and --hook-restart. Documented: nowhere.
    """
    server.hooks.want("kill", "restart")
    turns = await _turns(server, _AT_ONCE, server.target.long_text)
    await _kill_while(server, turns)
    await asyncio.sleep(1.0)
    await asyncio.gather(*(_settled(server, turn) for turn in turns))
    counted = await _count(server, turns)
    for turn in turns:
        await server.respond("Say hello. (after)", conversation=turn.conversation)
    return counted


async def _kill_while(server: Server, turns: list[_Turn], **more: Any) -> None:
    """Run the turns, and kill the server once each has shown something; restart it."""

    async def shown() -> bool | None:
        return all(len(turn.events) > 5 for turn in turns) or None

    async def kill() -> None:
        await until(shown, _SHOWN_WITHIN_S, "some streams show nothing")
        await server.kill_and_restart()

    await asyncio.gather(kill(), *(turn.run(server, **more) for turn in turns))
    cut = sum(not turn.acknowledged for turn in turns)
    require(cut, "every turn had ended before the kill; give a longer --long-text")


async def _settled(server: Server, turn: _Turn) -> None:
    """Wait until the response has a final status, where the server knows it at all."""
    try:
        await server.ended(turn.response_id, within_s=45)
    except APIError:
        return


@check("durability", "kill midway: resume does not contradict", budget_s=_BUDGET_S)
async def resumed(server: Server) -> str:
    """A stream cut by a kill can be followed on from the last event seen, to an end.

    Numbers go on without a gap. A completed answer is stored as it was shown in both parts; one
    that the kill ended is stored as far as the server had kept it, and nothing else is.
    Wants --hook-kill and --hook-restart. Documented: guides, Background mode, for lost connections.
    """
    server.hooks.want("kill", "restart")
    await start(server)
    turns = await _turns(server, 4, server.target.long_text)
    await _kill_while(server, turns, background=True)
    ends, shown_length, kept_length = [], 0, 0
    for turn in turns:
        after = turn.events[-1].sequence_number
        await known(server, turn.response_id)
        retrieve: Any = server.client.responses.retrieve
        stream = await offered(retrieve(turn.response_id, stream=True, starting_after=after))
        async with stream:
            rest = [event async for event in stream]
        require(rest, "the stream goes on with nothing, and no end")
        require(rest[0].sequence_number == after + 1, f"goes on at {rest[0].sequence_number}")
        final = raw(rest[-1]).get("response", {})
        require(final.get("status") in FINAL, f"it ends with {rest[-1].type}")
        kept = await server.ended(turn.response_id)
        shown, stored = shown_text(turn.events + rest), text_of(kept)
        require(shown.startswith(stored), "the stored text is not what was shown")
        require(shown == stored or kept.status != "completed", "a completed answer lost some")
        ends.append(str(kept.status))
        shown_length, kept_length = shown_length + len(shown), kept_length + len(stored)
    counts = ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends)))
    return f"{counts}; of {shown_length} characters shown {kept_length} are kept"


@check("durability", "kill with background work: all of it ends", budget_s=_BUDGET_S)
async def background(server: Server) -> str:
    """Twenty background responses acknowledged before a kill are all completed after a restart.

    Wants --hook-kill and --hook-restart. Documented: guides, Background mode, "reliably".
    """
    server.hooks.want("kill", "restart")
    begun = [await start(server, server.target.long_text) for _ in range(20)]
    await server.kill_and_restart()

    async def end(response: Response) -> str:
        try:
            return str((await server.ended(response.id, within_s=90)).status)
        except (APIError, Failed) as error:
            return str(getattr(error, "status_code", "never ended"))

    ends = await asyncio.gather(*(end(response) for response in begun))
    counts = ", ".join(f"{ends.count(one)} {one}" for one in sorted(set(ends)))
    require(all(one in ENDED for one in ends), counts)
    return counts


@check("durability", "kill between a turn and its retry", budget_s=_BUDGET_S)
async def retried(server: Server) -> str:
    """A keyed request asked again after a kill and restart is still the same turn.

    Wants --hook-kill and --hook-restart.
    Documented: IETF draft-ietf-httpapi-idempotency-key-header; not by OpenAI.
    """
    server.hooks.want("kill", "restart")
    conversation = (await server.conversation()).id
    headers = {"Idempotency-Key": unique()}
    first = await server.respond(conversation=conversation, extra_headers=headers)
    await server.kill_and_restart()
    second = await server.respond(conversation=conversation, extra_headers=headers)
    count = len(await server.items(conversation))
    require(count == 2, f"{count} items after one turn and its retry")
    require(first.id == second.id, "one turn, two ids")
    return "one turn, one id"
