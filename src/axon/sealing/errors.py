"""What can go wrong with keys and sealed content."""

from axon.base import AxonError


class SealingError(AxonError):
    """Content could not be sealed or opened."""


class SealBroken(SealingError):
    """This sealed content is damaged, or was sealed for another place or under another key."""


class ContentTooLarge(SealingError):
    """The content is too large to be sealed."""


class KeyGone(SealingError):
    """The key of this content is not here: it was erased, or this node never had it."""


class KeyringRefused(SealingError):
    """A file of keys cannot be used."""


class KeyStoreBusy(SealingError):
    """Too many people wait for their first key."""


class KeyStoreFailed(SealingError):
    """The file of data keys cannot be read or written."""


class KeyRootUnavailable(SealingError):
    """The root of the keys could not be asked: no key that is not at hand can be opened."""


class KeyRootAway(KeyRootUnavailable):
    """The root of the keys does not answer."""


class KeyRootRefused(KeyRootUnavailable):
    """The root of the keys says no: its key, our token or a permission is wrong."""


class KeyRefused(SealingError):
    """The root of the keys did not wrap this key, or wrapped it for another place."""
