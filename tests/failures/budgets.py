"""Rounds of 64 streams against a budget that is worth a few of them, while things die.

In each round a new budget of money is worth k turns at their dearest. 64 streams begin at once
over real HTTP. In some rounds the serving process is killed when the journal has gained a number of
records drawn by chance, in some it is Valkey, in some Valkey does not answer. Then everything comes
back, and it is counted: what the journal says that the turns cost, what the limit says is used, and
whether the rest of the budget can still be spent to less than one turn.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import openai
from openai import AsyncOpenAI

from axon.app.embedded import EmbeddedValkey, freeze
from axon.base import MIB
from axon.journal import JournalReader
from axon.records import TurnAccepted, TurnCompleted, TurnInterrupted, decode
from axon.stores import Valkey
from tests.gateway.commands import set_price
from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"
AT_ONCE = 64
WORTH_MAX = 12
"""Turns that a budget is worth."""

SLICES = 8
"""Without Valkey an eighth of what is left can be spent, so budgets are larger then."""

SLICE_WORTH_MAX = 5

KINDS = ("whole", "killed", "without Valkey", "killed without Valkey", "Valkey killed")
DYING = {"killed": "serving", "killed without Valkey": "serving", "Valkey killed": "valkey"}
"""The process that is killed in the middle, in rounds where one is."""

PROMPT = "[[chunks:20]] [[delay_ms:5]] say it"
OUTPUT_TOKENS_MAX = 24
SETTLED_WITHIN_S = 60.0
PROBES_AT_ONCE = 8
PROBES_MAX = 200
_POLL_S = 0.02


@dataclass(slots=True, kw_only=True)
class Round:
    """What one round came to; money in nano-units."""

    kind: str
    worth: int
    """Turns at their dearest that the budget was worth."""
    kill_after: int = 0
    """Records after which a process was killed; 0 when none was."""
    budget: int = 0
    admitted: int = 0
    """Turns of the burst that the journal has."""
    refused: int = 0
    away: int = 0
    """Streams that were told to come again, because nobody could tell."""
    broken: int = 0
    """Streams that a death cut."""
    settled: int = 0
    """What all turns cost in the end, by the journal."""
    drift: int = 0
    """Between that and what the limit says is used."""
    phantom: int = 0
    """Refusals with money left for another turn, and nothing held back."""

    @property
    def overspent(self) -> int:
        """Return what was spent beyond the budget."""
        return max(0, self.settled - self.budget)

    @property
    def kept(self) -> bool:
        """Return whether every promise was kept."""
        whole = self.kind == "whole"
        return not (
            self.overspent or self.drift or self.phantom or (whole and self.admitted < self.worth)
        )


@dataclass(slots=True)
class Books:
    """What the journal says of the turns that a budget is about."""

    reader: JournalReader
    after: int = 0
    open: dict[str, set[str]] = field(default_factory=dict)
    """By rule: the turns that have no end."""
    accepted: dict[str, dict[str, int]] = field(default_factory=dict)
    """By rule: what each turn could cost at most."""
    costs: dict[str, dict[str, int]] = field(default_factory=dict)

    def read(self) -> None:
        """Take note of what the journal has gained; blocks for a moment."""
        while entries := self.reader.read(self.after, 1000, MIB):
            self.after = entries[-1].sequence
            for entry in entries:
                record = decode(entry.kind, entry.payload)
                if not isinstance(record, TurnAccepted | TurnCompleted | TurnInterrupted):
                    continue
                turn_id = record.head.turn_id
                for rule in {hold.bucket.partition("/")[0] for hold in record.head.holds}:
                    if isinstance(record, TurnAccepted):
                        self.open.setdefault(rule, set()).add(turn_id)
                        most = self.accepted.setdefault(rule, {})
                        most[turn_id] = record.cost_reserved_nano
                    else:
                        self.open.setdefault(rule, set()).discard(turn_id)
                        self.costs.setdefault(rule, {})[turn_id] = record.charge.cost_nano


class Rounds:
    """Plays rounds against one running installation."""

    def __init__(self, axon: RunningAxon, client: AsyncOpenAI, chance: random.Random) -> None:
        """`client` is of an organization of its own that may change limits."""
        self._axon = axon
        self._client = client
        self._chance = chance
        (journal,) = [path for path in (axon.data / "journal").iterdir() if path.is_dir()]
        self._instance = journal.name
        self._books = Books(JournalReader(journal))
        self._number = 0
        self._each = 0
        """What one turn costs at its dearest."""

    async def play(self, kind: str) -> Round:
        """Play a round of a kind and return what it came to."""
        if not self._each:
            self._each = await self._dearest()
        without = "without Valkey" in kind
        worth = self._chance.randint(1, WORTH_MAX)
        if without:
            worth = SLICES * self._chance.randint(2, SLICE_WORTH_MAX)
        played = Round(kind=kind, worth=worth)
        played.budget = worth * self._each + self._chance.randrange(self._each)
        rule = await self._rule(played.budget)
        valkey = self._pids("valkey")[0]
        if without:
            await self._say(rule)
            await self._slice_of(rule)
            freeze(valkey)
        try:
            await self._burst(played, rule, kind)
        finally:
            if without:
                os.kill(valkey, signal.SIGCONT)
        await self._settled(played, rule)
        await self._spend_the_rest(played, rule)
        await self._again(lambda: self._client.delete(f"/limit_rules/{rule}", cast_to=object))
        return played

    async def _dearest(self) -> int:
        rule = await self._rule(10**15)
        await self._say(rule)
        self._books.read()
        (most,) = self._books.accepted[rule].values()
        await self._client.delete(f"/limit_rules/{rule}", cast_to=object)
        return most

    async def _rule(self, amount: int) -> str:
        """Define a budget of this month that nobody has used, and wait until it is known."""
        self._number += 1
        rule = f"round-{self._number}"
        body = {"id": rule, "measure": "money", "currency": "USD", "period": "month"}
        org = await self._org()
        made = {**body, "amount": amount, "org_id": org}
        await self._again(lambda: self._client.post("/limit_rules", cast_to=dict, body=made))
        while rule not in await self._used():
            await asyncio.sleep(_POLL_S)
        return rule

    async def _org(self) -> str:
        rules: dict[str, Any] = await self._client.get("/limit_rules", cast_to=dict)
        (found,) = [one["org_id"] for one in rules["data"] if one["id"] == "whose"]
        return str(found)

    async def _used(self) -> dict[str, int]:
        told: dict[str, Any] = await self._again(
            lambda: self._client.get("/limits", cast_to=dict[str, Any])
        )
        return {one["id"]: one["used"] for one in told["data"]}

    async def _burst(self, played: Round, rule: str, kind: str) -> None:
        """Begin all streams at once and wait for the end of each."""
        before = len(self._books.accepted.get(rule, ()))
        streams = [asyncio.create_task(self._say(rule)) for _ in range(AT_ONCE)]
        everything = asyncio.gather(*streams, return_exceptions=True)
        if kind in DYING:
            at_once = played.worth // SLICES if "without" in kind else played.worth
            played.kill_after = self._chance.randint(1, 2 * at_once)
            await self._kill_after(played.kill_after, DYING[kind], everything)
        for came in await everything:
            if isinstance(came, openai.RateLimitError):
                played.refused += 1
            elif isinstance(came, openai.InternalServerError):
                played.away += 1
            elif isinstance(came, BaseException):
                assert isinstance(came, openai.APIError | OSError) or "httpcore" in repr(type(came))
                played.broken += 1
        self._books.read()
        played.admitted = len(self._books.accepted.get(rule, ())) - before

    async def _kill_after(self, records: int, role: str, everything: "asyncio.Future[Any]") -> None:
        """Kill a process when the journal has so many records more; or when all is over."""
        reader, target = self._books.reader, self._books.reader.durable_through() + records
        while reader.durable_through() < target and not everything.done():
            await asyncio.sleep(0)
        for pid in self._pids(role):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def _settled(self, played: Round, rule: str) -> None:
        """Wait until every turn has ended; compare what the limit says with what they cost."""
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while True:
                self._books.read()
                if not self._books.open.get(rule):
                    break
                await asyncio.sleep(_POLL_S)
        played.drift = await self._drift(rule)

    async def _drift(self, rule: str) -> int:
        """Return how far the limit is from the journal, once nothing changes it any more."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SETTLED_WITHIN_S
        while True:
            used = (await self._used())[rule]
            self._books.read()
            drift = abs(used - sum(self._books.costs.get(rule, {}).values()))
            if not drift or loop.time() > until:
                return drift
            await asyncio.sleep(_POLL_S)

    async def _spend_the_rest(self, played: Round, rule: str) -> None:
        """Take turns until one is refused, in the end one by one: then no other may fit."""
        refused = False
        for at_once in (PROBES_AT_ONCE, 1):
            refused = False
            for _ in range(PROBES_MAX):
                asked = [self._again(lambda: self._say(rule)) for _ in range(at_once)]
                came = await asyncio.gather(*asked, return_exceptions=True)
                refused = any(isinstance(one, openai.RateLimitError) for one in came)
                if refused:
                    break
        played.drift = max(played.drift, await self._drift(rule))
        played.settled = sum(self._books.costs.get(rule, {}).values())
        if refused and played.budget - played.settled >= self._each:
            played.phantom += 1
        assert refused, "nothing refuses"

    async def _say(self, rule: str) -> None:
        """Take a streamed turn to its end."""
        stream = await self._client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": PROMPT}],
            max_tokens=OUTPUT_TOKENS_MAX,
            stream=True,
        )
        async for _ in stream:
            pass

    async def _again(self, what: Callable[[], Any]) -> Any:
        """Do something until it is no longer put off: after a death, or while nobody can tell."""
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while True:
                try:
                    return await what()
                except (openai.InternalServerError, openai.APIConnectionError):
                    await asyncio.sleep(_POLL_S)

    async def _slice_of(self, rule: str) -> None:
        """Wait until Valkey has set a part of the budget aside for the process."""
        valkey = Valkey(EmbeddedValkey(self._axon.data).url(), timeout_ms=5000)
        await valkey.start()
        try:
            async with asyncio.timeout(SETTLED_WITHIN_S):
                while True:
                    keys = await valkey.call("KEYS", f"axon:limits:*:{rule}/*")
                    assert isinstance(keys, list)
                    slices = [await valkey.call("HGET", str_of(key), self._slice) for key in keys]
                    if any(int(str_of(one)) for one in slices if one is not None):
                        return
                    await asyncio.sleep(_POLL_S)
        finally:
            await valkey.stop()

    @property
    def _slice(self) -> str:
        return f"s:{self._instance}"

    def _pids(self, role: str) -> list[int]:
        state = json.loads((self._axon.data / "up.json").read_text())
        return [int(pid) for pid in state["pids"].get(role, [])]


