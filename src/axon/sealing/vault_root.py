"""HashiCorp Vault's transit engine as the root: keys are wrapped there and never leave it.

Axon authenticates its context with each key, as `associated_data`; Vault's own `rewrap` knows none,
so a key is moved to a newer version by decrypting and encrypting it.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

import msgspec

from axon.sealing.errors import KeyRefused, KeyRootAway, KeyRootRefused
from axon.sealing.root import KeyContext, RootWrapped
from axon.sealing.root_http import REASON_CHARACTERS, Answer, RootHttp

_SCHEME = "vault:"

_PASSING = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.PRECONDITION_FAILED,  # a standby that has not heard yet
    HTTPStatus.TOO_MANY_REQUESTS,
)
"""Refusals that pass by themselves; and all of 500 and more, as of a Vault that is sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultOptions:
    """Which key of which Vault."""

    http: RootHttp
    token: Callable[[], str]
    """Asked before each call, so that another one can renew it. Blocks for a small file at most;
    raises KeyRootRefused."""
    key: str
    mount: str = "transit"
    namespace: str = ""


class _Told(msgspec.Struct):
    ciphertext: str = ""
    plaintext: str = ""
    latest_version: int = 0


class _Answer(msgspec.Struct):
    data: _Told


class _Errors(msgspec.Struct):
    errors: list[str] = []


_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class VaultRoot:
    """A key of the transit engine; it has to be of a kind that authenticates, as aes256-gcm96."""

    remote = True

    def __init__(self, options: VaultOptions) -> None:
        """Vault is not asked yet."""
        self._options = options
        self._place = f"{options.mount}/{options.key}"

    @property
    def name(self) -> str:
        """Return `vault:`, its mount and its key."""
        return _SCHEME + self._place

    def opens(self, root: str) -> bool:
        """Return whether a key of this Vault wrapped it, be it an earlier one."""
        return root.startswith(_SCHEME)

    def knows(self, version: str) -> bool:
        """Return True: it is not ours to know."""
        return True

    async def wrap(self, secret: bytes, context: KeyContext) -> RootWrapped:
        """Return the key wrapped by the newest version; raises as the port says."""
        body = {"plaintext": _base64(secret), "associated_data": _base64(context.encoded())}
        told = await self._posted(self._place, "encrypt", body)
        kind, _, rest = told.ciphertext.partition(":")
        version, _, _ = rest.partition(":")
        if kind != "vault" or not version.startswith("v"):
            raise KeyRootAway("its answer holds no ciphertext")
        return RootWrapped(self.name, version, told.ciphertext.encode())

    async def unwrap(self, wrapped: RootWrapped, context: KeyContext) -> bytes:
        """Return the key; raises as the port says."""
        body = {
            "ciphertext": wrapped.data.decode(errors="replace"),
            "associated_data": _base64(context.encoded()),
        }
        told = await self._posted(wrapped.root.removeprefix(_SCHEME), "decrypt", body)
        try:
            return base64.b64decode(told.plaintext, validate=True)
        except ValueError as error:
            raise KeyRootAway("its answer holds no plaintext") from error

    async def rewrap(self, wrapped: RootWrapped, context: KeyContext) -> RootWrapped:
        """Return the same key wrapped by the newest version; raises as the port says."""
        return await self.wrap(await self.unwrap(wrapped, context), context)

    async def rotate(self) -> None:
        """Have Vault make a new version of the key; its token has to be allowed to."""
        await self._called("POST", f"{self._options.mount}/keys/{self._options.key}/rotate", {})

    async def version(self) -> str:
        """Return the newest version, as `v3`."""
        answer = await self._called("GET", f"{self._options.mount}/keys/{self._options.key}", None)
        return f"v{_read(answer.body, _Answer).data.latest_version}"

    async def _posted(self, place: str, verb: str, body: dict[str, str]) -> _Told:
        mount, _, key = place.rpartition("/")
        answer = await self._called("POST", f"{mount}/{verb}/{key}", body)
        return _read(answer.body, _Answer).data

    async def _called(self, method: str, path: str, body: dict[str, str] | None) -> Answer:
        options = self._options
        headers = {"X-Vault-Token": options.token(), "X-Vault-Request": "true"}
        if options.namespace:
            headers["X-Vault-Namespace"] = options.namespace
        content = b"" if body is None else msgspec.json.encode(body)
        answer = await options.http.call(method, f"/v1/{path}", headers, content)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise _refusal(answer)
        return answer


def _refusal(answer: Answer) -> KeyRefused | KeyRootAway | KeyRootRefused:
    try:
        said = msgspec.json.decode(answer.body, type=_Errors).errors
    except msgspec.DecodeError:
        said = []
    why = f"status {answer.status}: {'; '.join(said)}"[:REASON_CHARACTERS]
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in _PASSING:
        return KeyRootAway(why)
    # A 400 is about what was asked: this key, in this place. All else is about who asks.
    return KeyRefused(why) if answer.status == HTTPStatus.BAD_REQUEST else KeyRootRefused(why)


def _read(body: bytes, kind: type[_Struct]) -> _Struct:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise KeyRootAway("its answer cannot be read") from error


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
