"""The two servers Axon stands on, each of which may go away: PostgreSQL and Valkey."""

from axon.stores.breaker import Breaker, Health
from axon.stores.errors import (
    BadAddress,
    MigrationChanged,
    MigrationMisnamed,
    PostgresAway,
    StoreError,
    ValkeyAway,
    ValkeyRefused,
)
from axon.stores.migrations import migrate
from axon.stores.postgres import ACTOR_SETTING, Postgres, PostgresOptions, means_away
from axon.stores.valkey import Valkey
from axon.stores.valkey_pipeline import ValkeyReply

__all__ = [
    "ACTOR_SETTING",
    "BadAddress",
    "Breaker",
    "Health",
    "MigrationChanged",
    "MigrationMisnamed",
    "Postgres",
    "PostgresAway",
    "PostgresOptions",
    "StoreError",
    "Valkey",
    "ValkeyAway",
    "ValkeyRefused",
    "ValkeyReply",
    "means_away",
    "migrate",
]