def str_of(reply: object) -> str:
    """Return a reply of Valkey's as text."""
    assert isinstance(reply, bytes)
    return reply.decode()


def figures(rounds: list[Round]) -> list[str]:
    """Return what the rounds came to, in lines."""
    lines = []
    for kind in KINDS:
        of_kind = [one for one in rounds if one.kind == kind]
        if of_kind:
            names = ("admitted", "refused", "away", "broken", "overspent", "drift", "phantom")
            sums = ", ".join(
                f"{name} {sum(getattr(one, name) for one in of_kind)}" for name in names
            )
            lines.append(f"{len(of_kind)} rounds {kind}: {sums}")
    return lines


def prepare(axon: RunningAxon, command: Callable[..., dict[str, Any]]) -> str:
    """Make an organization with a price for its turns; return a key of it that may set limits."""
    made = command(axon, "orgs", "create", "spenders")
    command(axon, "users", "create", "ada", "--org", "spenders", "--permission", "limits")
    words = ("--input", "3", "--output", "5", "--request", "0.000000007", "--org", "spenders")
    set_price(axon, MODEL, *words)
    words = ("--measure", "requests", "--period", "day", "--amount", "1", "--kind", "soft")
    command(axon, "limits", "set", "whose", "--org", str(made["org_id"]), *words)
    key = command(axon, "keys", "create", "--org", "spenders", "--user", "ada", "--name", "a")
    return str(key["secret"])


async def play_all(axon: RunningAxon, key: str, kinds: list[str], seed: int) -> list[Round]:
    """Play a round of each of these kinds, one after another, and say how each went."""
    played = []
    async with AsyncOpenAI(base_url=axon.base_url, api_key=key, max_retries=0) as client:
        rounds = Rounds(axon, client, random.Random(seed))
        for kind in kinds:
            one = await rounds.play(kind)
            played.append(one)
            print(len(played), "ok" if one.kept else "BROKEN", one, flush=True)
    return played
