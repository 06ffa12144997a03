"""The results of a bucket of usage, in OpenAI's shapes.

Source: OpenAI's API reference for organization usage; openai-python 3.54.0 is the reference client.
"""

import msgspec

from axon.base import NANOS_PER_UNIT
from axon.metering import UsageSum


def without_money(sums: list[UsageSum]) -> list[UsageSum]:
    """Return the sums of all currencies together."""
    joined: dict[tuple[object, ...], UsageSum] = {}
    for one in sums:
        key = (one.user, one.credential_id, one.model, one.variant)
        joined[key] = one if key not in joined else joined[key].plus(one)
    return list(joined.values())


def completions_results(sums: list[UsageSum]) -> list[dict[str, object]]:
    """Return the results of one bucket of tokens and requests."""
    return [
        {
            "object": "organization.usage.completions.result",
            "project_id": None,
            "user_id": _shown_user(one),
            "api_key_id": one.credential_id,
            "model": one.model,
            "batch": None,
            "service_tier": None,
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            **_tokens(one),
            **_variant(one),
        }
        for one in sums
    ]


def _tokens(one: UsageSum) -> dict[str, object]:
    return {
        "num_model_requests": one.requests_count,
        "input_tokens": one.input_tokens,
        "input_cached_tokens": one.cached_tokens,
        "input_cache_write_tokens": one.cache_write_tokens,
        "output_tokens": one.output_tokens,
        "output_reasoning_tokens": one.reasoning_tokens,
    }


def costs_results(sums: list[UsageSum]) -> list[dict[str, object]]:
    """Return the results of one bucket of costs; nothing for what had no price.

    `overage` is ours: what of the amount is for going beyond limits.
    """
    return [
        {
            "object": "organization.costs.result",
            "amount": _amount(one, one.cost_nano),
            "overage": _amount(one, one.overage_nano) if one.overage_nano else None,
            "line_item": one.model,
            "project_id": None,
            "user_id": _shown_user(one),
            "api_key_id": one.credential_id,
            "quantity": None,
            **_variant(one),
        }
        for one in sums
        if one.currency
    ]


def person_results(sums: list[UsageSum]) -> list[dict[str, object]]:
    """Return the results of one bucket of a person's own usage."""
    return [
        {
            "object": "usage.result",
            "model": one.model,
            **_tokens(one),
            "amount": _amount(one, one.cost_nano) if one.currency else None,
            "overage": _amount(one, one.overage_nano) if one.overage_nano else None,
        }
        for one in sums
    ]


def _variant(one: UsageSum) -> dict[str, object]:
    """Return which variants of flags it is of, where that was asked for; OpenAI has no such."""
    return {} if one.variant is None else {"variant": one.variant}


def _amount(one: UsageSum, nano: int) -> dict[str, object]:
    """Return an amount of its currency as a JSON number with all of its digits."""
    sign = b"-" if nano < 0 else b""
    units, nanos = divmod(abs(nano), NANOS_PER_UNIT)
    return {
        "value": msgspec.Raw(b"%b%d.%09d" % (sign, units, nanos)),
        "currency": one.currency.lower(),
    }


def _shown_user(one: UsageSum) -> str | None:
    return None if one.user is None else f"{one.user:016x}"
