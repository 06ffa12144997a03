"""A word nobody has used before."""

import uuid


def unique() -> str:
    """Return 12 random hexadecimal characters, to tell this run's things from all others."""
    return uuid.uuid4().hex[:12]  # noqa: TID251 - the suite stands alone and has no seed
