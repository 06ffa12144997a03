"""Which region this cell serves, and where those of other regions are served.

A cell is one installation with stores and keys of its own. What cells share is this table and the
mark in keys and passes: nobody's data, so that a request at the wrong door is turned away unread.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from axon.accounts.errors import Misdirected, UnusableRegion, WrongCell

ANYWHERE = "local"
"""The region of an organization that was given none: it belongs to the cell that keeps it."""

REGION_FORM = "[a-z][a-z0-9]{0,15}(-[a-z0-9]{1,15}){0,3}"
"""As clouds call theirs (eu, eu-west-1): nothing in it ends a mark in a key or a pass."""

_KEY = re.compile(rb"sk-axon-(" + REGION_FORM.encode() + rb")-[0-9a-f]{48}")
"""A key that was made in a cell. One without a mark, or of another form, says no region."""
_PASS = re.compile(rb"up-axon-(" + REGION_FORM.encode() + rb")\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REGION = re.compile(REGION_FORM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The region of this cell, and the base URLs of all."""

    region: str = ""
    """Empty where regions are labels and nothing else: everybody is served."""
    base_urls: Mapping[str, str] = field(default_factory=dict)
    """By region; this cell's own may be among them."""

    def serves(self, region: str) -> bool:
        """Return whether this cell keeps what belongs to a region."""
        return not self.region or region in (self.region, ANYWHERE)

    def check(self, region: str) -> None:
        """Return when this cell keeps what belongs to a region; raises Misdirected."""
        if not self.serves(region):
            raise self.elsewhere(region)

    def elsewhere(self, region: str) -> Misdirected:
        """Return the refusal for somebody of another region."""
        return Misdirected(region, self.base_urls.get(region, ""))

    def check_mark(self, secret: bytes) -> None:
        """Return unless a key or pass says that it is another cell's; raises Misdirected.

        It is not looked up before: what is another cell's asks nothing of our stores.
        """
        if not self.region:
            return
        marked = _KEY.fullmatch(secret) or _PASS.fullmatch(secret)
        if marked is not None:
            self.check(marked[1].decode())

    def region_for(self, wanted: str) -> str:
        """Return the region of a new organization, this cell's own when none is wanted.

        Raises WrongCell when another cell keeps that region, UnusableRegion.
        """
        if not self.region:
            return wanted or ANYWHERE
        region = wanted or self.region
        check_form(region)
        if not self.serves(region):
            at = self.base_urls.get(region)
            detail = f"{region} is served at {at}" if at else f"no cell for {region} is known here"
            raise WrongCell(f"this is the cell of {self.region}; {detail}")
        return region


def check_form(region: str) -> None:
    """Return when this is how a region is written; raises UnusableRegion."""
    if not _REGION.fullmatch(region):
        raise UnusableRegion(repr(region))


NO_REGIONS = Cells()
"""Of an installation that serves everybody."""
