"""People who chat, retry as the SDK does, and change their minds; what they were told is noted."""

import asyncio

from axon.base import AxonError
from axon.conversations import Owner, TurnNotFound, Update
from axon.turns import RunningTurn
from tests.simulation.ledger import Added, Asked, Ledger
from tests.simulation.machine import Machine
from tests.simulation.network import ConnectionBroken, Network
from tests.simulation.requests import (
    CREDENTIAL,
    ORG,
    Told,
    Wish,
    follow,
    new_item,
    take,
    told_by,
)
from tests.simulation.serving import Serving

TRIES_MAX = 8
"""Of one request; together they outlast every fault but a rare one."""

POLLS_MAX = 60
"""Of a turn in the background; then its person has lost interest."""

_LOST = (AxonError, ConnectionBroken, TimeoutError)


class Person:
    """One device of one person, in one conversation and one chain of responses."""

    def __init__(self, machine: Machine, network: Network, ledger: Ledger, name: str) -> None:
        self._machine = machine
        self._world = machine.world
        self._network = network
        self._ledger = ledger
        self._name = name
        self._user = 1000 + ord(name[0])
        self._owner = Owner(org_id=ORG, user=self._user)
        self._number = 0
        self._chain: Asked | None = None
        self.conversation_id = ""
        self.partner: Person | None = None
        """Another device of the same person, in the same conversation."""

    def _mark(self, letter: str) -> str:
        self._number += 1
        return f"<{letter}{self._name}.{self._number}>"

    async def live(self, until_s: float) -> None:
        """Do this and that, and leave at that time."""
        if self.partner is None:
            await self._begin()
        while self._world.now < until_s:
            if self.partner is not None:
                self.conversation_id = self.partner.conversation_id
            await asyncio.sleep(self._world.between(0.0, 2.5))
            deed = self._world.dice.choices(
                [self._ask, self._chain_on, self._add, self._remove, self._rename, self._delete],
                [10, 3, 2, 1, 1, 0.3],
            )[0]
            if self.conversation_id or deed == self._chain_on:
                await deed()

    async def _tries(self, number: int) -> None:
        """Wait before try `number`, as the SDK does."""
        if number:
            await asyncio.sleep(min(4.0, 0.25 * 2**number) * self._world.between(0.5, 1.0))

    @property
    def _patience_s(self) -> float:
        return self._world.between(0.3, 5.0) if self._world.chance(0.15) else 60.0

    # ---- turns ----

    async def _ask(self) -> None:
        asked = Asked(self._mark("q"), self.conversation_id, self._world.now)
        await self._turn(asked)

    async def _chain_on(self) -> None:
        before = self._chain
        if before is None or before.acknowledged_s < 0 or before.degraded:
            asked = Asked(self._mark("q"), "", self._world.now)
        else:
            (previous,) = before.turn_ids
            asked = Asked(self._mark("q"), "", self._world.now, previous=previous)
        self._chain = asked
        await self._turn(asked)

    async def _turn(self, asked: Asked) -> None:
        world = self._world
        self._ledger.asked.append(asked)
        kind = world.dice.choice(["streamed", "whole", "background"])
        key = f"key {asked.mark}" if world.chance(0.5) else None
        for attempt in range(TRIES_MAX):
            await self._tries(attempt)
            wish = Wish(
                user=self._user,
                mark=asked.mark,
                conversation_id=asked.conversation_id or None,
                previous=asked.previous or None,
                streamed=kind == "streamed",
                background=kind == "background",
                key=key,
                attempt=0 if key else attempt,
            )
            try:
                if kind == "background":
                    told = await self._in_background(asked, wish)
                else:
                    told = await self._waiting(asked, wish)
            except _LOST as error:
                self._ledger.refused(error)
                continue
            if told.status in ("completed", "cancelled", "incomplete"):
                return

    async def _waiting(self, asked: Asked, wish: Wish) -> Told:
        async def request(serving: Serving) -> Told:
            turn = await take(serving, wish)
            if isinstance(turn, RunningTurn) and wish.streamed:
                asked.accepted_ids.add(turn.head.turn_id)
            if isinstance(turn, RunningTurn) and self._world.chance(0.03):
                asked.cancelled = True
                serving.turns.cancel(turn)
            return await follow(turn)

        return await self._network.call(
            request, lambda told: self._note(asked, told), self._patience_s
        )

    async def _in_background(self, asked: Asked, wish: Wish) -> Told:
        def accepted(told: Told) -> None:
            asked.accepted_ids.add(told.turn_id)

        async def request(serving: Serving) -> Told:
            turn = await take(serving, wish)
            if isinstance(turn, RunningTurn):
                return Told(turn.head.turn_id, "in_progress", "", bool(turn.degraded))
            return told_by(turn)

        told = await self._network.call(request, accepted, self._patience_s)
        asked.degraded = asked.degraded or told.degraded
        turn_id = told.turn_id
        for _ in range(POLLS_MAX):
            if told.status != "in_progress":
                break
            await asyncio.sleep(0.3)
            try:
                told = await self._network.call(
                    lambda serving: _look(serving, turn_id), _nothing, self._patience_s
                )
            except TurnNotFound:
                self._ledger.contradictions.append(f"{asked.mark}: {turn_id} is unknown")
                raise
            except _LOST as error:
                self._ledger.refused(error)
        self._note(asked, told)
        return told

    def _note(self, asked: Asked, told: Told) -> None:
        """Note what was told, when it was told."""
        asked.degraded = asked.degraded or told.degraded
        if not told.acknowledged:
            return
        asked.turn_ids.add(told.turn_id)
        if len(asked.turn_ids) > 1 or asked.answer not in ("", told.text):
            self._ledger.contradictions.append(f"{asked.mark} is told two answers")
        if asked.acknowledged_s < 0:
            asked.acknowledged_s, asked.answer = self._world.now, told.text

    # ---- conversations and items ----

    async def _begin(self) -> None:
        for attempt in range(TRIES_MAX):
            await self._tries(attempt)
            try:
                made = await self._network.call(
                    lambda serving: serving.conversations.changing.create(
                        self._owner, CREDENTIAL, {}, []
                    ),
                    lambda made: self._created(made.conversation_id),
                )
            except _LOST as error:
                self._ledger.refused(error)
                continue
            self.conversation_id = made.conversation_id
            return

    def _created(self, conversation_id: str) -> None:
        self._ledger.created[conversation_id] = self._world.now

    async def _add(self) -> None:
        added = Added(self._mark("i"), self.conversation_id, self._world.now)
        self._ledger.added.append(added)
        key = f"key {added.mark}"

        def told(items: object) -> None:
            assert isinstance(items, tuple)
            added.item_ids |= {item.item_id for item in items}
            if added.acknowledged_s < 0:
                added.acknowledged_s = self._world.now
            if len(added.item_ids) > 1:
                self._ledger.contradictions.append(f"{added.mark} was added twice")

        for attempt in range(TRIES_MAX):
            await self._tries(attempt)
            try:
                await self._network.call(
                    lambda serving: serving.conversations.changing.append_items(
                        self._owner,
                        CREDENTIAL,
                        added.conversation_id,
                        [new_item(added.mark)],
                        serving.turns.request_key(self._user, key, added.mark.encode()),
                    ),
                    told,
                    self._patience_s,
                )
            except _LOST as error:
                self._ledger.refused(error)
                continue
            return

    async def _remove(self) -> None:
        """Delete an item that was added earlier."""
        mine = [one for one in self._ledger.added if one.conversation_id == self.conversation_id]
        mine = [one for one in mine if one.item_ids and one.mark not in self._ledger.removing]
        if not mine:
            return
        added = self._world.dice.choice(mine)
        (item_id,) = added.item_ids
        self._ledger.removing.add(added.mark)
        try:
            await self._network.call(
                lambda serving: serving.conversations.changing.delete_item(
                    self._owner, CREDENTIAL, added.conversation_id, item_id
                ),
                lambda _: self._ledger.removed.add(added.mark),
            )
        except _LOST as error:
            self._ledger.refused(error)

    async def _rename(self) -> None:
        update = Update(title=f"title {self._number}")
        try:
            await self._network.call(
                lambda serving: serving.conversations.changing.update(
                    self._owner, CREDENTIAL, self.conversation_id, update
                ),
                _nothing,
            )
        except _LOST as error:
            self._ledger.refused(error)

    async def _delete(self) -> None:
        """Delete the conversation and begin another."""
        gone = self.conversation_id
        if self.partner is not None:
            return
        self._ledger.deleting.add(gone)
        try:
            await self._network.call(
                lambda serving: serving.conversations.changing.delete(
                    self._owner, CREDENTIAL, gone
                ),
                lambda _: self._ledger.deleted.add(gone),
            )
        except _LOST as error:
            self._ledger.refused(error)
        self.conversation_id = ""
        await self._begin()


async def _look(serving: Serving, turn_id: str) -> Told:
    running = serving.turns.find(turn_id)
    if running is not None and running.end is None:
        return Told(turn_id, "in_progress", "")
    found = await serving.conversations.find_turn(ORG, turn_id)
    return told_by(found)


def _nothing(_: object) -> None:
    """Note nothing."""
