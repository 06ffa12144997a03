"""The judgement: the oracle's ledger against what the API gives back. Pure, so it is tested too."""

from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.engine import marks_in, previous_of
from tests.chaos.ledger import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredItem:
    """One item of a conversation as the API lists it, oldest first."""

    item_id: str
    author: str
    text: str


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What went wrong, one line a finding. Empty lists are the promise kept."""

    acknowledged: int = 0
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    half_stored: list[str] = field(default_factory=list)
    order_broken: list[str] = field(default_factory=list)
    never_ended: list[str] = field(default_factory=list)
    unhinted: list[str] = field(default_factory=list)
    contradicted: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    """What `axon reconcile` says of journal, PostgreSQL and Valkey, once the storm is over."""

    @property
    def kept(self) -> bool:
        """Return whether the promise was kept."""
        return not any(self.findings().values())

    def findings(self) -> dict[str, list[str]]:
        """Return the findings by kind."""
        return {
            "lost": self.lost,
            "duplicated": self.duplicated,
            "half-stored": self.half_stored,
            "order broken": self.order_broken,
            "never ended": self.never_ended,
            "errors without a hint": self.unhinted,
            "contradicted": self.contradicted,
            "stores differ": self.differing,
        }

    def __str__(self) -> str:
        counts = ", ".join(f"{kind} {len(found)}" for kind, found in self.findings().items())
        return f"acknowledged {self.acknowledged}, refused {self.refused}: {counts}"


def judge(
    attempts: list[Attempt],
    stored: dict[str, list[StoredItem]],
    endings: dict[str, str] | None = None,
) -> Verdict:
    """Compare every attempt with the conversations as they are now.

    `endings` holds the status of every response by its id, as far as the API knows it.
    """
    verdict = Verdict(
        acknowledged=sum(attempt.acknowledged for attempt in attempts),
        refused=sum(not attempt.acknowledged for attempt in attempts),
        unhinted=[f"{one.mark}: {one.unhinted}" for one in attempts if one.unhinted],
        contradicted=[f"{one.mark}: {one.contradiction}" for one in attempts if one.contradiction],
    )
    by_conversation: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_conversation.setdefault(attempt.conversation, []).append(attempt)
    for conversation, mine in by_conversation.items():
        _judge_conversation(mine, stored.get(conversation, []), verdict)
    for attempt in attempts:
        _judge_ending(attempt, (endings or {}).get(attempt.response_id), verdict)
    return verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """A question as stored, what follows it up to the next one, and the question before it."""

    mark: str
    answers: tuple[str, ...]
    previous: str


def _turns_of(items: list[StoredItem]) -> list[_Turn]:
    turns: list[_Turn] = []
    for item in items:
        if item.author == "user":
            mark = "".join(marks_in(item.text)) or item.item_id
            previous = turns[-1].mark if turns else "none"
            turns.append(_Turn(mark=mark, answers=(), previous=previous))
        elif turns:
            last = turns.pop()
            answers = (*last.answers, item.text)
            turns.append(_Turn(mark=last.mark, answers=answers, previous=last.previous))
    return turns


def _judge_conversation(attempts: list[Attempt], items: list[StoredItem], verdict: Verdict) -> None:
    turns = _turns_of(items)
    repeated = [mark for mark, count in Counter(turn.mark for turn in turns).items() if count > 1]
    verdict.duplicated += repeated
    ids = Counter(item.item_id for item in items)
    verdict.duplicated += [item_id for item_id, count in ids.items() if count > 1]
    by_mark = {turn.mark: turn for turn in turns}
    for attempt in attempts:
        turn = by_mark.get(attempt.mark)
        if attempt.acknowledged:
            _judge_acknowledged(attempt, turn, verdict)
        elif turn is not None and len(turn.answers) > 1:
            verdict.half_stored.append(f"{attempt.mark}: {len(turn.answers)} answers")
    _judge_order(attempts, turns, verdict)


def _judge_acknowledged(attempt: Attempt, turn: _Turn | None, verdict: Verdict) -> None:
    if turn is None:
        verdict.lost.append(attempt.mark)
        return
    previous = previous_of(attempt.text, attempt.mark)
    if previous is None:
        verdict.half_stored.append(f"{attempt.mark}: acknowledged {attempt.text!r}")
    elif turn.answers != (attempt.text,):
        verdict.half_stored.append(f"{attempt.mark}: stored {turn.answers!r}")
    elif previous != turn.previous and not attempt.degraded:
        verdict.order_broken.append(
            f"{attempt.mark}: answered after {previous}, stored after {turn.previous}"
        )


def _judge_ending(attempt: Attempt, status: str | None, verdict: Verdict) -> None:
    """A turn has ended for everybody; one that the client saw completed says so for ever."""
    if status in {"queued", "in_progress"}:
        verdict.never_ended.append(f"{attempt.mark}: {attempt.response_id} is {status}")
    elif attempt.acknowledged and status is not None and status != "completed":
        verdict.half_stored.append(f"{attempt.mark}: acknowledged, now {status}")


def _judge_order(attempts: list[Attempt], turns: list[_Turn], verdict: Verdict) -> None:
    """A turn that was acknowledged before another was sent stands before it."""
    by_mark = {attempt.mark: attempt for attempt in attempts if attempt.acknowledged}
    latest_sent_ns = 0
    for turn in turns:
        attempt = by_mark.get(turn.mark)
        if attempt is None:
            continue
        if attempt.ended_ns < latest_sent_ns:
            verdict.order_broken.append(f"{attempt.mark} stands behind a later turn")
        latest_sent_ns = max(latest_sent_ns, attempt.sent_ns)
