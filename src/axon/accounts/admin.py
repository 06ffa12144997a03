"""Making organizations, users and API keys, and revoking keys."""

import dataclasses
import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import asyncpg

from axon.accounts import admin_store, cell_store
from axon.accounts.credential import KEY_PREFIX, CredentialMac
from axon.accounts.directory import CreatedKey, Key, NewKey, Org, User
from axon.accounts.errors import NameTaken, StillHere, UnknownAccount, UnusableName, UnusableSecret
from axon.accounts.homes import Home
from axon.accounts.residency import ANYWHERE, NO_REGIONS, Cells, check_form
from axon.base import Clock, IdMint, Randomness, user_number
from axon.sealing import Keyring, count_keys
from axon.stores import Postgres

TIMEOUT_S = 10.0
"""An administrator waits longer than a request does, but not for ever."""

DEFAULT_TIER = "default"

_NAME_CHARACTERS_MAX = 200
_SECRET = re.compile(r"sk-axon-[!-~]{1,248}")
_SECRET_BYTES = 24
"""192 random bits: beyond guessing, also with every key ever made to hit."""
_HINT_CHARACTERS = 4


class AccountsAdmin:
    """Changes the accounts in PostgreSQL; every process follows within a second.

    Every method may raise PostgresAway, and then the change may or may not have been made.
    """

    def __init__(
        self,
        postgres: Postgres,
        keyring: Keyring,
        clock: Clock,
        randomness: Randomness,
        cells: Cells = NO_REGIONS,
    ) -> None:
        """`postgres` is started and stopped by its owner; `cells` says which region this is."""
        self._postgres = postgres
        self._identity = keyring.identity
        self._mac = CredentialMac(keyring)
        self._mint = IdMint(keyring.identity, clock, randomness)
        self._clock = clock
        self._randomness = randomness
        self._cells = cells

    async def create_org(self, name: str, tier: str = DEFAULT_TIER, region: str = "") -> Org:
        """Return a new organization, of this cell's region where no other is named.

        Raises NameTaken, UnusableName, WrongCell when its region is another cell's.
        """
        region = _checked(self._cells.region_for(region))
        org = self._new_org(_checked(name), _checked(tier), region)
        async with self._transaction() as connection:
            if not await admin_store.insert_org(connection, org):
                raise NameTaken(name)
        return org

    async def list_orgs(self, after: str = "") -> list[Org]:
        """Return the organizations whose id is beyond `after`, oldest first, a page at most."""
        async with self._transaction() as connection:
            return await admin_store.list_orgs(connection, after)

    async def create_user(self, org_id: str, name: str, permissions: Collection[str] = ()) -> User:
        """Return a new user; raises NameTaken, UnknownAccount, UnusableName.

        Its number follows from its name: a key that acts for users reaches it by that name.
        """
        user = self._new_user(org_id, _checked(name), permissions)
        async with self._transaction() as connection:
            if not await admin_store.insert_user(connection, user):
                raise NameTaken(name)
        return user

    async def list_users(self, org_id: str, after: int = -1) -> list[User]:
        """Return the users of an organization whose number is beyond `after`, a page at most."""
        async with self._transaction() as connection:
            return await admin_store.list_users(connection, org_id, after)

    async def place_user(self, org_id: str, name: str, region: str) -> Home:
        """Say that a person belongs to `region`, or with "" to their organization's again.

        Every process refuses what concerns a person of another region within a second. Nothing of
        the name is kept: only its number. Raises UnusableName, UnusableRegion, UnknownAccount,
        TooManyPlaced, StillHere while the keys of what they said are here: forget them first.
        """
        user = self.user_number(org_id, _checked(name))
        if region:
            check_form(region)
        async with self._transaction() as connection:
            if not self._cells.serves(region or ANYWHERE):
                if await count_keys(connection, org_id, user):
                    raise StillHere(name)
            return await cell_store.write_home(connection, org_id, user, region)

    async def list_homes(self, org_id: str) -> dict[int, str]:
        """Return the regions of an organization's people who have one of their own, by number."""
        async with self._transaction() as connection:
            return await cell_store.list_homes(connection, org_id)

    def user_number(self, org_id: str, name: str) -> int:
        """Return the number by which everything knows a person of an organization."""
        return user_number(self._identity, org_id, name)

    async def create_key(self, new: NewKey) -> CreatedKey:
        """Return a new API key with its secret, which cannot be shown again.

        In a cell with a region the secret says it, so that other cells know whose it is. Raises
        UnknownAccount when there is no such user, UnusableName.
        """
        mark = f"{self._cells.region}-" if self._cells.region else ""
        secret = KEY_PREFIX.decode() + mark + self._randomness.bytes(_SECRET_BYTES).hex()
        key = self._new_key(new, secret)
        async with self._transaction() as connection:
            await admin_store.insert_key(connection, key, self._mac.of(secret.encode()))
        return CreatedKey(secret=secret, key=key)

    async def register_key(
        self, secret: str, org_name: str, user_name: str, permissions: Collection[str] = ()
    ) -> Key:
        """Make `secret` a live key that acts for users, its organization and user made if absent.

        For a key that somebody else chose, like the one `axon up` prints. May be repeated: what
        is already so stays, and a revoked or expired key lives again. Raises UnusableSecret also
        when the key belongs to another user, UnusableName, Misdirected when it says that it is
        another cell's.
        """
        if not _SECRET.fullmatch(secret):
            raise UnusableSecret
        self._cells.check_mark(secret.encode())
        mac = self._mac.of(secret.encode())
        new_org = self._new_org(_checked(org_name), DEFAULT_TIER, self._cells.region_for(""))
        async with self._transaction() as connection:
            await admin_store.exclude_others(connection)
            await admin_store.insert_org(connection, new_org)
            org = await admin_store.org_named(connection, org_name)
            user = self._new_user(org.org_id, _checked(user_name), permissions)
            await admin_store.insert_user(connection, user)
            key = await admin_store.key_with(connection, mac)
            if key is None:
                new = NewKey(org_id=org.org_id, user=user.user, name=user_name, acts_for_users=True)
                key = self._new_key(new, secret)
                await admin_store.insert_key(connection, key, mac)
            elif (key.org_id, key.user) != (org.org_id, user.user):
                raise UnusableSecret("it belongs to another user")
            elif not key.acts_for_users or key.expires_us or key.revoked_us:
                key = dataclasses.replace(key, acts_for_users=True, expires_us=0, revoked_us=0)
                await admin_store.update_key(connection, key)
        return key

    async def list_keys(self, org_id: str, after: str = "") -> list[Key]:
        """Return an organization's keys whose id is beyond `after`, oldest first, a page at most.

        Revoked and expired ones are among them.
        """
        async with self._transaction() as connection:
            return await admin_store.list_keys(connection, org_id, after)

    async def revoke_key(self, credential_id: str) -> Key:
        """Revoke a key, and with it every pass minted with it; return it. May be repeated.

        Every process that PostgreSQL answers refuses it within a second. Raises UnknownAccount.
        """
        async with self._transaction() as connection:
            await admin_store.exclude_others(connection)
            key = await admin_store.key_of(connection, credential_id)
            if key is None:
                raise UnknownAccount(credential_id)
            if not key.revoked_us:
                key = dataclasses.replace(key, revoked_us=self._clock.now_us())
                await admin_store.update_key(connection, key)
        return key

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[asyncpg.Connection]:
        async with self._postgres.connection(TIMEOUT_S) as connection, connection.transaction():
            try:
                yield connection
            except asyncpg.ForeignKeyViolationError as error:
                raise UnknownAccount from error

    def _new_org(self, name: str, tier: str, region: str) -> Org:
        now_us = self._clock.now_us()
        # It sorts by time like every id, and is short because it is part of every record.
        org_id = f"org_{(now_us // 1000).to_bytes(6, 'big').hex()}{self._randomness.bytes(6).hex()}"
        return Org(org_id=org_id, name=name, tier=tier, region=region, created_us=now_us)

    def _new_user(self, org_id: str, name: str, permissions: Collection[str]) -> User:
        return User(
            org_id=org_id,
            user=user_number(self._identity, org_id, name),
            name=name,
            permissions=tuple(sorted(set(permissions))),
            created_us=self._clock.now_us(),
        )

    def _new_key(self, new: NewKey, secret: str) -> Key:
        return Key(
            credential_id=self._mint.mint("key", new.org_id, new.user),
            org_id=new.org_id,
            user=new.user,
            name=_checked(new.name),
            hint=secret[-_HINT_CHARACTERS:],
            acts_for_users=new.acts_for_users,
            created_us=self._clock.now_us(),
            expires_us=new.expires_us,
            revoked_us=0,
        )


def _checked(name: str) -> str:
    if not 1 <= len(name) <= _NAME_CHARACTERS_MAX or not name.isprintable():
        raise UnusableName
    return name
