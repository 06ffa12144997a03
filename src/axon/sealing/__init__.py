"""Envelope encryption: content sealed under a person's key, keys that can be destroyed."""

from axon.sealing.errors import (
    ContentTooLarge,
    KeyGone,
    KeyringRefused,
    KeyStoreBusy,
    KeyStoreFailed,
    SealBroken,
    SealingError,
)
from axon.sealing.key_copy import TakenIn, count_keys, open_incoming, read_erasures, take_in
from axon.sealing.key_store import KeyStore
from axon.sealing.key_table import Erasure
from axon.sealing.keyring import Keyring, WrappedBytes
from axon.sealing.seal import (
    CONTENT_BYTES_MAX,
    DataKey,
    item_context,
    key_id_of,
    open_sealed,
    seal,
)

__all__ = [
    "CONTENT_BYTES_MAX",
    "ContentTooLarge",
    "DataKey",
    "Erasure",
    "KeyGone",
    "KeyStore",
    "KeyStoreBusy",
    "KeyStoreFailed",
    "Keyring",
    "KeyringRefused",
    "SealBroken",
    "SealingError",
    "TakenIn",
    "WrappedBytes",
    "count_keys",
    "item_context",
    "key_id_of",
    "open_incoming",
    "open_sealed",
    "read_erasures",
    "seal",
    "take_in",
]
