"""What can be wrong with a key, a pass, or the place they are kept in."""

from axon.base import AxonError


class AccountsError(AxonError):
    """Something is wrong with an account."""


class InvalidCredential(AccountsError):
    """The API key is not valid.

    Malformed, forged, unknown, expired or revoked: the caller is not told which. Never raised
    because PostgreSQL is away.
    """


class AccountsUnavailable(AccountsError):
    """It cannot be told now whether the API key is valid; try again.

    PostgreSQL is away and what is known locally does not hold the key or is too old.
    """


class NotPermitted(AccountsError):
    """This API key is not permitted to do this."""


class NameTaken(AccountsError):
    """Another account has this name."""


class UnknownAccount(AccountsError):
    """There is no such organization, user or API key."""


class UnusableName(AccountsError):
    """A name has 1 to 200 printable characters."""


class UnusableSecret(AccountsError):
    """An API key starts with sk-axon- and has up to 256 printable ASCII characters, no spaces."""


class Misdirected(AccountsError):
    """Another region's cell keeps this; ask there."""

    def __init__(self, region: str, base_url: str) -> None:
        """`base_url` is empty when no cell of that region is known here."""
        self.region = region
        self.base_url = base_url
        super().__init__(region)


class WrongCell(AccountsError):
    """An organization is made in the cell of its region."""


class RegionDiffers(AccountsError):
    """This store belongs to another region than this process; nothing was read or written."""


class UnusableRegion(AccountsError):
    """A region is written like eu or eu-west-1."""


class StillHere(AccountsError):
    """This cell keeps something of this person: export it, erase it, and place them then."""


class TooManyPlaced(AccountsError):
    """Too many people of one cell are placed elsewhere: give them organizations of their region."""
