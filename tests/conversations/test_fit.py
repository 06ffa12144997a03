"""What of a history fits: newest whole turns, instructions always, calls never in halves."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from axon.conversations import HistoryItem, HistoryTurn, fit_window

KINDS = ("message", "function_call", "function_call_output", "web_search_call")


@st.composite
def items(draw: st.DrawFn, number: int) -> HistoryItem:
    kind = draw(st.sampled_from(KINDS))
    author = draw(st.sampled_from(("user", "assistant", "system", "developer")))
    fields: dict[str, str] = {}
    if kind.startswith("function"):
        author, fields = "", {"call_id": draw(st.sampled_from("abcd"))}
    return HistoryItem(
        f"item{number}",
        kind,
        author if kind == "message" else "",
        draw(st.integers(1, 20)),
        msgspec.json.encode(fields),
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[HistoryTurn, ...]:
    turns = []
    for sequence in range(draw(st.integers(0, 6))):
        count = draw(st.integers(0, 4))
        said = [draw(items(sequence * 10 + place)) for place in range(count)]
        turns.append(HistoryTurn.of(f"turn{sequence}", sequence, said))
    return tuple(turns)


def call(item: HistoryItem) -> str:
    return str(msgspec.json.decode(item.content).get("call_id", ""))


def exchanges(turn: HistoryTurn) -> list[list[HistoryItem]]:
    """Return the turn's items in parts; one begins where the user speaks after the assistant."""
    parts: list[list[HistoryItem]] = [[]]
    for item in turn.items:
        if parts[-1] and item.author == "user" and parts[-1][-1].author == "assistant":
            parts.append([])
        parts[-1].append(item)
    return parts


def flat(history: tuple[HistoryTurn, ...]) -> list[HistoryItem]:
    return [item for turn in history for item in turn.items]


def needed(history: tuple[HistoryTurn, ...]) -> int:
    """Return the tokens that are kept whatever the budget: instructions and waiting calls."""
    waiting = history[-1].calls if history else frozenset()
    newest = history[-1].items if history else ()
    return sum(item.model_tokens for item in flat(history) if item.pinned) + sum(
        item.model_tokens
        for item in newest
        if item.kind == "function_call" and call(item) in waiting
    )


@given(histories(), st.integers(0, 200))
def test_it_fits_and_keeps_the_order(history: tuple[HistoryTurn, ...], budget: int) -> None:
    kept = fit_window(history, budget).items
    assert sum(item.model_tokens for item in kept) <= max(budget, needed(history))
    everything = flat(history)
    places = [next(i for i, one in enumerate(everything) if one is item) for item in kept]
    assert places == sorted(places)


@given(histories(), st.integers(0, 200))
def test_instructions_are_always_kept(history: tuple[HistoryTurn, ...], budget: int) -> None:
    kept = fit_window(history, budget).items
    pinned = [item for item in flat(history) if item.author in ("system", "developer")]
    assert [item for item in kept if item.pinned] == pinned


@given(histories(), st.integers(0, 200))
def test_calls_come_with_their_outputs(history: tuple[HistoryTurn, ...], budget: int) -> None:
    kept = fit_window(history, budget).items
    asked = {call(item) for item in kept if item.kind == "function_call"}
    answered = {call(item) for item in kept if item.kind == "function_call_output"}
    waiting = history[-1].calls if history else frozenset()
    assert answered <= asked | waiting
    assert asked - answered <= waiting


@given(histories(), st.integers(0, 200))
def test_turns_are_dropped_oldest_first(history: tuple[HistoryTurn, ...], budget: int) -> None:
    fitted = fit_window(history, budget)
    kept = {item.item_id for item in fitted.items}
    plain = [
        [item for item in said if item.kind == "message" and not item.pinned]
        for turn in history
        for said in exchanges(turn)
    ]
    shown = [[item.item_id in kept for item in turn] for turn in plain if turn]
    assert all(len(set(turn)) == 1 for turn in shown)  # whole exchanges
    flags = [turn[0] for turn in shown]
    assert flags == sorted(flags)  # and the newest ones
    if fitted.dropped_turns == 0:
        assert list(fitted.items) == flat(history)


@given(histories(), st.integers(0, 200))
def test_the_next_older_turn_would_not_fit(history: tuple[HistoryTurn, ...], budget: int) -> None:
    messages = tuple(
        HistoryTurn.of(
            turn.turn_id, turn.sequence, [one for one in turn.items if one.kind == "message"]
        )
        for turn in history
    )
    fitted = fit_window(messages, budget)
    if fitted.dropped_turns:
        kept = {item.item_id for item in fitted.items}
        dropped = [
            turn for turn in messages if any(item.item_id not in kept for item in turn.items)
        ]
        left_out = [item for item in dropped[-1].items if item.item_id not in kept]
        assert sum(item.model_tokens for item in (*fitted.items, *left_out)) > budget


def test_a_pair_across_turns_is_cut_cleanly() -> None:
    def item(kind: str, name: str) -> HistoryItem:
        return HistoryItem(name, kind, "", 10, msgspec.json.encode({"call_id": "c"}))

    said = HistoryItem("said", "message", "assistant", 10, b"{}")
    history = (
        HistoryTurn.of("1", 1, [item("function_call", "asked")]),
        HistoryTurn.of("2", 2, [item("function_call_output", "answered"), said]),
    )
    assert fit_window(history, 30).dropped_turns == 0
    fitted = fit_window(history, 25)
    assert ([one.item_id for one in fitted.items], fitted.dropped_turns) == (["said"], 2)
    waiting = fit_window(history[:1], 0)
    assert [one.item_id for one in waiting.items] == ["asked"]
