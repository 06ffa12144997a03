"""The engine's side of the journal's turns, from the fake upstream's own ledger."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from axon.inference import estimate_tokens
from axon.records import TurnCompleted
from tests.failures.ledger_books import Ended, Journal, Spent, Tariff, Turns, spent_of
from tests.failures.ledger_load import MARK, Asked
from tests.fake_reply import cut

_RUN = "chatcmpl-fake-"
"""Before the number of a run, in the ids the fake upstream gives."""


@dataclass(slots=True, kw_only=True)
class Engine:
    """What the engine's ledger says of the turns, and what cannot be."""

    turns: Turns = field(default_factory=dict)
    estimated: int = 0
    nameless: int = 0
    """Turns that ended before they knew their run: a death or a cancel came first."""
    forgotten: int = 0
    """Runs that said their usage and that no turn names."""
    wrong: list[str] = field(default_factory=list)


def engine_book(
    journal: Journal, runs: list[dict[str, Any]], asked: list[Asked], tariffs: dict[str, Tariff]
) -> Engine:
    """Return the engine's side of the journal's turns."""
    book, by_id = Engine(), {f"{_RUN}{run['number']}": run for run in runs}
    by_mark: dict[str, list[dict[str, Any]]] = {}
    for one in runs:
        by_mark.setdefault(_mark_of(one), []).append(one)
    marks = {one.turn_id: one.mark for one in asked}
    answered: dict[str, set[str]] = {}
    for turn_id, record in journal.ended.items():
        run, tariff = by_id.get(record.upstream_id), tariffs[record.head.org_id]
        book.nameless += not record.upstream_id
        if run is not None:
            answered.setdefault(_mark_of(run), set()).add(turn_id)
        tokens = spent_of(record)[2:7]
        if record.usage.estimated:
            book.estimated += 1
            heard = [run] if run is not None else by_mark.get(marks.get(turn_id, ""), [])
            book.wrong += [f"{turn_id} {why}" for why in _unjust(record, heard)]
        elif run is None or run["usage"] is None:
            book.wrong.append(f"{turn_id} has a usage that no engine said")
            continue
        else:
            tokens = _said(run["usage"])
        if record.status == "failed" and not tokens[0] + tokens[3]:
            book.turns[turn_id] = Spent(record.head.org_id, "", *tokens, 0)
        else:
            book.turns[turn_id] = tariff.cost(record.head.org_id, tokens)
    book.wrong += [f"{mark} is {turns}" for mark, turns in answered.items() if len(turns) > 1]
    kept = {record.upstream_id for record in journal.ended.values()}
    book.forgotten = sum(
        run["usage"] is not None for name, run in by_id.items() if name not in kept
    )
    return book


def told_otherwise(journal: Journal, asked: list[Asked]) -> list[str]:
    """Return which clients have read an answer to its end of which the journal says otherwise."""
    wrong = [f"{turn_id} never ended" for turn_id in sorted(journal.open)]
    for one in asked:
        if one.told is None:
            continue
        record = journal.ended.get(one.turn_id)
        known = record and (record.usage.input_tokens, record.usage.output_tokens)
        if one.told != known:
            wrong.append(f"{one.turn_id} is {known}; its client was told {one.told}")
    return wrong


def _said(usage: dict[str, Any]) -> tuple[int, int, int, int, int]:
    into, out = usage["prompt_tokens_details"], usage.get("completion_tokens_details", {})
    return (
        usage["prompt_tokens"], into["cached_tokens"], into.get("cache_write_tokens", 0),
        usage["completion_tokens"], out.get("reasoning_tokens", 0),
    )  # fmt: skip


def _unjust(record: Ended, runs: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with an estimate, of a turn that these runs were of."""
    wrong = []
    if isinstance(record, TurnCompleted) and any(run["usage"] for run in runs):
        wrong.append("is estimated, and the engine has said it")
    generated = max((estimate_tokens(_generated(run)) for run in runs), default=0)
    if runs and record.usage.output_tokens > generated:
        wrong.append(f"is {record.usage.output_tokens} tokens, and {generated} were generated")
    return wrong


def _generated(run: dict[str, Any]) -> str:
    """Return the text that the engine had sent of an answer, whole when it was not streamed."""
    (count,) = re.findall(r"\[\[chunks:(\d+)\]\]", _question_of(run))
    text = " ".join(f"tok{number}" for number in range(int(count)))
    if not run["body"].get("stream"):
        return text
    return "".join(cut(text, int(count))[: run["pieces"]])


def _question_of(run: dict[str, Any]) -> str:
    return json.dumps(run["body"]["messages"][-1]["content"])


def _mark_of(run: dict[str, Any]) -> str:
    (mark,) = MARK.findall(_question_of(run))
    return str(mark)
