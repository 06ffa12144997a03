"""Who is asking: organizations, users, API keys and user passes."""

from axon.accounts.accounts import PASS_LIFETIME_S_MAX, Accounts
from axon.accounts.admin import AccountsAdmin
from axon.accounts.cell_store import refusal_of_other_cells
from axon.accounts.directory import CreatedKey, Key, NewKey, Org, User
from axon.accounts.errors import (
    AccountsError,
    AccountsUnavailable,
    InvalidCredential,
    Misdirected,
    NameTaken,
    NotPermitted,
    RegionDiffers,
    StillHere,
    TooManyPlaced,
    UnknownAccount,
    UnusableName,
    UnusableRegion,
    UnusableSecret,
    WrongCell,
)
from axon.accounts.homes import Home
from axon.accounts.passes import UserPass
from axon.accounts.principal import Principal
from axon.accounts.replica import AccountsOptions
from axon.accounts.residency import NO_REGIONS, REGION_FORM, Cells
from axon.accounts.restored import revoke_again
from axon.accounts.signups import Signups, signups

__all__ = [
    "NO_REGIONS",
    "PASS_LIFETIME_S_MAX",
    "REGION_FORM",
    "Accounts",
    "AccountsAdmin",
    "AccountsError",
    "AccountsOptions",
    "AccountsUnavailable",
    "Cells",
    "CreatedKey",
    "Home",
    "InvalidCredential",
    "Key",
    "Misdirected",
    "NameTaken",
    "NewKey",
    "NotPermitted",
    "Org",
    "Principal",
    "RegionDiffers",
    "Signups",
    "StillHere",
    "TooManyPlaced",
    "UnknownAccount",
    "UnusableName",
    "UnusableRegion",
    "UnusableSecret",
    "User",
    "UserPass",
    "WrongCell",
    "refusal_of_other_cells",
    "revoke_again",
    "signups",
]
