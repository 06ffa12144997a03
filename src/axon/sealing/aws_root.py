"""AWS KMS as the root, and whatever speaks its JSON protocol: keys are wrapped there.

The context of each key is its encryption context, which KMS authenticates and CloudTrail shows.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from axon.base import Clock, utc_from_us
from axon.sealing.aws_signing import AwsCredentials, AwsRequest, signed
from axon.sealing.errors import KeyRefused, KeyRootAway, KeyRootRefused, KeyRootUnavailable
from axon.sealing.root import KeyContext, RootWrapped
from axon.sealing.root_http import REASON_CHARACTERS, Answer, RootHttp

_SCHEME = "aws-kms:"

_ABOUT_THIS_KEY = ("InvalidCiphertextException", "IncorrectKeyException")
"""Refusals of one wrapped key; the others are about ours at KMS, or about who asks."""

_PASSING = (
    "ThrottlingException",
    "LimitExceededException",
    "DependencyTimeoutException",
    "KMSInternalException",
    "KeyUnavailableException",
    "RequestExpired",
)

Body = dict[str, str | dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsOptions:
    """Which key of which KMS."""

    http: RootHttp
    credentials: Callable[[], AwsCredentials]
    """Asked before each call, so that another one can renew them. Blocks for a small file at most;
    raises KeyRootRefused."""
    key: str
    """Its id, ARN or alias."""
    region: str
    """AWS's, as `eu-central-1`."""
    clock: Clock


class _Key(msgspec.Struct):
    key_id: str = msgspec.field(name="KeyId")


class _Told(msgspec.Struct):
    ciphertext: bytes = msgspec.field(default=b"", name="CiphertextBlob")
    plaintext: bytes = msgspec.field(default=b"", name="Plaintext")
    key: _Key | None = msgspec.field(default=None, name="KeyMetadata")


class _Errors(msgspec.Struct):
    kind: str = msgspec.field(default="", name="__type")
    upper: str = msgspec.field(default="", name="Message")
    lower: str = msgspec.field(default="", name="message")


class AwsRoot:
    """A symmetric key of KMS."""

    remote = True

    def __init__(self, options: AwsOptions) -> None:
        """KMS is not asked yet."""
        self._options = options

    @property
    def name(self) -> str:
        """Return `aws-kms:` and the key as the settings name it."""
        return _SCHEME + self._options.key

    def opens(self, root: str) -> bool:
        """Return whether a key of KMS wrapped it, be it an earlier one."""
        return root.startswith(_SCHEME)

    def knows(self, version: str) -> bool:
        """Return True: it is not ours to know."""
        return True

    async def wrap(self, secret: bytes, context: KeyContext) -> RootWrapped:
        """Return the key wrapped by KMS's present material; raises as the port says."""
        body: Body = {
            "KeyId": self._options.key,
            "Plaintext": base64.b64encode(secret).decode(),
            "EncryptionContext": context.pairs(),
        }
        return self._wrapped((await self._called("Encrypt", body)).ciphertext)

    async def unwrap(self, wrapped: RootWrapped, context: KeyContext) -> bytes:
        """Return the key; raises as the port says."""
        body: Body = {
            "KeyId": wrapped.root.removeprefix(_SCHEME),
            "CiphertextBlob": base64.b64encode(wrapped.data).decode(),
            "EncryptionContext": context.pairs(),
        }
        plaintext = (await self._called("Decrypt", body)).plaintext
        if not plaintext:
            raise KeyRootAway("its answer holds no plaintext")
        return plaintext

    async def rewrap(self, wrapped: RootWrapped, context: KeyContext) -> RootWrapped:
        """Return the same key wrapped anew, which it never leaves KMS for."""
        body: Body = {
            "SourceKeyId": wrapped.root.removeprefix(_SCHEME),
            "SourceEncryptionContext": context.pairs(),
            "CiphertextBlob": base64.b64encode(wrapped.data).decode(),
            "DestinationKeyId": self._options.key,
            "DestinationEncryptionContext": context.pairs(),
        }
        return self._wrapped((await self._called("ReEncrypt", body)).ciphertext)

    async def rotate(self) -> None:
        """Have KMS make new material for the key, which it allows a few times in all."""
        key = (await self._called("DescribeKey", {"KeyId": self._options.key})).key
        if key is None:
            raise KeyRootAway("its answer holds no key")
        await self._called("RotateKeyOnDemand", {"KeyId": key.key_id})  # it takes no alias

    async def version(self) -> str:
        """Return '': KMS finds the material of a key by itself."""
        return ""

    def _wrapped(self, ciphertext: bytes) -> RootWrapped:
        if not ciphertext:
            raise KeyRootAway("its answer holds no ciphertext")
        return RootWrapped(self.name, "", ciphertext)

    async def _called(self, action: str, body: Body) -> _Told:
        options = self._options
        content = msgspec.json.encode(body)
        request = AwsRequest(
            method="POST",
            target="/",
            headers={
                "host": options.http.authority,
                "content-type": "application/x-amz-json-1.1",
                "x-amz-target": f"TrentService.{action}",
            },
            body=content,
            region=options.region,
            service="kms",
        )
        now = utc_from_us(options.clock.now_us())
        headers = signed(request, options.credentials(), now)
        answer = await options.http.call("POST", "/", headers, content)
        if answer.status != HTTPStatus.OK:
            raise _refusal(answer)
        try:
            return msgspec.json.decode(answer.body or b"{}", type=_Told)
        except msgspec.DecodeError as error:
            raise KeyRootAway("its answer cannot be read") from error


def _refusal(answer: Answer) -> KeyRefused | KeyRootUnavailable:
    try:
        said = msgspec.json.decode(answer.body, type=_Errors)
    except msgspec.DecodeError:
        said = _Errors()
    kind = said.kind.rpartition("#")[2]
    why = f"status {answer.status}: {kind} {said.upper or said.lower}"[:REASON_CHARACTERS]
    if kind in _ABOUT_THIS_KEY:
        return KeyRefused(why)
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or kind in _PASSING:
        return KeyRootAway(why)
    return KeyRootRefused(why)
