"""A wall clock that a test sets; Python imports this when its folder is on the path.

`CLOCK_AHEAD` names a file with the seconds by which the wall clock is ahead of the machine's. The
monotonic clock stays as it is, as it does when somebody sets a machine's time.
"""

import os
import time

_now_ns = time.time_ns


def _set_clock() -> int:
    with open(os.environ["CLOCK_AHEAD"]) as file:
        return _now_ns() + int(float(file.read() or 0) * 1e9)


if "CLOCK_AHEAD" in os.environ:
    time.time_ns = _set_clock
