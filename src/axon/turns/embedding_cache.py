"""Vectors an engine has made before: kept in memory, for the person whose text it was alone."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from axon.base import MIB, Randomness
from axon.telemetry import counter
from axon.turns.engine_request import Fields, is_for_engine

CACHE_BYTES_MAX = 64 * MIB
"""Some 8,000 vectors of 1,536 dimensions in base64; the ones not asked for longest go first."""

ENTRY_BYTES = 200
"""What an entry costs beside its vector: a key and its places in the table."""

_DIGEST_BYTES = 32

_hits = counter("axon_embedding_cache_hits_total", "Inputs whose embedding was in memory.")
_misses = counter("axon_embedding_cache_misses_total", "Inputs an engine had to embed.")


class EmbeddingPlan(msgspec.Struct, frozen=True, gc=False):
    """How one request is answered: what is known, and what is asked of the engine."""

    keys: tuple[bytes, ...]
    """The cache's key of each input, in the client's order; equal inputs have equal keys."""
    known: dict[bytes, bytes]
    """The vectors that were in the cache, as JSON, by key."""
    asked: tuple[int, ...]
    """Places of the inputs the engine is asked for, each different input once."""
    cache: "EmbeddingCache"
    """Where the engine's vectors are kept."""


class EmbeddingCache:
    """The vectors of one process, bounded in bytes; gone when it ends.

    The key is a hash, under a secret of this process, of the organization, the person, the model,
    every parameter and the input. So nobody is answered with, or learns of, another's text.
    """

    def __init__(self, randomness: Randomness, bytes_max: int = CACHE_BYTES_MAX) -> None:
        """`bytes_max` bounds vectors and entries together; a larger vector is not kept."""
        self._secret = randomness.bytes(hashlib.blake2b.MAX_KEY_SIZE)
        self._bytes_max = bytes_max
        self._vectors: OrderedDict[bytes, bytes] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        """Return how many vectors are kept."""
        return len(self._vectors)

    def plan(
        self, person: tuple[str, int], model: str, fields: Fields, inputs: Sequence[bytes]
    ) -> EmbeddingPlan:
        """Return how to answer `inputs`, each as JSON, for a person (organization, user).

        `fields` are the request's; those the engine gets, but for the input, are part of the key.
        """
        scope = self._scope(person, model, fields)
        keys = tuple(self._hash(scope, text) for text in inputs)
        known: dict[bytes, bytes] = {}
        asked: dict[bytes, int] = {}
        for place, key in enumerate(keys):
            vector = self._vectors.get(key)
            if vector is not None:
                self._vectors.move_to_end(key)
                known[key] = vector
            else:
                asked.setdefault(key, place)
        _hits.inc(len(keys) - len(asked))
        _misses.inc(len(asked))
        return EmbeddingPlan(keys, known, tuple(asked.values()), self)

    def keep(self, key: bytes, vector: bytes) -> None:
        """Remember the vector of an input, and forget the oldest beyond the bound."""
        if key in self._vectors or len(vector) + ENTRY_BYTES > self._bytes_max:
            return
        self._vectors[key] = vector
        self.bytes += len(vector) + ENTRY_BYTES
        while self.bytes > self._bytes_max:
            _, oldest = self._vectors.popitem(last=False)
            self.bytes -= len(oldest) + ENTRY_BYTES

    def _scope(self, person: tuple[str, int], model: str, fields: Fields) -> bytes:
        """Return the hash of all that two requests must share, apart from the input."""
        org_id, user = person
        parts = [org_id.encode(), b"%d" % user, model.encode()]
        for name in sorted(fields):
            if name != "input" and is_for_engine(name):
                parts += [name.encode(), bytes(fields[name])]
        return self._hash(*parts)

    def _hash(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._secret, digest_size=_DIGEST_BYTES)
        for part in parts:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.digest()
