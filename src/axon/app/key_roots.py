"""Opens the key store under the root that the settings name."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from axon.app.folders import DataFolder
from axon.app.settings import KeysSettings, Settings
from axon.base import AxonError, Clock, Randomness
from axon.sealing import (
    AwsCredentials,
    AwsOptions,
    AwsRoot,
    GuardedRoot,
    Keyring,
    KeyRootRefused,
    KeyStore,
    KeyStoreOptions,
    LocalRoot,
    RootHttp,
    RootKey,
    Roots,
    VaultOptions,
    VaultRoot,
)
from axon.stores import Breaker

NAME = "key-root"

_MS_PER_S = 1000


class KeyRootNotSet(AxonError):
    """The settings name a root of the keys, and not how to reach it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedKeys:
    """A key store, and how its root is."""

    store: KeyStore
    gate: Breaker | None
    """None where the keyring is the root, which cannot be away."""


class _LentCredentials(msgspec.Struct):
    access_key_id: str = msgspec.field(name="AccessKeyId")
    secret_access_key: str = msgspec.field(name="SecretAccessKey")
    session_token: str = msgspec.field(name="SessionToken", default="")


def open_keys(
    settings: Settings, keyring: Keyring, clock: Clock, randomness: Randomness
) -> OpenedKeys:
    """Return the data folder's key store, to be closed; blocks, and asks no root.

    Raises KeyRootNotSet, KeyringRefused, KeyStoreFailed.
    """
    roots, gate = key_roots(settings.keys, keyring, clock, randomness)
    options = KeyStoreOptions(
        region=region_of(settings), roots=roots, outage_max_s=settings.keys.outage_max_s
    )
    path = DataFolder.of(settings).key_store
    return OpenedKeys(store=KeyStore(path, keyring, clock, randomness, options), gate=gate)


def region_of(settings: Settings) -> str:
    """Return the region that an organization's keys of this installation are of."""
    return settings.residency.region or "local"


def key_roots(
    settings: KeysSettings, keyring: Keyring, clock: Clock, randomness: Randomness
) -> tuple[Roots, Breaker | None]:
    """Return the root that wraps, beside all others that are set up, and how it is.

    Raises KeyRootNotSet, KeyringRefused; blocks for the file of trusted authorities.
    """
    local = LocalRoot(keyring, randomness)
    remote = {"vault": _vault(settings), "aws-kms": _aws(settings, clock)}
    if settings.root == "local":
        # Keys that were wrapped there are asked for there; nothing new is.
        others = [_guarded(root, _gate(clock), settings) for root in remote.values()
                  if root is not None]  # fmt: skip
        return Roots(local, others), None
    chosen = remote.pop(settings.root)
    if chosen is None:
        wanted = {"vault": "keys.vault_url", "aws-kms": "keys.aws_region"}[settings.root]
        raise KeyRootNotSet(f"keys.root is {settings.root}: {wanted} has to be set")
    gate = _gate(clock)
    others = [_guarded(root, gate, settings) for root in remote.values() if root is not None]
    return Roots(_guarded(chosen, gate, settings), [local, *others]), gate


def _gate(clock: Clock) -> Breaker:
    """Return a gate that shuts for a second with the first failure: calls are few."""
    return Breaker(NAME, failures_to_open=1, clock=clock)


def _guarded(root: RootKey, gate: Breaker, settings: KeysSettings) -> GuardedRoot:
    return GuardedRoot(root, gate, settings.timeout_ms / _MS_PER_S)


def _vault(settings: KeysSettings) -> RootKey | None:
    if not settings.vault_url:
        return None

    def token() -> str:
        if not settings.vault_token_path:
            return settings.vault_token
        return _read(settings.vault_token_path).decode(errors="replace").strip()

    return VaultRoot(
        VaultOptions(
            http=RootHttp(settings.vault_url, settings.timeout_ms / _MS_PER_S, settings.ca_path),
            token=token,
            key=settings.vault_key,
            mount=settings.vault_mount,
            namespace=settings.vault_namespace,
        )
    )


def _aws(settings: KeysSettings, clock: Clock) -> RootKey | None:
    if not settings.aws_region:
        return None
    given = AwsCredentials(
        access_key_id=settings.aws_access_key_id,
        secret_access_key=settings.aws_secret_access_key,
        session_token=settings.aws_session_token,
    )

    def credentials() -> AwsCredentials:
        if not settings.aws_credentials_path:
            return given
        try:
            lent = msgspec.json.decode(_read(settings.aws_credentials_path), type=_LentCredentials)
        except msgspec.DecodeError:
            path = settings.aws_credentials_path
            raise KeyRootRefused(f"{path} does not hold credentials") from None
        return AwsCredentials(
            access_key_id=lent.access_key_id,
            secret_access_key=lent.secret_access_key,
            session_token=lent.session_token,
        )

    url = settings.aws_url or f"https://kms.{settings.aws_region}.amazonaws.com"
    return AwsRoot(
        AwsOptions(
            http=RootHttp(url, settings.timeout_ms / _MS_PER_S, settings.ca_path),
            credentials=credentials,
            key=settings.aws_key,
            region=settings.aws_region,
            clock=clock,
        )
    )


def _read(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise KeyRootRefused(f"{path}: {error.strerror}") from error
