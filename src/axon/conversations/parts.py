"""What the room is made from: the ground it stands on, and the bounds an operator may choose."""

from dataclasses import dataclass
from pathlib import Path

from axon.base import Clock, IdMint, Randomness
from axon.conversations.cold import Thaw, without_archive
from axon.conversations.finding import PLACES_MAX
from axon.conversations.keys import KEYS_MAX
from axon.conversations.opened import OPENED_BYTES_MAX
from axon.journal import Journal
from axon.sealing import KeyStore
from axon.stores import Postgres, Valkey


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationsParts:
    """What the room stands on; made by `app`."""

    postgres: Postgres
    valkey: Valkey
    """Best not started yet, so that no reconnection is missed."""
    journal: Journal
    keys: KeyStore
    mint: IdMint
    clock: Clock
    randomness: Randomness
    instance: str
    """The journal's instance: who holds the journal's lock may take over its own leases."""
    epoch_path: Path
    """A small file that all processes of this node share."""
    thaw: Thaw = without_archive


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationsOptions:
    """The bounds an operator may choose."""

    change_wait_s: float = 10.0
    """How long a change without a turn waits for the turns before it; then 409."""
    opened_bytes_max: int = OPENED_BYTES_MAX
    places_max: int = PLACES_MAX
    keys_max: int = KEYS_MAX


DEFAULT_OPTIONS = ConversationsOptions()
