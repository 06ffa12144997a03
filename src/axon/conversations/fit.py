"""Choosing what of a history fits into a model's context window."""

from collections.abc import Sequence
from itertools import chain, pairwise

import msgspec

from axon.conversations.history import HistoryItem, HistoryTurn, answer_of, call_of


class FittedWindow(msgspec.Struct, frozen=True):
    """The items to send, oldest first, and how many turns had to give something up for them."""

    items: tuple[HistoryItem, ...]
    dropped_turns: int


def fit_window(history: Sequence[HistoryTurn], budget_tokens: int) -> FittedWindow:
    """Return the newest whole turns that fit into `budget_tokens` model tokens.

    Items by system and developer authors are always kept, whatever they weigh. A call never goes
    without its output nor an output without its call; only the calls of the newest turn that
    nobody has answered yet are kept alone, because the request at hand is to answer them.
    Pure; when everything fits and no call crosses turns, it looks at turns only, not at items.
    """
    if not history:
        return FittedWindow((), 0)
    tokens = 0
    calls = False
    items: list[HistoryItem] = []
    for turn in history:
        tokens += turn.model_tokens
        calls = calls or bool(turn.calls or turn.answers)
        items += turn.items
    if tokens <= budget_tokens:
        return _whole_pairs(history, 0) if calls else FittedWindow(tuple(items), 0)
    history = [exchange for turn in history for exchange in _exchanges(turn)]
    return _whole_pairs(history, _first_kept(history, budget_tokens))


def _exchanges(turn: HistoryTurn) -> list[HistoryTurn]:
    """Return the turn in parts that each begin with what the person said.

    A turn is one exchange; what was copied from another conversation, or made with its items,
    comes as one turn and is many, and all of it would have to go together.
    """
    starts = [
        place
        for place in range(1, len(turn.items))
        if turn.items[place].author == "user" and turn.items[place - 1].author == "assistant"
    ]
    if not starts:
        return [turn]
    bounds = pairwise([0, *starts, len(turn.items)])
    return [
        HistoryTurn.of(turn.turn_id, turn.sequence, turn.items[start:end]) for start, end in bounds
    ]


def _first_kept(history: Sequence[HistoryTurn], budget_tokens: int) -> int:
    """Return the index of the oldest turn that is kept whole; the history's length for none."""
    newest = history[-1]
    waiting = sum(item.model_tokens for item in newest.items if call_of(item) in newest.calls)
    left = budget_tokens - waiting - sum(turn.pinned_tokens for turn in history)
    first = len(history)
    for turn in reversed(history):
        left -= turn.model_tokens - turn.pinned_tokens
        if turn is newest:
            left += waiting
        if left < 0:
            break
        first -= 1
    return first


def _whole_pairs(history: Sequence[HistoryTurn], first: int) -> FittedWindow:
    waiting = history[-1].calls
    chosen = [turn.items if place >= first else _always(turn) for place, turn in enumerate(history)]
    if first == len(history):
        chosen[-1] = [one for one in history[-1].items if one.pinned or call_of(one) in waiting]
    asked = {call_of(item) for items in chosen for item in items}
    answered = {answer_of(item) for items in chosen for item in items}
    whole = (asked & answered) | waiting | {""}
    kept = [
        [item for item in items if (call_of(item) or answer_of(item)) in whole] for items in chosen
    ]
    dropped = sum(len(items) < len(turn.items) for items, turn in zip(kept, history, strict=True))
    return FittedWindow(tuple(chain.from_iterable(kept)), dropped)


def _always(turn: HistoryTurn) -> Sequence[HistoryItem]:
    return [item for item in turn.items if item.pinned]
