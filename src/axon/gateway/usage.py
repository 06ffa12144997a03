"""What was used and what it cost: OpenAI's organization usage and costs, and a person's own.

Source: OpenAI's API reference for organization usage; openai-python 3.54.0 is the reference client.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from axon.base import MICROS_PER_SECOND
from axon.gateway.call import Call
from axon.gateway.conversation_object import person_of
from axon.gateway.door import Door
from axon.gateway.problem import refuse
from axon.gateway.usage_shapes import (
    completions_results,
    costs_results,
    person_results,
    without_money,
)
from axon.metering import Dimension, UsageAnswer, UsageQuestion, UsageSum, Width, zone_named

_SECONDS_DIGITS_MAX = 11
"""Until the year 5138."""

_CHOICES_MAX = 100
"""Of keys, models or users that one request may name."""

PAGE_SUMS_MAX = 2_500
"""Of one page, which ends with the bucket before they are more: it takes some 10 ms to decode and
encode, and no turn of the process is served meanwhile."""

_USER_DIGITS = 16
_DAY_S = 86_400


class _WidthAsked(NamedTuple):
    """A width of buckets: its name in metering, its length at most, and OpenAI's bounds."""

    width: Width
    seconds: int
    default: int
    most: int


_MINUTE = _WidthAsked("minute", 60, 60, 1440)
_HOUR = _WidthAsked("hour", 3600, 24, 168)
_DAY = _WidthAsked("day", _DAY_S, 7, 31)
_COMPLETIONS = {"1m": _MINUTE, "1h": _HOUR, "1d": _DAY}
_COSTS = {"1d": _WidthAsked("day", _DAY_S, 7, 180)}
_OWN = {"1h": _HOUR, "1d": _DAY, "1mo": _WidthAsked("month", 31 * _DAY_S, 12, 36)}

_DIMENSIONS: Mapping[str, Dimension] = {
    "user_id": "user_id",
    "api_key_id": "credential_id",
    "model": "model",
    "line_item": "model",
    "variant": "variant",
}
"""What OpenAI groups by and we tell apart; a line of the costs is a model. `variant` is ours: which
variants of flags a turn had."""

_NEVER_SET = frozenset({"project_id", "batch", "service_tier", "api_source"})
"""What OpenAI groups by and nothing has here: null in every result."""


class _Asked(NamedTuple):
    """A question of the buckets that this page may show, and where the range asked for ends."""

    question: UsageQuestion
    end_s: int


async def completions_usage(door: Door, call: Call) -> None:
    """Answer with the organization's tokens and requests, by bucket of time."""
    values = _values(call)
    asked = _asked(door, values, _COMPLETIONS, call.caller.org_id)
    groups = _groups(values, ("user_id", "api_key_id", "model", "variant"))
    answer = await door.usage.ask_page(_grouped(asked.question, groups), PAGE_SUMS_MAX)
    await call.reply_value(
        _page(answer, asked, lambda sums: completions_results(without_money(sums)))
    )


async def costs(door: Door, call: Call) -> None:
    """Answer with the organization's costs, by day; exact to the nano-unit of each currency."""
    values = _values(call)
    asked = _asked(door, values, _COSTS, call.caller.org_id)
    groups = _groups(values, ("user_id", "api_key_id", "line_item", "variant"))
    answer = await door.usage.ask_page(_grouped(asked.question, groups), PAGE_SUMS_MAX)
    await call.reply_value(_page(answer, asked, costs_results))


async def own_usage(door: Door, call: Call) -> None:
    """Answer with one person's tokens, requests and costs by model, by bucket of time.

    The person is the caller, or whom `?user=` names when the key acts for users. Days and months
    are those of `time_zone`.
    """
    owner = person_of(door, call, call.query())
    values = _values(call)
    asked = _asked(door, values, _OWN, owner.org_id)
    question = dataclasses.replace(asked.question, users=(owner.user,))
    answer = await door.usage.ask(_grouped(question, frozenset({"model"})))
    await call.reply_value(_page(answer, asked, person_results))


def _values(call: Call) -> dict[str, list[str]]:
    """Return the query, lists with or without brackets."""
    values: dict[str, list[str]] = {}
    for name, given in call.query_values().items():
        values.setdefault(name.removesuffix("[]"), []).extend(given)
    for name in ("project_ids", "batch"):
        if any(text not in ("", "false") for text in values.get(name, ())):
            raise refuse(f"There are no projects and no batches: leave out '{name}'.", param=name)
    return values


