"""What Axon stands on, each of which may go away: PostgreSQL, Valkey and the object store."""

from axon.stores.breaker import Breaker, Health
from axon.stores.errors import (
    BadAddress,
    MigrationChanged,
    MigrationMisnamed,
    ObjectMissing,
    ObjectsAway,
    ObjectsRefused,
    PostgresAway,
    StoreError,
    ValkeyAway,
    ValkeyRefused,
)
from axon.stores.migrations import migrate
from axon.stores.objects import Objects, ObjectsAddress
from axon.stores.postgres import ACTOR_SETTING, Postgres, PostgresOptions, means_away
from axon.stores.valkey import Valkey
from axon.stores.valkey_address import address_of_owner
from axon.stores.valkey_pipeline import ValkeyReply

__all__ = [
    "ACTOR_SETTING",
    "BadAddress",
    "Breaker",
    "Health",
    "MigrationChanged",
    "MigrationMisnamed",
    "ObjectMissing",
    "Objects",
    "ObjectsAddress",
    "ObjectsAway",
    "ObjectsRefused",
    "Postgres",
    "PostgresAway",
    "PostgresOptions",
    "StoreError",
    "Valkey",
    "ValkeyAway",
    "ValkeyRefused",
    "ValkeyReply",
    "address_of_owner",
    "means_away",
    "migrate",
]
