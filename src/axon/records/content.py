"""The parts that several records share: sealed items, what a turn consumed and what it cost."""

import msgspec


class SealedItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One item of a conversation, its content sealed before it came here.

    Only what must be queried is clear; the item's JSON, as the API shows it, is in `blob`.
    """

    item_id: str
    kind: str
    """OpenAI's item type: message, function_call, function_call_output, reasoning, ..."""
    author: str
    """user, assistant, system, developer or tool; empty where the item type has none."""
    model_tokens: int
    """Estimated length in model tokens; never below the truth for the models we measured."""
    blob: bytes


class TokenUsage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one turn consumed, in model tokens; cached tokens are part of the input."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    """True when the engine reported nothing and we counted ourselves."""
    cache_write_tokens: int = 0
    """Part of the input: what the engine put into its cache, where it says so."""


class Verdict(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What safety decided about a turn, before or after the engine."""

    stage: str
    """input: what was asked; output: what was said."""
    by: str
    """Who found it: rules and their version, or endpoint."""
    action: str
    """passed, flagged, redacted or blocked; unchecked when the endpoint could not be asked."""
    categories: list[str] = []


class Charge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one turn cost, at the price that was in force when it was accepted."""

    price_id: str = ""
    """Empty when there was no price, or nothing to pay for."""
    currency: str = ""
    cost_nano: int = 0
    """In nano-units, 10^-9, of the currency; with the overage."""
    overage_nano: int = 0
    """What of that is for going beyond limits."""
