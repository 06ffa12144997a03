"""Envelope encryption: content sealed under a person's key, keys that can be destroyed."""

from axon.sealing.aws_root import AwsOptions, AwsRoot
from axon.sealing.aws_signing import AwsCredentials
from axon.sealing.errors import (
    ContentTooLarge,
    KeyGone,
    KeyRefused,
    KeyringRefused,
    KeyRootAway,
    KeyRootRefused,
    KeyRootUnavailable,
    KeyStoreBusy,
    KeyStoreFailed,
    SealBroken,
    SealingError,
)
from axon.sealing.guarded_root import GuardedRoot
from axon.sealing.kek_copy import (
    EVERYBODY,
    Renewal,
    RotationNote,
    count_by_kek,
    read_keks,
    read_org_erasures,
    read_renewals,
    read_rotations,
)
from axon.sealing.kek_table import OrgErasure, WrappedKek
from axon.sealing.key_copy import TakenIn, count_keys, open_incoming, read_erasures, take_in
from axon.sealing.key_store import KeyStore, KeyStoreOptions
from axon.sealing.key_table import Erasure
from axon.sealing.keyring import Keyring, WrappedBytes
from axon.sealing.local_root import LocalRoot
from axon.sealing.root import KeyContext, RootKey, Roots
from axon.sealing.root_http import RootHttp
from axon.sealing.rotation import Rotated, Rotation, rewrap_there
from axon.sealing.seal import (
    CONTENT_BYTES_MAX,
    DataKey,
    item_context,
    key_id_of,
    open_sealed,
    seal,
)
from axon.sealing.vault_root import VaultOptions, VaultRoot

__all__ = [
    "CONTENT_BYTES_MAX",
    "EVERYBODY",
    "AwsCredentials",
    "AwsOptions",
    "AwsRoot",
    "ContentTooLarge",
    "DataKey",
    "Erasure",
    "GuardedRoot",
    "KeyContext",
    "KeyGone",
    "KeyRefused",
    "KeyRootAway",
    "KeyRootRefused",
    "KeyRootUnavailable",
    "KeyStore",
    "KeyStoreBusy",
    "KeyStoreFailed",
    "KeyStoreOptions",
    "Keyring",
    "KeyringRefused",
    "LocalRoot",
    "OrgErasure",
    "Renewal",
    "RootHttp",
    "RootKey",
    "Roots",
    "Rotated",
    "Rotation",
    "RotationNote",
    "SealBroken",
    "SealingError",
    "TakenIn",
    "VaultOptions",
    "VaultRoot",
    "WrappedBytes",
    "WrappedKek",
    "count_by_kek",
    "count_keys",
    "item_context",
    "key_id_of",
    "open_incoming",
    "open_sealed",
    "read_erasures",
    "read_keks",
    "read_org_erasures",
    "read_renewals",
    "read_rotations",
    "rewrap_there",
    "seal",
    "take_in",
]
