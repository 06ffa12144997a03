"""The SQL behind administration; every function works inside its caller's transaction."""

import asyncpg

from axon.accounts.directory import Key, Org, User

LISTED_MAX = 1000
"""Rows of one page of a list; ask again with the last one's id for the next."""


async def exclude_others(connection: asyncpg.Connection) -> None:
    """Wait until no other transaction changes keys, and keep others waiting until this one ends.

    What reads keys and then changes them calls this first.
    """
    await connection.execute("SELECT FROM accounts.version FOR UPDATE")


async def insert_org(connection: asyncpg.Connection, org: Org) -> bool:
    """Return whether the organization was new; False when the name is taken."""
    status = await connection.execute(
        "INSERT INTO accounts.orgs (id, name, tier, region, created_us)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING",
        org.org_id,
        org.name,
        org.tier,
        org.region,
        org.created_us,
    )
    return status == "INSERT 0 1"


async def org_named(connection: asyncpg.Connection, name: str) -> Org:
    """Return the organization of this name, which exists."""
    row = await connection.fetchrow("SELECT * FROM accounts.orgs WHERE name = $1", name)
    assert row is not None
    return _org(row)


async def list_orgs(connection: asyncpg.Connection, after: str) -> list[Org]:
    """Return a page of organizations by id."""
    rows = await connection.fetch(
        "SELECT * FROM accounts.orgs WHERE id > $1 ORDER BY id LIMIT $2", after, LISTED_MAX
    )
    return [_org(row) for row in rows]


async def insert_user(connection: asyncpg.Connection, user: User) -> bool:
    """Return whether the user was new; raises ForeignKeyViolationError without its organization."""
    status = await connection.execute(
        "INSERT INTO accounts.users (id, org_id, name, permissions, created_us)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id, org_id) DO NOTHING",
        user.user,
        user.org_id,
        user.name,
        user.permissions,
        user.created_us,
    )
    return status == "INSERT 0 1"


async def list_users(connection: asyncpg.Connection, org_id: str, after: int) -> list[User]:
    """Return a page of an organization's users by number."""
    rows = await connection.fetch(
        "SELECT * FROM accounts.users WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        org_id,
        after,
        LISTED_MAX,
    )
    return [_user(row) for row in rows]


async def insert_key(connection: asyncpg.Connection, key: Key, mac: bytes) -> None:
    """Write a new key; raises ForeignKeyViolationError without its user."""
    await connection.execute(
        "INSERT INTO accounts.credentials (id, mac, org_id, user_id, name, hint, acts_for_users,"
        " created_us, expires_us, revoked_us, version)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        key.credential_id,
        mac,
        key.org_id,
        key.user,
        key.name,
        key.hint,
        key.acts_for_users,
        key.created_us,
        key.expires_us,
        key.revoked_us,
        await next_version(connection),
    )


async def update_key(connection: asyncpg.Connection, key: Key) -> None:
    """Write what can change of a key: whether it acts for users, when it ends, that it ended."""
    await connection.execute(
        "UPDATE accounts.credentials SET acts_for_users = $2, expires_us = $3, revoked_us = $4,"
        " version = $5 WHERE id = $1",
        key.credential_id,
        key.acts_for_users,
        key.expires_us,
        key.revoked_us,
        await next_version(connection),
    )


async def key_of(connection: asyncpg.Connection, credential_id: str) -> Key | None:
    """Return the key with this id, or None."""
    row = await connection.fetchrow(
        "SELECT * FROM accounts.credentials WHERE id = $1", credential_id
    )
    return _key(row) if row else None


async def key_with(connection: asyncpg.Connection, mac: bytes) -> Key | None:
    """Return the key with this HMAC, or None."""
    row = await connection.fetchrow("SELECT * FROM accounts.credentials WHERE mac = $1", mac)
    return _key(row) if row else None


async def list_keys(connection: asyncpg.Connection, org_id: str, after: str) -> list[Key]:
    """Return a page of an organization's keys by id."""
    rows = await connection.fetch(
        "SELECT * FROM accounts.credentials WHERE org_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        org_id,
        after,
        LISTED_MAX,
    )
    return [_key(row) for row in rows]


async def next_version(connection: asyncpg.Connection) -> int:
    """Return the number of this change; others wait until this transaction ends.

    So nobody can see a change before one with a lower number.
    """
    number: int = await connection.fetchval(
        "UPDATE accounts.version SET number = number + 1 RETURNING number"
    )
    return number


def _org(row: asyncpg.Record) -> Org:
    return Org(
        org_id=row["id"],
        name=row["name"],
        tier=row["tier"],
        region=row["region"],
        created_us=row["created_us"],
    )


def _user(row: asyncpg.Record) -> User:
    return User(
        org_id=row["org_id"],
        user=row["id"],
        name=row["name"],
        permissions=tuple(row["permissions"]),
        created_us=row["created_us"],
    )


def _key(row: asyncpg.Record) -> Key:
    return Key(
        credential_id=row["id"],
        org_id=row["org_id"],
        user=row["user_id"],
        name=row["name"],
        hint=row["hint"],
        acts_for_users=row["acts_for_users"],
        created_us=row["created_us"],
        expires_us=row["expires_us"],
        revoked_us=row["revoked_us"],
    )
