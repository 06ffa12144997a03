"""Who is asking: organizations, users, API keys and user passes."""

from axon.accounts.accounts import PASS_LIFETIME_S_MAX, Accounts
from axon.accounts.admin import AccountsAdmin
from axon.accounts.directory import CreatedKey, Key, NewKey, Org, User
from axon.accounts.errors import (
    AccountsError,
    AccountsUnavailable,
    InvalidCredential,
    NameTaken,
    NotPermitted,
    UnknownAccount,
    UnusableName,
    UnusableSecret,
)
from axon.accounts.passes import UserPass
from axon.accounts.principal import Principal
from axon.accounts.replica import AccountsOptions
from axon.accounts.restored import revoke_again
from axon.accounts.signups import Signups, signups

__all__ = [
    "PASS_LIFETIME_S_MAX",
    "Accounts",
    "AccountsAdmin",
    "AccountsError",
    "AccountsOptions",
    "AccountsUnavailable",
    "CreatedKey",
    "InvalidCredential",
    "Key",
    "NameTaken",
    "NewKey",
    "NotPermitted",
    "Org",
    "Principal",
    "Signups",
    "UnknownAccount",
    "UnusableName",
    "UnusableSecret",
    "User",
    "UserPass",
    "revoke_again",
    "signups",
]
