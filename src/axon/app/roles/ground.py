"""What every room of a serving process stands on: clock, keys, PostgreSQL, Valkey."""

from dataclasses import dataclass

from axon.app.bound_stores import bound_database
from axon.app.folders import DataFolder
from axon.app.instances import own_instance
from axon.app.key_roots import open_keys
from axon.app.settings import Settings
from axon.base import Clock, IdMint, Randomness, SystemClock, SystemRandomness, instance_mark
from axon.deeds import Actor, actor_text
from axon.sealing import Keyring, KeyStore
from axon.stores import Breaker, Postgres, PostgresOptions, Valkey


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every room stands on."""

    clock: Clock
    randomness: Randomness
    keyring: Keyring
    mint: IdMint
    keys: KeyStore
    key_root: Breaker | None
    """How the root of the keys is; None where it is the keyring."""
    postgres: Postgres
    valkey: Valkey


async def open_ground(settings: Settings, folder: DataFolder) -> Ground:
    """Return the ground, PostgreSQL started and Valkey not yet; PostgreSQL may be away.

    Raises AxonError when the keyring or an address is unusable.
    """
    clock, randomness = SystemClock(), SystemRandomness()
    keyring = Keyring.open(folder.keyring, randomness)
    postgres = Postgres(
        settings.database.url,
        bound_database(
            PostgresOptions(
                connections_max=settings.database.connections_max,
                statement_timeout_s=settings.database.timeout_s,
                schema_wanted=True,
                actor=actor_text(Actor(name="serving")),
            ),
            settings.residency.region,
        ),
        clock,
    )
    keys = open_keys(settings, keyring, clock, randomness)
    await postgres.start()
    return Ground(
        clock=clock,
        randomness=randomness,
        keyring=keyring,
        mint=IdMint(keyring.identity, clock, randomness, instance_mark(own_instance(settings))),
        keys=keys.store,
        key_root=keys.gate,
        postgres=postgres,
        valkey=Valkey(settings.valkey.url, settings.valkey.timeout_ms, clock),
    )
