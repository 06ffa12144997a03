"""Faults for the processes under test; Python imports this when its folder is on the path.

`PLANTED` names them. `slow-fsync`: a flush takes its time, so that a power loss finds entries
that were written and are not on disk. `held-fsync`: a flush waits as long as the file that
`HELD_WHILE` names is there. `early-acknowledgement`: the journal acknowledges before
the fsync, a bug that the oracle must notice.
"""

import os
import time

SYNC_TAKES_S = float(os.environ.get("SYNC_TAKES_S", "0.4"))
"""Far longer than the news of an acknowledgement needs to reach whoever cuts the power then; where
nobody waits for such news, a part of it will do."""

_planted = os.environ.get("PLANTED", "").split(",")
_fdatasync = os.fdatasync


def _sync_slowly(descriptor: int) -> None:
    time.sleep(SYNC_TAKES_S)
    _fdatasync(descriptor)


def _sync_when_let(descriptor: int) -> None:
    while os.path.exists(os.environ["HELD_WHILE"]):
        time.sleep(0.01)
    _fdatasync(descriptor)


if "slow-fsync" in _planted:
    os.fdatasync = _sync_slowly  # type: ignore[assignment]

if "held-fsync" in _planted:
    os.fdatasync = _sync_when_let  # type: ignore[assignment]

if "early-acknowledgement" in _planted:
    from axon.journal import JournalOptions

    # No setting of the product turns this on; here it becomes the default of this process.
    JournalOptions.__init__.__kwdefaults__["acknowledge_before_fsync"] = True  # type: ignore[index]
