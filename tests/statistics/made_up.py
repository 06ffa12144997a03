"""Units made up for the tests of statistics, and what they add up to."""

import numpy as np
import numpy.typing as npt

from axon.statistics import Moments

Values = npt.NDArray[np.float64]


def moments_of(x: Values, y: Values | None = None) -> Moments:
    """Return the sums of units, as a query of them would."""
    other = np.zeros_like(x) if y is None else y
    return Moments(
        units=len(x),
        x=float(x.sum()),
        y=float(other.sum()),
        xx=float((x * x).sum()),
        yy=float((other * other).sum()),
        xy=float((x * other).sum()),
    )


def costs(seed: int, units: int, lift: float = 1.0) -> tuple[Values, Values]:
    """Return what each unit cost, and what it cost before: skewed, and like itself."""
    made = np.random.default_rng(seed)
    person = made.lognormal(0.0, 0.6, units)
    before = person * made.lognormal(0.0, 0.3, units)
    return person * made.lognormal(0.0, 0.3, units) * lift, before


def turns(seed: int, units: int) -> tuple[Values, Values]:
    """Return the tokens and the turns of each unit: who asks more often gets shorter answers."""
    made = np.random.default_rng(seed)
    asked = made.poisson(4.0, units).astype(np.float64) + 1.0
    return made.gamma(3.0, 200.0, units) * np.sqrt(asked), asked
