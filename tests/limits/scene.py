"""Processes that admit turns: real journals, PostgreSQL and Valkey, and an account of their own."""

import asyncio
from dataclasses import dataclass

import asyncpg

from axon.limits import Asked, Limits, LimitsAdmin, LimitsProjector, Rule
from axon.projection import Positioned
from axon.records import (
    Hold,
    Record,
    TokenUsage,
    TurnAccepted,
    TurnCompleted,
    TurnHead,
    decode,
)
from tests.conversations.scene import ORG, Node, Process

USER = 7
CREDENTIAL = "key_a"


@dataclass
class Running:
    """An admitted turn."""

    head: TurnHead


class Admitting:
    """One process; `tests` stands for what the room `turns` does."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.admin = LimitsAdmin(process.postgres)
        self._turns = 0

    @classmethod
    async def started(cls, node: Node, instance: str = "a") -> "Admitting":
        return cls(await node.process(instance))

    @property
    def limits(self) -> Limits:
        return self.process.limits

    async def close(self) -> None:
        await self.process.close()

    async def rule(self, rule: Rule) -> None:
        """Define a rule, known here at once."""
        await self.admin.set_rule(rule)
        await self.limits.refresh()

    def asked(
        self, tokens: int = 1, *, org_id: str = ORG, tier: str = "", user: int = USER
    ) -> Asked:
        return Asked(
            org_id=org_id,
            tier=tier,
            user=user,
            credential_id=CREDENTIAL,
            model="small",
            at_us=self.process.node.clock.now_us(),
            tokens=tokens,
        )

    async def begin(self, tokens: int = 1, *, org_id: str = ORG) -> Running:
        """Admit a turn and journal its acceptance; raises what admission does."""
        asked = self.asked(tokens, org_id=org_id)
        admission = await self.limits.admit(asked)
        head = self.head(asked, admission.holds if admission else [])
        await self.process.append(
            TurnAccepted(
                head=head,
                request=b"",
                input=[],
                streamed=True,
                background=False,
                input_tokens_reserved=tokens,
                output_tokens_reserved=0,
                idempotency_mac=b"",
                body_mac=b"",
                attempt=0,
                assignments=[],
            )
        )
        if admission:
            self.limits.began(head)
        return Running(head)

    async def end(self, running: Running, tokens: int) -> None:
        """Journal the end of a turn that used so many tokens, and settle it."""
        ended = ended_turn(running.head, tokens)
        location = await self.process.append(ended)
        self.limits.settle(ended, location.sequence)

    async def used(self, rule_id: str) -> int:
        """Return what the counter of a rule says that is used and held back."""
        states = await self.limits.states(self.asked(0))
        return next(state.used for state in states if state.rule_id == rule_id)

    def head(self, asked: Asked, holds: list[Hold]) -> TurnHead:
        return TurnHead(
            turn_id=self.process.mint.mint("chatcmpl", asked.org_id, asked.user),
            org_id=asked.org_id,
            user=asked.user,
            credential_id=asked.credential_id,
            conversation_id="",
            sequence=0,
            fence=0,
            surface="chat",
            model=asked.model,
            accepted_us=asked.at_us,
            implicit=False,
            stored=False,
            holds=holds,
        )

    def records(self) -> list[tuple[int, Record]]:
        return [
            (entry.location.sequence, decode(entry.kind, entry.payload))
            for entry in self.process.journal.read(0)
        ]

    def journaled(self) -> list[Record]:
        """Return the records of the journal, as a recovery reads them."""
        return [record for _, record in self.records()]

    async def project(self) -> int:
        """Bring PostgreSQL up to date as the projector does; return how far."""
        records = [
            Positioned(instance=self.process.instance, sequence=sequence, record=record)
            for sequence, record in self.records()
        ]
        connection = await asyncpg.connect(self.process.node.database)
        try:
            async with connection.transaction():
                await LimitsProjector().apply(connection, records)
                through = records[-1].sequence if records else 0
                await connection.execute(
                    "INSERT INTO projection.cursors (instance, sequence) VALUES ($1, $2)"
                    " ON CONFLICT (instance) DO UPDATE SET sequence = EXCLUDED.sequence",
                    self.process.instance,
                    through,
                )
        finally:
            await connection.close()
        return through


class LaterClock:
    """The machine's clock, some time ahead."""

    def __init__(self, node: Node) -> None:
        self._clock = node.clock
        self.ahead_us = 0

    def now_us(self) -> int:
        return self._clock.now_us() + self.ahead_us

    def monotonic(self) -> float:
        return self._clock.monotonic() + self.ahead_us / 10**6


def ended_turn(head: TurnHead, tokens: int) -> TurnCompleted:
    """Return the end of a turn that used so many tokens."""
    return TurnCompleted(
        head=head,
        input=[],
        output=[],
        answer=b"",
        status="completed",
        usage=TokenUsage(output_tokens=tokens),
        upstream="engine",
        upstream_id="",
        completed_us=head.accepted_us + 1,
        first_token_us=0,
        assignments=[],
    )


def tokens_a_month(amount: int) -> Rule:
    """Return the rule of a monthly budget of tokens."""
    return Rule(rule_id="budget", measure="tokens", period="month", amount=amount, org_id=ORG)


async def all_done(*work: object) -> list[object]:
    """Return what each came to, errors among them."""
    return list(await asyncio.gather(*work, return_exceptions=True))  # type: ignore[call-overload]
