"""What this process tells Valkey of its counters, and asks it: all of a turn in one round trip."""

import asyncio
from collections.abc import Sequence

from axon.limits.alone import Want
from axon.limits.book import Counter, OrgBook
from axon.limits.counters import ADMITTED, LEASE_MS, REFUSED, SLICED, Counters
from axon.limits.errors import LimitsUnavailable
from axon.limits.own_turns import OwnTurns
from axon.limits.parts import LimitsParts
from axon.limits.rules import AMOUNT_MAX
from axon.limits.store import read_counts
from axon.stores import StoreError, ValkeyAway, ValkeyReply

RENEW_EVERY_S = 1.0
"""How often Valkey is told that this process lives; a sibling's flush is noticed as soon."""

TRIES_MAX = 10
"""Tries to admit: one after telling Valkey what it had lost, one without our own slice, the others
while the other processes give their slices back, as each does when it next tells that it lives."""

SLICES_BACK_S = 0.25
"""Between two such tries."""

OTHERS_TELL_S = 1.5 * RENEW_EVERY_S
"""After Valkey has lost everything nobody is admitted until every process has told it anew."""

SLICE_PART = 8
"""A process's slice is an eighth of what is left, and nothing once that is less than one turn."""

LEASE_MARGIN_S = 60.0
"""Given up before Valkey forgets it: the two clocks run apart."""


