"""The five shapes in which trainers read examples.

Sources: TRL's dataset formats (conversational preference, unpaired preference, language modelling),
OpenAI's preference fine-tuning, and the ShareGPT layout.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from axon.training.exchange import Exchange, Message

Format = Literal["sft", "sharegpt", "unpaired", "preference", "openai"]
FORMATS: tuple[Format, ...] = ("sft", "sharegpt", "unpaired", "preference", "openai")
JUDGED: frozenset[str] = frozenset({"unpaired", "preference", "openai"})
"""Formats whose examples come from what somebody thought of an answer."""

Example = dict[str, Any]


class Pair(NamedTuple):
    """Two answers to one prompt."""

    chosen: list[Message]
    rejected: list[Message]


class Judged(NamedTuple):
    """A turn, with what was thought of it."""

    exchange: Exchange
    good: bool | None
    """None where nobody said."""
    edited: str
    """The answer as it should have been; empty for none."""
    pairs: Sequence[Pair]


def examples(name: Format, judged: Judged) -> list[Example]:
    """Return what a turn gives in a format; nothing where it teaches nothing."""
    return _MAKERS[name](judged)


def _sft(judged: Judged) -> list[Example]:
    answer = _best(judged)
    if answer is None:
        return []
    messages = [*judged.exchange.prompt, *answer]
    return [{"messages": messages, **_tools(judged.exchange)}]


def _sharegpt(judged: Judged) -> list[Example]:
    answer = _best(judged)
    if answer is None:
        return []
    turns = [part for one in (*judged.exchange.prompt, *answer) for part in _spoken(one)]
    tools = judged.exchange.tools
    told = {"tools": msgspec.json.encode(tools).decode()} if tools else {}
    return [{"conversations": turns, **told}]


def _unpaired(judged: Judged) -> list[Example]:
    found = []
    if judged.edited:
        found = [(_said(judged.edited), True), (judged.exchange.answer, False)]
    elif judged.good is not None:
        found = [(judged.exchange.answer, judged.good)]
    prompt, tools = judged.exchange.prompt, _tools(judged.exchange)
    return [
        {"prompt": prompt, "completion": answer, "label": label, **tools} for answer, label in found
    ]


def _preference(judged: Judged) -> list[Example]:
    prompt, tools = judged.exchange.prompt, _tools(judged.exchange)
    return [
        {"prompt": prompt, "chosen": one.chosen, "rejected": one.rejected, **tools}
        for one in _pairs(judged)
    ]


def _openai(judged: Judged) -> list[Example]:
    exchange = judged.exchange
    asked = {"messages": exchange.prompt, "tools": exchange.tools, "parallel_tool_calls": True}
    return [
        {"input": asked, "preferred_output": one.chosen, "non_preferred_output": one.rejected}
        for one in _pairs(judged)
    ]


def _best(judged: Judged) -> list[Message] | None:
    """Return the answer to learn: the corrected one, else what nobody found bad."""
    if judged.edited:
        return _said(judged.edited)
    return None if judged.good is False else judged.exchange.answer


def _pairs(judged: Judged) -> list[Pair]:
    edited = [Pair(_said(judged.edited), judged.exchange.answer)] if judged.edited else []
    return [one for one in (*edited, *judged.pairs) if one.chosen != one.rejected]


def _said(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


def _tools(exchange: Exchange) -> Example:
    return {"tools": exchange.tools} if exchange.tools else {}


_SPEAKERS = {"system": "system", "developer": "system", "user": "human", "assistant": "gpt",
             "tool": "observation", "function": "observation"}  # fmt: skip


def _spoken(message: Message) -> list[Example]:
    spoken = []
    calls = message.get("tool_calls") or []
    if message["content"] or not calls:
        speaker = _SPEAKERS.get(message["role"], message["role"])
        spoken.append({"from": speaker, "value": message["content"]})
    for call in calls:
        value = msgspec.json.encode(call["function"]).decode()
        spoken.append({"from": "function_call", "value": value})
    return spoken


_MAKERS: dict[Format, Callable[[Judged], list[Example]]] = {
    "sft": _sft,
    "sharegpt": _sharegpt,
    "unpaired": _unpaired,
    "preference": _preference,
    "openai": _openai,
}
