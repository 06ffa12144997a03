"""How the keys are: their root, how many there are of which age, and when they were backed up."""

from dataclasses import dataclass
from typing import Literal

import asyncpg
import msgspec

from axon.app.backup import Place
from axon.app.keyring_backup import last_backup, last_keys_backup
from axon.sealing import KeyRootUnavailable, KeyStore, count_by_kek, read_keks, read_rotations


class KeysOfOrg(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of one organization."""

    org_id: str
    region: str
    versions: int
    """Keys the organization has had, those that only unwrap too."""
    newest_us: int
    root: str
    root_version: str
    data_keys: int
    """Keys of people that the newest wraps."""
    older: int
    """Keys of people that an older one wraps: a rotation is not through with them."""


class RotationState(msgspec.Struct, frozen=True, kw_only=True):
    """The last rotation of its kind."""

    kind: str
    org_id: str
    """Empty for all."""
    began_us: int
    ended_us: int
    """0 when it was cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """All of it."""

    root: str
    root_version: str
    root_state: Literal["answers", "away"]
    root_reason: str
    keyring_keys: int
    """Keys in the keyring's file, those that only unwrap too."""
    keyring_backed_up_us: int
    """0 for never, or not as it is now."""
    keys_backed_up_us: int
    orgs: list[KeysOfOrg]
    by_keyring: int
    """Keys of people that the keyring itself wraps, as before organizations had keys."""
    rotations: list[RotationState]


async def key_state(place: Place) -> KeyState:
    """Return how the keys of all nodes are; raises DatabaseAway, NoKeyring, KeyStoreFailed."""
    store = place.key_store()
    try:
        async with place.connection() as connection:
            await store.upload_rest(connection)
            counts = await count_by_kek(connection)
            orgs = await _orgs(connection, counts)
            rotations = await read_rotations(connection)
        version, reason = await _asked(store)
    finally:
        await store.close()
    keyring, keys = last_backup(place.folder), last_keys_backup(place.folder)
    return KeyState(
        root=store.roots.wrapping.name,
        root_version=version,
        root_state="away" if reason else "answers",
        root_reason=reason,
        keyring_keys=len(place.keyring().kek_ids),
        keyring_backed_up_us=keyring.backed_up_us if keyring else 0,
        keys_backed_up_us=keys.backed_up_us if keys else 0,
        orgs=orgs,
        by_keyring=sum(counts.values()) - sum(org.data_keys + org.older for org in orgs),
        rotations=[
            RotationState(
                kind=one.kind, org_id=one.org_id, began_us=one.began_us, ended_us=one.ended_us or 0
            )
            for one in rotations
        ],
    )


async def _asked(store: KeyStore) -> tuple[str, str]:
    """Return the root's newest version, and why it could not be asked."""
    try:
        return await store.roots.wrapping.version(), ""
    except KeyRootUnavailable as error:
        return "", str(error)


async def _orgs(connection: asyncpg.Connection, counts: dict[str, int]) -> list[KeysOfOrg]:
    found: dict[tuple[str, str], KeysOfOrg] = {}
    for kek in sorted(await read_keks(connection, 0), key=lambda one: (one.created_us, one.kek_id)):
        before = found.get((kek.org_id, kek.region))
        found[kek.org_id, kek.region] = KeysOfOrg(
            org_id=kek.org_id,
            region=kek.region,
            versions=1 + (before.versions if before else 0),
            newest_us=kek.created_us,
            root=kek.root,
            root_version=kek.root_version,
            data_keys=counts.get(kek.kek_id, 0),
            older=before.older + before.data_keys if before else 0,
        )
    return [found[key] for key in sorted(found)]
