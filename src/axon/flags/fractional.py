"""flagd's `fractional`: splits units among variants by weight."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from axon.flags.bucketing import (
    HASH_BITS,
    V2,
    WEIGHTS_MAX,
    KeyHash,
    hash_v2,
    hash_v3,
    shorthand_hash,
)
from axon.flags.coercion import LogicFailed
from axon.flags.run import Rule, Run
from axon.flags.values import JsonValue


class Splitting(NamedTuple):
    """How one flag places units."""

    flag_key: str
    bucketing: str
    unit: str

    @property
    def hash_key(self) -> KeyHash:
        """Return what hashes a key that the split names."""
        return hash_v2 if self.bucketing == V2 else hash_v3


class Shares(NamedTuple):
    """Variants with the ends of their parts; a hash falls into part `hash * total >> 32`."""

    variants: Sequence[JsonValue]
    ends: list[int]

    @property
    def total(self) -> int:
        """Return the number of parts."""
        return self.ends[-1] if self.ends else 0

    def of(self, hashed: int) -> JsonValue:
        """Return the variant of a hash; None when the weights are nothing or too much."""
        if not 0 < self.total <= WEIGHTS_MAX:
            return None
        return self.variants[bisect_right(self.ends, hashed * self.total >> HASH_BITS)]


def shares_of(variants: Sequence[JsonValue], weights: Sequence[int]) -> Shares:
    """Return the shares; a weight below nothing, as a computed one may be, is nothing."""
    return Shares(variants, list(accumulate(max(0, weight) for weight in weights)))


def fixed_shorthand(splitting: Splitting, shares: Shares) -> Rule:
    """Return the split of the flag's unit, with weights that are written down.

    The usual split of a turn: it has no call that can be spared.
    """
    hashed = shorthand_hash(splitting.bucketing, splitting.flag_key)
    unit = splitting.unit
    by_key = unit == "user"
    variants, ends = shares
    total = shares.total

    def place(scope: JsonValue, run: Run) -> JsonValue:
        context = run.context
        unit_id = context.targeting_key if by_key else context.unit_id(unit)
        if not unit_id:
            return None
        run.split = True
        return variants[bisect_right(ends, hashed(unit_id) * total >> HASH_BITS)]

    return place


def fixed_by_key(splitting: Splitting, arguments: Sequence[Rule], shares: Shares) -> Rule:
    """Return the split by a key, the first argument, with weights that are written down."""
    key = arguments[0]
    hash_key = splitting.hash_key
    otherwise = computed(splitting, arguments, at_root=True)

    def place(scope: JsonValue, run: Run) -> JsonValue:
        value = key(scope, run)
        if isinstance(value, list):  # flagd takes it for one more variant
            return otherwise(scope, run)
        hashed = hash_key(value, run)
        if hashed is None:
            return None
        run.split = True
        return shares.of(hashed)

    return place


def computed(splitting: Splitting, arguments: Sequence[Rule], *, at_root: bool) -> Rule:
    """Return the split whose key, variants or weights are worked out each time.

    Below the root, in a `map`, flagd sees only the item: a targeting key in it, and no flag key.
    """
    flag_key = splitting.flag_key if at_root else ""
    shorthand = shorthand_hash(splitting.bucketing, flag_key)
    hash_key = splitting.hash_key

    def place(scope: JsonValue, run: Run) -> JsonValue:
        values = [argument(scope, run) for argument in arguments]
        if isinstance(values[0], list):
            unit_id = run.context.unit_id(splitting.unit) if at_root else _inner_unit(scope)
            hashed = shorthand(unit_id) if unit_id else None
        else:
            hashed = hash_key(values.pop(0), run)
        shares = _read_shares(values)
        if hashed is None or shares is None:
            return None
        run.split = True
        return shares.of(hashed)

    return place


def _inner_unit(scope: JsonValue) -> str:
    if not isinstance(scope, dict):
        raise LogicFailed("a split inside a list needs items that are objects")
    unit_id = scope.get("targetingKey")
    return unit_id if isinstance(unit_id, str) else ""


def _read_shares(values: list[JsonValue]) -> Shares | None:
    variants: list[JsonValue] = []
    weights: list[int] = []
    for value in values:
        if not isinstance(value, list) or not 1 <= len(value) <= 2:
            return None
        weight = value[1] if len(value) == 2 else 1
        if not isinstance(weight, int) or isinstance(weight, bool):
            return None
        variants.append(value[0])
        weights.append(weight)
    return shares_of(variants, weights)
