"""Bugs that are put in on purpose, to see that they are found."""

import enum


class Plant(enum.Enum):
    """One of the bugs the journal's contract forbids; NONE is Axon as it is."""

    NONE = "none"
    ACKNOWLEDGE_EARLY = "acknowledge-before-fsync"
    CURSOR_APART = "cursor-apart"
    """The projector's cursor is committed apart from what the records did."""
    RETRIED_FLUSH = "retried-fsync"
    RESEED_ADDS = "reseed-adds"
    """A window that is filled anew is added to what was there."""


def planted_functions(source: str) -> str:
    """Return window.lua with a reseed that adds to what was there."""
    taken_away = "server.call('UNLINK', keys[2])\n"
    for good, bad in (
        (f"  {taken_away}  push(", "  push("),
        (
            f"    {taken_away}    server.call('HSET', keys[1], 'e', epoch, 'h', '-1'",
            "    server.call('HSET', keys[1], 'e', epoch, 'h', '-1'",
        ),
        ("'n', #args - 4)", "'n', server.call('LLEN', keys[2]))"),
    ):
        assert source.count(good) == 1, "window.lua has changed: plant the bug anew"
        source = source.replace(good, bad)
    return source