def _asked(
    door: Door, values: Mapping[str, list[str]], widths: Mapping[str, _WidthAsked], org_id: str
) -> _Asked:
    """Return the part of the range that this page may show."""
    name = _last(values, "bucket_width") or "1d"
    if name not in widths:
        known = ", ".join(widths)
        raise refuse(f"Invalid 'bucket_width': use one of {known}.", param="bucket_width")
    asked = widths[name]
    limit = _number(values, "limit", 4) or asked.default
    if limit > asked.most:
        raise refuse(f"Invalid 'limit': at most {asked.most} for {name}.", param="limit")
    now_s = door.clock.now_us() // MICROS_PER_SECOND
    end_s = _number(values, "end_time", _SECONDS_DIGITS_MAX) or now_s + 1
    start_s = _number(values, "start_time", _SECONDS_DIGITS_MAX)
    page = _last(values, "page")
    newest = start_s is None and not page
    if start_s is None:
        if widths is not _OWN:
            raise refuse("Missing required parameter: 'start_time'.", param="start_time")
        start_s = max(1, end_s - asked.seconds * limit)
    if page:
        start_s = _page_start(page)
    question = UsageQuestion(
        org_id=org_id,
        start_us=start_s * MICROS_PER_SECOND,
        end_us=min(end_s, start_s + asked.seconds * limit) * MICROS_PER_SECOND,
        width=asked.width,
        zone=zone_named(_last(values, "time_zone") or "UTC"),
        users=tuple(_user(text) for text in _chosen(values, "user_ids")),
        credentials=_chosen(values, "api_key_ids"),
        models=(*_chosen(values, "models"), *_chosen(values, "line_items")),
    )
    edges = question.edges()
    edges = edges[-limit - 1 :] if newest else edges[: limit + 1]
    question = dataclasses.replace(question, start_us=edges[0], end_us=edges[-1])
    return _Asked(question, end_s)


def _grouped(question: UsageQuestion, groups: frozenset[Dimension]) -> UsageQuestion:
    return dataclasses.replace(question, group_by=groups)


def _groups(values: Mapping[str, list[str]], known: Sequence[str]) -> frozenset[Dimension]:
    asked = [part for text in values.get("group_by", ()) for part in text.split(",") if part]
    for name in asked:
        if name not in known and name not in _NEVER_SET:
            raise refuse(f"Invalid 'group_by': {name!r}.", param="group_by", code="invalid_value")
    return frozenset(_DIMENSIONS[name] for name in asked if name in known)


def _last(values: Mapping[str, list[str]], name: str) -> str:
    return values.get(name, [""])[-1]


def _number(values: Mapping[str, list[str]], name: str, digits: int) -> int | None:
    text = _last(values, name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= digits and int(text) > 0):
        raise refuse(f"Invalid '{name}': expected a number above 0.", param=name)
    return int(text)


def _page_start(page: str) -> int:
    number = page.removeprefix("page_")
    if number == page or not (number.isascii() and number.isdigit() and len(number) <= 11):
        raise refuse("Invalid 'page': take the 'next_page' of an answer.", param="page")
    return int(number)


def _chosen(values: Mapping[str, list[str]], name: str) -> tuple[str, ...]:
    chosen = tuple(text for text in values.get(name, ()) if text)
    if len(chosen) > _CHOICES_MAX or any("\0" in text for text in chosen):
        raise refuse(f"Invalid '{name}': at most {_CHOICES_MAX} names.", param=name)
    return chosen


def _user(text: str) -> int:
    try:
        if len(text) == _USER_DIGITS and text.isalnum():
            number = int(text, 16)
            if number < 2**63:
                return number
    except ValueError:
        pass
    raise refuse(f"Invalid 'user_ids': {text[:64]!r} is no user's id.", param="user_ids")


Results = Callable[[list[UsageSum]], Sequence[object]]


def _page(answer: UsageAnswer, asked: _Asked, results: Results) -> dict[str, object]:
    edges = [edge // MICROS_PER_SECOND for edge in answer.edges]
    periods: list[list[UsageSum]] = [[] for _ in edges[1:]]
    for one in answer.sums:
        periods[one.period].append(one)
    buckets = [
        {
            "object": "bucket",
            "start_time": edges[place],
            "end_time": edges[place + 1],
            "results": results(sums),
        }
        for place, sums in enumerate(periods)
    ]
    has_more = edges[-1] < asked.end_s
    return {
        "object": "page",
        "data": buckets,
        "has_more": has_more,
        "next_page": f"page_{edges[-1]}" if has_more else None,
    }
