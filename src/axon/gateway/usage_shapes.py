"""The results of a bucket of usage, in OpenAI's shapes.

Source: OpenAI's API reference for organization usage; openai-python 3.54.0 is the reference client.
"""

from collections.abc import Sequence

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


class _Amount(msgspec.Struct, frozen=True, gc=False):
    """An amount of its currency as a JSON number with all of its digits."""

    value: msgspec.Raw
    currency: str


class _Tokens(msgspec.Struct, frozen=True, gc=False):
    """What every result of tokens begins with."""

    num_model_requests: int
    input_tokens: int
    input_cached_tokens: int
    input_cache_write_tokens: int
    output_tokens: int
    output_reasoning_tokens: int


class _CompletionsResult(_Tokens, frozen=True, gc=False, kw_only=True):
    user_id: str | None
    api_key_id: str | None
    model: str | None
    object: str = "organization.usage.completions.result"
    project_id: None = None
    batch: None = None
    service_tier: None = None
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    variant: str | msgspec.UnsetType = msgspec.UNSET


class _CostsResult(msgspec.Struct, frozen=True, gc=False):
    amount: _Amount
    overage: _Amount | None
    line_item: str | None
    user_id: str | None
    api_key_id: str | None
    object: str = "organization.costs.result"
    project_id: None = None
    quantity: None = None
    variant: str | msgspec.UnsetType = msgspec.UNSET


class _PersonResult(_Tokens, frozen=True, gc=False, kw_only=True):
    model: str | None
    amount: _Amount | None
    overage: _Amount | None
    object: str = "usage.result"


def completions_results(sums: list[UsageSum]) -> Sequence[object]:
    """Return the results of one bucket of tokens and requests."""
    return [
        _CompletionsResult(
            *_tokens(one),
            user_id=_shown_user(one),
            api_key_id=one.credential_id,
            model=one.model,
            variant=_variant(one),
        )
        for one in sums
    ]


def _tokens(one: UsageSum) -> tuple[int, ...]:
    return (
        one.requests_count,
        one.input_tokens,
        one.cached_tokens,
        one.cache_write_tokens,
        one.output_tokens,
        one.reasoning_tokens,
    )


def costs_results(sums: list[UsageSum]) -> Sequence[object]:
    """Return the results of one bucket of costs; nothing for what had no price.

    `overage` is ours: what of the amount is for going beyond limits.
    """
    return [
        _CostsResult(
            _amount(one, one.cost_nano),
            _amount(one, one.overage_nano) if one.overage_nano else None,
            one.model,
            _shown_user(one),
            one.credential_id,
            variant=_variant(one),
        )
        for one in sums
        if one.currency
    ]


def person_results(sums: list[UsageSum]) -> Sequence[object]:
    """Return the results of one bucket of a person's own usage."""
    return [
        _PersonResult(
            *_tokens(one),
            model=one.model,
            amount=_amount(one, one.cost_nano) if one.currency else None,
            overage=_amount(one, one.overage_nano) if one.overage_nano else None,
        )
        for one in sums
    ]


def _variant(one: UsageSum) -> str | msgspec.UnsetType:
    """Return which variants of flags it is of, where that was asked for; OpenAI has no such."""
    return msgspec.UNSET if one.variant is None else one.variant


def _amount(one: UsageSum, nano: int) -> _Amount:
    sign = b"-" if nano < 0 else b""
    units, nanos = divmod(abs(nano), NANOS_PER_UNIT)
    return _Amount(msgspec.Raw(b"%b%d.%09d" % (sign, units, nanos)), one.currency.lower())


def _shown_user(one: UsageSum) -> str | None:
    return None if one.user is None else f"{one.user:016x}"
