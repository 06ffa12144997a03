"""Whether the variants have as many units as their weights say: what nothing else may be trusted
before."""

from collections.abc import Mapping

import msgspec

from axon.statistics.distributions import chi_square_above

MISMATCH_BELOW = 0.001
"""Below this p the split itself is broken. Stricter than an effect's alpha, for it is looked at
all the time and stops everything."""


class ShareSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One variant's units beside what its weight lets expect."""

    variant: str
    share: float
    seen: int
    expected: float


class SampleRatio(msgspec.Struct, frozen=True, kw_only=True):
    """How well the split was kept."""

    p: float
    """How likely counts so far off are with the split intact."""
    mismatch: bool
    rows: tuple[ShareSeen, ...]


def sample_ratio(seen: Mapping[str, int], shares: Mapping[str, float]) -> SampleRatio:
    """Return the chi-square test of the counts of units against the variants' weights.

    A variant without weight has no share and is expected to have no units: any one is a mismatch.
    """
    whole, units = sum(shares.values()), sum(seen.get(variant, 0) for variant in shares)
    rows = tuple(
        ShareSeen(
            variant=variant,
            share=weight / whole,
            seen=seen.get(variant, 0),
            expected=units * weight / whole,
        )
        for variant, weight in shares.items()
    )
    if not units:
        return SampleRatio(p=1.0, mismatch=False, rows=rows)
    expected = [row for row in rows if row.expected > 0]
    if any(row.seen for row in rows if row.expected == 0):
        return SampleRatio(p=0.0, mismatch=True, rows=rows)
    value = sum((row.seen - row.expected) ** 2 / row.expected for row in expected)
    p = chi_square_above(value, len(expected) - 1) if len(expected) > 1 else 1.0
    return SampleRatio(p=p, mismatch=p < MISMATCH_BELOW, rows=rows)
