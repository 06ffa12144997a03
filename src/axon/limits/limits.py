"""START HERE: admitting turns within the limits, and settling what they used.

A turn holds its worst case back from every rule that applies before it begins, and gives back what
it did not use when it ends. What is held back is part of the turn's record (TurnHead.holds), so
what a crash leaves open is known from the journal: the counters in Valkey are a copy that each
process sets for its own turns, and never a sum that anybody adds to what others said.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from axon.base import TaskOwner
from axon.limits.alone import Want, admit_alone
from axon.limits.book import OrgBook, Spent, spent_by
from axon.limits.calendar import LASTS_US
from axon.limits.counters import LEASE_MS
from axon.limits.errors import LimitReached, LimitsUnavailable
from axon.limits.overage import hold_of, with_overage
from axon.limits.own_turns import OwnTurns
from axon.limits.parts import LimitsParts
from axon.limits.replica import RulesReplica
from axon.limits.rules import AMOUNT_MAX, KINDS, MEASURES, QueueShare, Rule
from axon.limits.shared_counters import RENEW_EVERY_S, SharedCounters
from axon.limits.values import Admission, Asked, RuleState
from axon.records import Hold, Record, TurnCompleted, TurnHead, TurnInterrupted
from axon.stores import StoreError
from axon.telemetry import counter, log

BOOKS_MAX = 100_000
"""Organizations with limits that one process serves in the life of a period; one more is a 503."""

_refused = counter("axon_limits_refused_total", "Turns refused by a limit.", ("measure",))
_exceeded = counter(
    "axon_limits_exceeded_total", "Turns admitted beyond a limit that allows it.", ("kind",)
)
for _measure in MEASURES:
    _refused.labels(_measure)
for _kind in KINDS:
    _exceeded.labels(_kind)
_alone = counter("axon_limits_alone_total", "Turns admitted or refused without Valkey.")


class Limits:
    """Admission for one process; for one event loop."""

    def __init__(self, parts: LimitsParts) -> None:
        """Both stores are started and stopped by their owner; before `valkey.start`."""
        self._parts = parts
        self._clock = parts.clock
        self._replica = RulesReplica(parts.postgres, parts.snapshot)
        self._own = OwnTurns(parts.projected)
        self._shared = SharedCounters(parts, self._own)
        self._books: dict[str, OrgBook] = {}
        self._tasks = TaskOwner(_task_failed)

    async def start(self) -> None:
        """Learn the rules, hold back what recovered turns hold, and follow both stores.

        Call it when the journal was read (`note`); never fails for an outage.
        """
        await self._replica.load()
        await self.refresh()
        for head in self._own.running():
            self._hold(head)
        self._tasks.start(self._poll(), "limits.poll")
        self._tasks.start(self._keep_renewing(), "limits.renew")

    async def stop(self) -> None:
        """Stop following; what is held back stays so until its lease ends."""
        await self._tasks.cancel()

    async def refresh(self) -> bool:
        """Take over changed rules; return False when PostgreSQL did not answer."""
        try:
            await self._replica.refresh()
        except LimitsUnavailable:
            return False
        return True

    def note(self, record: Record, sequence: int) -> None:
        """Know a record of the process's journal from before; call for each, before `start`."""
        self._own.note(record, sequence)

    def concern(self, org_id: str, tier: str) -> bool:
        """Return whether any rule may apply to an organization: a look-up, on every turn's way.

        Raises LimitsUnavailable when no rule is known yet.
        """
        return bool(self._replica.rules.of_organization(org_id, tier))

    def time_zone(self, org_id: str) -> str:
        """Return the zone whose days and months are the organization's.

        Raises LimitsUnavailable when nobody has told it yet.
        """
        return self._replica.rules.time_zone(org_id)

    def share(self, tier: str) -> QueueShare:
        """Return how the jobs of a tier wait for slots: a look-up, on every turn's way."""
        return self._replica.share(tier)

    async def admit(self, asked: Asked) -> Admission | None:
        """Hold back the most that the turn can use; None when no rule applies to it.

        One round trip to Valkey. Raises LimitReached, and LimitsUnavailable when it cannot be told.
        """
        rules = self._replica.rules.of_turn(asked)
        if not rules:
            return None
        if self._own.full:
            raise LimitsUnavailable("too many turns that ended are not in PostgreSQL yet")
        asked = with_overage(asked, rules)
        book, wanted = self._wanted(asked, rules)
        try:
            used = await self._shared.ask(book, [(want, want.rule.ceiling) for want in wanted])
        except (StoreError, LimitsUnavailable):
            _alone.inc()
            now = self._clock.now_us(), self._clock.monotonic()
            used = admit_alone(book, wanted, self._parts.processes, now)
            book.epoch = ""
        states = tuple([want.state(one) for want, one in zip(wanted, used, strict=True)])
        self._refuse_beyond(wanted, states)
        for want in wanted:
            want.counter.held += want.hold.amount
            want.counter.largest = max(want.counter.largest, want.hold.amount)
        for state in states:
            if state.exceeded:
                _exceeded.labels(state.kind).inc()
        return Admission(
            holds=[hold_of(want) for want in wanted],
            states=states,
            at_us=asked.at_us,
            cost_nano=asked.cost_nano,
        )

    def began(self, head: TurnHead) -> None:
        """Know that the admitted turn is durable."""
        self._own.began(head)

    def give_back(self, org_id: str, admission: Admission) -> None:
        """Give back what was held for a turn that was not accepted after all."""
        self._settle(org_id, admission.holds, None, 0)

    def settle(self, ended: TurnCompleted | TurnInterrupted, sequence: int) -> None:
        """Count what a turn used, and give back the rest; its end is durable as that entry.

        Returns at once: Valkey is told with the next write to it."""
        head = ended.head
        if not head.holds:
            return
        spent = spent_by(ended)
        self._own.ended(head, spent, sequence)
        self._settle(head.org_id, head.holds, spent, sequence)

    async def states(self, asked: Asked) -> tuple[RuleState, ...]:
        """Return how the rules stand that apply; raises LimitsUnavailable."""
        rules = self._replica.rules.of(asked)
        if not rules:
            return ()
        book, wanted = self._wanted(asked, rules)
        wanted = [msgspec.structs.replace(want, hold=_nothing_of(want.hold)) for want in wanted]
        try:
            used = await self._shared.ask(book, [(want, AMOUNT_MAX) for want in wanted])
        except StoreError as error:
            raise LimitsUnavailable(str(error)) from error
        return tuple([want.state(one) for want, one in zip(wanted, used, strict=True)])

    def outstanding(self, org_id: str) -> dict[tuple[str, int], int]:
        """Return what running turns hold back of each counter; for comparing with the journal."""
        book = self._books.get(org_id, OrgBook(org_id))
        return {key: one.held for key, one in book.counters.items() if one.held}

    def _wanted(self, asked: Asked, rules: Sequence[Rule]) -> tuple[OrgBook, list[Want]]:
        book = self._book(asked.org_id)
        book.asked_s = self._clock.monotonic()
        zone = self._replica.rules.time_zone(asked.org_id)
        wanted = []
        for rule in rules:
            hold, period = rule.hold(asked, zone), rule.when(asked, zone)
            one = book.counter(hold, period.end_us or asked.at_us)
            one.rule = rule
            if not rule.period:
                one.expires_ms = max(one.expires_ms, asked.at_us // 1000 + 2 * LEASE_MS)
            wanted.append(Want(rule, hold, one, period.end_us))
        return book, wanted

    def _book(self, org_id: str) -> OrgBook:
        book = self._books.get(org_id)
        if book is None:
            if len(self._books) >= BOOKS_MAX:
                raise LimitsUnavailable("too many organizations with limits")
            book = self._books[org_id] = OrgBook(org_id)
            book.asked_s = self._clock.monotonic()
        return book

    def _hold(self, head: TurnHead) -> None:
        """Hold back what a turn of the life before this one still holds."""
        book = self._book(head.org_id)
        for hold in head.holds:
            book.counter(hold, hold.start_us + LASTS_US[hold.period]).held += hold.amount

    def _settle(self, org_id: str, holds: Sequence[Hold], spent: Spent | None, at: int) -> None:
        """Give back what was held, and count what was `spent` by the end in entry `at`."""
        book = self._book(org_id)
        settled = []
        for hold in holds:
            one = book.counters.get((hold.bucket, hold.start_us))
            if one is None:
                continue  # it is long past
            used = 0
            if spent is not None and one.loaded and (not one.durable or at > one.loaded_through):
                used = spent.of(hold)
            one.held -= hold.amount
            one.used += used
            if book.epoch and one.told == book.epoch:
                settled.append((one, hold.amount, used))
            elif one.durable and one.loaded:
                one.slice = max(0, one.slice + hold.amount - used)
        if settled:
            self._shared.settle(book, settled)

    def _refuse_beyond(self, wanted: Sequence[Want], states: tuple[RuleState, ...]) -> None:
        beyond = [
            state
            for want, state in zip(wanted, states, strict=True)
            if state.used + state.asked > want.rule.ceiling
        ]
        if beyond:
            last = max(beyond, key=lambda state: state.resets_us)
            _refused.labels(last.measure).inc()
            raise LimitReached(last, states, self._clock.now_us())

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._parts.poll_every_ms / 1000)
            await self.refresh()

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            await self.renew()

    async def renew(self) -> None:
        """Tell Valkey that this process lives, and again what it lost; have slices set aside.

        Of an organization that rests, PostgreSQL has all that would have to be told.
        """
        self._own.prune()
        untold = self._own.organizations()
        now_us, now_s = self._clock.now_us(), self._clock.monotonic()
        for book in list(self._books.values()):
            book.forget_past(now_us)
            if not book.counters:
                del self._books[book.org_id]
                continue
            try:
                if book.rests(now_s) and book.org_id not in untold:
                    await self._shared.rest(book)
                else:
                    await self._shared.renew(book)
            except (StoreError, LimitsUnavailable):
                continue  # whoever asks is told what that means, and the next round tries again


def _nothing_of(hold: Hold) -> Hold:
    return msgspec.structs.replace(hold, amount=0)


def _task_failed(name: str, error: BaseException) -> None:
    log.error("limits.task-failed", f"{name} ended: {error!r}")
