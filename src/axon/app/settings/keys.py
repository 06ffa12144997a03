"""The settings of the keys: what wraps them, and how it is reached."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

_URL = {"form": "an address like https://host:port"}
_PATTERN = "^(https?://.*)?$"


class KeysSettings(Struct, frozen=True, kw_only=True):
    """What wraps the keys of organizations, which wrap those of their people; see docs/keys.md."""

    root: Annotated[
        Literal["local", "vault", "aws-kms"],
        Meta(
            description="The keyring file, Vault's transit engine, or AWS KMS. Keys that another "
            "one has wrapped stay readable while it is set up; `axon keyring rotate --root` moves "
            "them."
        ),
    ] = "local"
    timeout_ms: Annotated[
        int, Meta(ge=10, le=60_000, description="Longest wait for an answer of Vault or KMS.")
    ] = 2000
    outage_max_s: Annotated[
        int,
        Meta(
            ge=60,
            description="How long keys that are in memory are used while Vault or KMS does not "
            "answer, or refuses.",
        ),
    ] = 86_400
    ca_path: Annotated[
        str, Meta(description="PEM file of the authorities they are trusted by; empty: the usual.")
    ] = ""
    vault_url: Annotated[
        str, Meta(pattern=_PATTERN, extra=_URL, description="Where Vault is. Empty: none.")
    ] = ""
    vault_token: Annotated[str, Meta(description="The token to enter it with.")] = ""
    vault_token_path: Annotated[
        str,
        Meta(
            description="A file with the token instead, read for each call: Vault's agent may "
            "renew it."
        ),
    ] = ""
    vault_namespace: Annotated[str, Meta(description="Vault's namespace; empty: its root.")] = ""
    vault_mount: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$",
            extra={"form": "a path like transit"},
            description="Where the transit engine is mounted.",
        ),
    ] = "transit"
    vault_key: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9._-]+$",
            extra={"form": "a name of letters, digits, '.', '_' and '-'"},
            description="The name of its key, of the kind aes256-gcm96.",
        ),
    ] = "axon"
    aws_region: Annotated[
        str,
        Meta(
            pattern="^[a-z0-9-]*$",
            extra={"form": "a region like eu-central-1"},
            description="The region of KMS, as `eu-central-1`. Empty: no KMS.",
        ),
    ] = ""
    aws_url: Annotated[
        str,
        Meta(
            pattern=_PATTERN,
            extra=_URL,
            description="Stands in for https://kms.REGION.amazonaws.com, as a VPC endpoint.",
        ),
    ] = ""
    aws_key: Annotated[
        str, Meta(description="Id, ARN or alias of a symmetric key, as `alias/axon`.")
    ] = "alias/axon"
    aws_access_key_id: Annotated[str, Meta(description="Who asks KMS.")] = ""
    aws_secret_access_key: Annotated[str, Meta(description="Their secret.")] = ""
    aws_session_token: Annotated[
        str, Meta(description="The token of credentials that are lent.")
    ] = ""
    aws_credentials_path: Annotated[
        str,
        Meta(
            description="A JSON file with AccessKeyId, SecretAccessKey and SessionToken instead, "
            "as `credential_process` prints it, read for each call."
        ),
    ] = ""
