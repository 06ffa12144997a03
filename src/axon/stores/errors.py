"""What can go wrong between Axon and its two servers."""

from axon.base import AxonError


class StoreError(AxonError):
    """A store could not do what was asked."""


class BadAddress(StoreError):
    """The address of a store cannot be read."""


class PostgresAway(StoreError):
    """PostgreSQL cannot be used now.

    What was asked may or may not have been done: only a repeatable effect may be tried again.
    """


class ValkeyAway(StoreError):
    """Valkey cannot be used now.

    The call may or may not have been carried out.
    """


class ValkeyRefused(StoreError):
    """Valkey refused the command."""


class MigrationChanged(StoreError):
    """A migration that was already applied has another content now."""


class MigrationMisnamed(StoreError):
    """A migration file must be named NNNN_what_it_does.sql, with a number of its own."""


class ObjectsAway(StoreError):
    """The object store cannot be used now.

    What was asked may or may not have been done: only a repeatable effect may be tried again.
    """


class ObjectsRefused(ObjectsAway):
    """The object store refuses the credentials, or what they may do."""


class ObjectMissing(StoreError):
    """There is no such object, or it is shorter than was asked for."""
