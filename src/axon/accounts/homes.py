"""Who of an organization belongs to another region than it does, by number alone."""

from collections.abc import Iterable

import msgspec

HOMES_MAX = 200_000
"""People of one cell who are placed elsewhere: about 40 MB of every serving process. Where more
are, they have a region of their own, and so an organization there."""


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """One person's region; a row, and the line that stands for it in the snapshot."""

    org_id: str
    user: int
    region: str
    """Empty for one who has their organization's again."""
    version: int
    """Number of the change that wrote it."""


class Homes:
    """Everybody who is placed elsewhere, as of the last poll that PostgreSQL answered."""

    def __init__(self) -> None:
        """Start with nobody."""
        self._homes: dict[tuple[str, int], Home] = {}

    def __len__(self) -> int:
        """Return how many changes are held, those that took a home back among them."""
        return len(self._homes)

    def region(self, org_id: str, user: int) -> str:
        """Return the region a person has of their own; empty for none."""
        home = self._homes.get((org_id, user))
        return home.region if home is not None else ""

    def put(self, homes: Iterable[Home]) -> None:
        """Hold what was read, unless a newer version is held."""
        for home in homes:
            held = self._homes.get((home.org_id, home.user))
            if held is None or held.version < home.version:
                self._homes[home.org_id, home.user] = home

    def all(self) -> tuple[Home, ...]:
        """Return what is held."""
        return tuple(self._homes.values())

    def clear(self) -> None:
        """Forget everything."""
        self._homes.clear()
