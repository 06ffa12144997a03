"""Experiments with real journals, PostgreSQL and Valkey, and turns in the tables they read."""

import json
from collections.abc import Iterable
from typing import Any

import asyncpg

from axon.base import IdMint, SystemRandomness
from axon.experiments import Doing, Experiments, ExperimentsParts, ExperimentsWatch
from axon.flags import EvaluationContext
from tests.flags.flags_scene import ADA, FlagsNode, KeepingFlags

NAME = "warmer-words"
DOING = Doing(author=ADA, why="to see")
FLAG: dict[str, Any] = {
    "state": "ENABLED",
    "variants": {"on": {"sampling": {"temperature": 0}}, "off": {}, "third": {}},
    "defaultVariant": "off",
    "metadata": {"axon.turn": True},
}


def described(**changes: Any) -> bytes:
    """Return the description of an experiment."""
    usual = {
        "flag": "tone",
        "hypothesis": "Warm words bring people back.",
        "control": "off",
        "shares": {"off": 50, "on": 50},
        "primary": ["turns_per_unit"],
    }
    return json.dumps({**usual, **changes}).encode()


class Trying:
    """One process with experiments, on one flag."""

    def __init__(self, node: FlagsNode, process: KeepingFlags) -> None:
        self.node, self.process = node, process
        self.flags = process.flags
        mint = IdMint(node.keyring.identity, node.clock, SystemRandomness())
        self.experiments = Experiments(
            ExperimentsParts(
                postgres=process.postgres,
                journal=process.journal,
                mint=mint,
                clock=node.clock,
                flags=process.flags.changes,
            )
        )
        self.watch = ExperimentsWatch(process.postgres, node.keyring.identity, node.clock)

    async def define(self, **changes: Any) -> None:
        """Make the flag, or change it as an administrator."""
        await self.process.change(tone=json.dumps({**FLAG, **changes}).encode())

    async def started(self, **changes: Any) -> None:
        await self.experiments.describe(DOING, NAME, described(**changes))
        await self.experiments.start(DOING, NAME)

    def variant(self, user: int) -> tuple[str | None, str]:
        """Return what a user gets now, and why."""
        key = f"{user:016x}"
        context = EvaluationContext(
            now_us=self.node.clock.now_us(), targeting_key=key, user=key, placed=key
        )
        found = self.flags.flag_set.evaluate("tone", context)
        return found.variant, found.reason

    async def serve(self, turns: Iterable[dict[str, Any]]) -> None:
        """Put turns into the tables that the projector writes."""
        connection = await asyncpg.connect(self.node.database)
        version = self.flags.version_of("tone")
        try:
            for number, given in enumerate(turns):
                turn = {**_usual(self.node.clock.now_us()), **given}
                turn_id = turn["turn_id"] or f"resp_{turn['user']}_{number}"
                await _insert(connection, turn_id, turn, version)
        finally:
            await connection.close()


def _usual(now_us: int) -> dict[str, Any]:
    return {
        "turn_id": "", "user": 7, "variant": "on", "org": "org_1", "at_us": now_us,
        "reason": "SPLIT", "conversation": "", "status": "completed", "first_us": 0,
        "took_us": 1000, "cost": 0, "input": 0, "output": 0, "refused": False, "placed_as": 0,
    }  # fmt: skip


async def _insert(
    connection: asyncpg.Connection, turn_id: str, turn: dict[str, Any], version: int
) -> None:
    at_us, first = turn["at_us"], turn["first_us"]
    if turn["variant"]:
        await connection.execute(
            "INSERT INTO flags.assignments VALUES"
            " ($1, $2, 'tone', $3, $4, $5, '', 3, 'user', $6, $7, $8, $9)",
            turn["user"], turn_id, turn["variant"], turn["reason"], version, turn["org"], at_us,
            turn["placed_as"], turn["refused"],
        )  # fmt: skip
    await connection.execute(
        "INSERT INTO conversations.turns (user_id, id, org_id, conversation_id, sequence,"
        " credential_id, surface, model, status, reason, stored, input_tokens, cached_tokens,"
        " output_tokens, reasoning_tokens, upstream, accepted_us, first_token_us, completed_us)"
        " VALUES ($1, $2, $3, $4, 1, '', 'chat', 'm', $5, '', true, 0, 0, 0, 0, '', $6, $7, $8)",
        turn["user"], turn_id, turn["org"], turn["conversation"], turn["status"], at_us,
        at_us + first if first else 0, at_us + turn["took_us"],
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO metering.turns (user_id, turn_id, org_id, credential_id, model, variant,"
        " upstream, surface, status, accepted_us, input_tokens, cached_tokens,"
        " cache_write_tokens, output_tokens, reasoning_tokens, estimated, price_id, currency,"
        " cost_nano, instance, sequence) VALUES ($1, $2, $3, '', 'm', '', '', 'chat', $4, $5, $6,"
        " 0, 0, $7, 0, false, '', 'USD', $8, 'a', 1)",
        turn["user"], turn_id, turn["org"], turn["status"], at_us, turn["input"], turn["output"],
        turn["cost"],
    )  # fmt: skip