class SharedCounters:
    """This process's part of the counters that all processes share."""

    def __init__(self, parts: LimitsParts, own: OwnTurns) -> None:
        """`own` says what the process's ended turns used that PostgreSQL does not have."""
        self._parts = parts
        self._clock = parts.clock
        self._own = own
        self._counters = Counters(parts.valkey, parts.instance)

    async def ask(self, book: OrgBook, wanted: Sequence[tuple[Want, int]]) -> list[int]:
        """Return what was used before, having held back; tell Valkey first what it lacks.

        `wanted` come with their ceilings. Raises ValkeyAway, LimitsUnavailable.
        """
        asked = [(want.counter, ceiling, want.hold.amount) for want, ceiling in wanted]
        counters = [counter for counter, _, _ in asked]
        lost = ""
        if not self._parts.valkey.available:
            raise ValkeyAway("and PostgreSQL need not be asked for what it would be told")
        for number in range(TRIES_MAX):
            if lost or book.lock.locked() or any(map(book.lacks, counters)):
                await self._tell(book, counters, lost)
            epoch, sent_s = book.epoch, self._clock.monotonic()
            outcome, used = await self._answer(book, asked)
            if outcome in (ADMITTED, REFUSED):
                book.lease_until_s = sent_s + LEASE_MS / 1000 - LEASE_MARGIN_S
                for counter, (total, settled) in zip(counters, used, strict=True):
                    counter.used_by_all, counter.settled_by_all = total, settled
                    if outcome == ADMITTED:
                        counter.told = epoch
                return [total for total, _ in used]
            if outcome == SLICED:
                await self._slice(book, counters, part=0)
                if number:
                    await asyncio.sleep(SLICES_BACK_S)
            else:
                lost = epoch
        raise LimitsUnavailable("what is left is set aside for other processes")

    def settle(self, book: OrgBook, settled: Sequence[tuple[Counter, int, int]]) -> None:
        """Give back what was held and count what was used: counters with the two amounts.

        Returns at once. What Valkey does not confirm, it is told again before it is asked next.
        """
        epoch = book.epoch
        try:
            reply = self._counters.settle(book, settled)
        except StoreError:
            book.epoch = ""
            return
        reply.add_done_callback(lambda done: _distrust_unless_settled(book, epoch, done))

    async def renew(self, book: OrgBook) -> None:
        """Tell Valkey that this process lives, and again what it lost; have slices set aside.

        Raises StoreError, LimitsUnavailable.
        """
        if not book.epoch:
            await self._tell(book, (), "")
        await self._slice(book, list(book.counters.values()), SLICE_PART)
        if not book.epoch:
            await self._tell(book, (), "")

    async def rest(self, book: OrgBook) -> None:
        """Have nothing set aside any more; nothing is asked once that is so. Raises as `renew`."""
        if not any(one.slice for one in book.counters.values()):
            return
        if book.epoch:
            await self._slice(book, list(book.counters.values()), part=0)
        else:
            await self._tell(book, (), "")

    async def _answer(
        self, book: OrgBook, asked: Sequence[tuple[Counter, int, int]]
    ) -> tuple[int, list[tuple[int, int]]]:
        """Return what Valkey says; without an answer it may have held back or not."""
        book.asking += 1
        try:
            return await self._counters.admit(book, asked)
        except BaseException:
            book.epoch = ""
            raise
        finally:
            book.asking -= 1
            book.answered.set()

    async def _tell(self, book: OrgBook, counters: Sequence[Counter], lost: str) -> None:
        """Set this process's part of the counters in Valkey; of all when it has lost any.

        Nobody is admitted meanwhile, and what is set is exact. `lost` is an epoch that Valkey does
        not know any more. Raises ValkeyAway, LimitsUnavailable.
        """
        async with book.lock:
            while book.asking:
                book.answered.clear()
                await book.answered.wait()
            if lost == book.epoch:
                book.epoch = ""
            told = [one for one in counters if book.lacks(one)]
            if not book.epoch:
                told = list({one.key: one for one in (*counters, *book.counters.values())}.values())
            if not told:
                return
            counted = await read_counts(
                self._parts.postgres,
                book.org_id,
                self._parts.instance,
                [one for one in told if one.durable],
            )
            for one in told:
                if not one.loaded:
                    own = counted.own.get(one.key, 0)
                    one.used = own + self._own.used(book.org_id, one, counted.projected)
                    one.loaded, one.loaded_through = True, counted.projected
            epoch = book.epoch or self._parts.randomness.bytes(8).hex()
            for one in told:
                one.told = epoch
            book.epoch = epoch
            try:
                set_there = self._counters.set(book, told, counted.others)
                for one in told:
                    one.slice = 0
                known = await set_there
                before = book.was_told or counted.own or counted.others
                if not known and before and self._parts.processes > 1:
                    await asyncio.sleep(OTHERS_TELL_S)
                book.was_told = True
            except BaseException:
                book.epoch = ""
                raise

    async def _slice(self, book: OrgBook, counters: Sequence[Counter], part: int) -> None:
        """Set aside what may be given away without Valkey: a `part`-th of what is left; 0: none.

        What is known here to be set aside is never more than Valkey sets aside.
        """
        async with book.slicing:
            epoch, sent_s = book.epoch, self._clock.monotonic()
            wanted = []
            for one in counters:
                if one.rule is None or not one.rule.durable or one.told != epoch or not epoch:
                    continue
                ceiling = one.rule.ceiling
                share = (ceiling - one.used_by_all) // part if part and ceiling < AMOUNT_MAX else 0
                share = share if share >= one.largest else 0
                one.slice = min(one.slice, share)
                wanted.append((one, ceiling, share))
            if not epoch:
                return
            given = await self._counters.renew(book, wanted)
            if book.epoch != epoch:
                return
            if given is None:
                book.epoch = ""
                return
            book.lease_until_s = sent_s + LEASE_MS / 1000 - LEASE_MARGIN_S
            for (one, _, _), (share, used) in zip(wanted, given, strict=True):
                one.slice, one.used_by_all = share, used


def _distrust_unless_settled(
    book: OrgBook, epoch: str, reply: "asyncio.Future[ValkeyReply]"
) -> None:
    """Tell Valkey everything again before it is asked next, unless it has counted this."""
    settled = not reply.cancelled() and reply.exception() is None and reply.result() == 1
    if not settled and book.epoch == epoch:
        book.epoch = ""
