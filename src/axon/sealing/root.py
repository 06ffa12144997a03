"""The root: what wraps the keys of organizations, in the keyring or in a key management system."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from axon.sealing.errors import KeyRootRefused


class KeyContext(NamedTuple):
    """What a wrapped key is bound to: it opens for the same words only."""

    region: str
    org_id: str
    """Empty for a key that was made beforehand and has no organization yet."""
    kek_id: str

    def pairs(self) -> dict[str, str]:
        """Return it as an encryption context; no value is empty, which AWS would refuse."""
        return {
            "axon:kek": self.kek_id,
            "axon:org": self.org_id or "none yet",
            "axon:region": self.region,
        }

    def encoded(self) -> bytes:
        """Return it as bytes to authenticate; two contexts never share them."""
        return "".join(f"{len(one.encode())}:{one}" for one in self).encode()


class RootWrapped(NamedTuple):
    """A key as its root has wrapped it."""

    root: str
    """Which root, as `RootKey.name` says it."""
    version: str
    """Of the root's key; empty where the root tells none."""
    data: bytes


class RootKey(Protocol):
    """Wraps keys of 32 bytes. Every method may raise KeyRootAway and KeyRootRefused."""

    @property
    def name(self) -> str:
        """Return what is written beside the keys it wraps, as `vault:transit/axon`."""
        ...

    @property
    def remote(self) -> bool:
        """Return whether it may be away while this process lives."""
        ...

    def opens(self, root: str) -> bool:
        """Return whether it is asked about keys beside which `root` is written."""
        ...

    def knows(self, version: str) -> bool:
        """Return whether it can have this version of its key, as far as it knows unasked."""
        ...

    async def wrap(self, secret: bytes, context: KeyContext) -> RootWrapped:
        """Return the key wrapped by the root's newest version."""
        ...

    async def unwrap(self, wrapped: RootWrapped, context: KeyContext) -> bytes:
        """Return the key; raises KeyRefused when it was wrapped elsewhere or for another place."""
        ...

    async def rewrap(self, wrapped: RootWrapped, context: KeyContext) -> RootWrapped:
        """Return the same key wrapped by the root's newest version."""
        ...

    async def rotate(self) -> None:
        """Have the root make a new version; the older ones still open what they wrapped."""
        ...

    async def version(self) -> str:
        """Return the newest version; empty where the root tells none."""
        ...


class Roots:
    """The root that wraps, and those that only open what they wrapped before."""

    def __init__(self, wrapping: RootKey, others: Iterable[RootKey] = ()) -> None:
        """`wrapping` is the one of the settings; the keyring's own is always among the others."""
        self.wrapping = wrapping
        self._all = (wrapping, *others)

    async def unwrap(self, wrapped: RootWrapped, context: KeyContext) -> bytes:
        """Return the key; raises KeyRefused, KeyRootRefused, KeyRootAway."""
        return await self._root_of(wrapped).unwrap(wrapped, context)

    async def moved(
        self, wrapped: RootWrapped, before: KeyContext, context: KeyContext
    ) -> RootWrapped:
        """Return the key wrapped by the newest version of the root that wraps, for `context`."""
        root = self._root_of(wrapped)
        if root is self.wrapping and before == context:
            return await root.rewrap(wrapped, context)
        return await self.wrapping.wrap(await root.unwrap(wrapped, before), context)

    def knows(self, wrapped: RootWrapped) -> bool:
        """Return whether a key can be opened here, as far as its root knows unasked."""
        return any(root.opens(wrapped.root) and root.knows(wrapped.version) for root in self._all)

    def is_remote(self, wrapped: RootWrapped) -> bool:
        """Return whether a root has to be asked that may be away."""
        return self._root_of(wrapped).remote

    def _root_of(self, wrapped: RootWrapped) -> RootKey:
        for root in self._all:
            if root.opens(wrapped.root):
                return root
        raise KeyRootRefused(f"{wrapped.root} is not set up")
