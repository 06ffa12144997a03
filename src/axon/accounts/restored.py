"""Accounts that were restored from a backup: what was revoked since stays revoked."""

import asyncio
import dataclasses
from pathlib import Path

import asyncpg

from axon.accounts.admin_store import key_of, update_key
from axon.accounts.snapshot import read_snapshot


async def revoke_again(connection: asyncpg.Connection, snapshot_path: Path) -> int:
    """Revoke the keys that this node knew to be revoked; return how many were valid again.

    For the transaction that restores them. A missing or damaged snapshot revokes nothing.
    """
    snapshot = await asyncio.to_thread(read_snapshot, snapshot_path)
    revoked = 0
    for credential in snapshot.credentials if snapshot else ():
        if not credential.revoked_us:
            continue
        key = await key_of(connection, credential.credential_id)
        if key is not None and not key.revoked_us:
            ended = dataclasses.replace(key, revoked_us=credential.revoked_us)
            await update_key(connection, ended)
            revoked += 1
    return revoked
