"""Flags that are asked for every turn."""

import asyncio
import json
from typing import Any

import msgspec

from axon.flags import FlagSet, read_definitions
from axon.records import Record, TurnAccepted, TurnCompleted, TurnInterrupted, decode
from axon.turns import TurnRequest
from tests.conversations.scene import KEY, ORG, Process
from tests.turns.scene import MODEL, USER, Taking

HALVES = {"fractional": [["on", 50], ["off", 50]]}


def turn_flag(effect: dict[str, Any], *, default: str | None = "on", **more: Any) -> dict[str, Any]:
    """Return a flag of which `on` does this to a turn, and `off` nothing."""
    return {
        "state": "ENABLED",
        "variants": {"on": effect, "off": {}},
        "defaultVariant": default,
        "metadata": {"axon.turn": True},
        **more,
    }


def flags_of(**flags: dict[str, Any]) -> FlagSet:
    found = read_definitions(json.dumps({"flags": flags}).encode())
    found.versions = dict.fromkeys(flags, 3)
    return found


def asked(surface: str, /, user: int = USER, tier: str = "", **members: Any) -> TurnRequest:
    """Return a request outside any conversation, as the gateway reads it."""
    body = msgspec.json.encode({"model": MODEL, **members})
    return TurnRequest(
        org_id=ORG,
        user=user,
        credential_id=KEY,
        surface=surface,
        model=MODEL,
        streamed=False,
        stored=False,
        body=body,
        fields=msgspec.json.decode(body, type=dict[str, msgspec.Raw]),
        tier=tier,
        region="eu",
    )


async def told(
    taking: Taking, running: "asyncio.Future[Any] | None" = None, text: str = "an answer"
) -> dict[str, Any]:
    """Answer the next job; return what its engine was told, with the job's model as `lane`.

    Raises what `running`, the turn that is to ask for it, ends with before it does.
    """
    job = asyncio.ensure_future(taking.engine.jobs.get())
    waited = {job, running} if running is not None else {job}
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    if not job.done():
        job.cancel()
        raise AssertionError(f"it asked for nothing: {running.result() if running else None}")
    delivery, writer = job.result()
    taking.engine.jobs.put_nowait((delivery, writer))
    await taking.answer(text)
    members: dict[str, Any] = json.loads(b"{%b}" % delivery.job.fields)
    return {**members, "lane": delivery.job.model.alias}


def records(process: Process) -> list[Record]:
    return [decode(entry.kind, entry.payload) for entry in process.journal.read(0)]


def accepted(process: Process) -> list[TurnAccepted]:
    return [one for one in records(process) if isinstance(one, TurnAccepted)]


def ended(process: Process) -> list[TurnCompleted | TurnInterrupted]:
    return [one for one in records(process) if isinstance(one, TurnCompleted | TurnInterrupted)]
