"""The answer of `POST /embeddings`: the engine's vectors beside those that were in memory.

Source: OpenAI's API reference for embeddings. Nothing of the vectors is journaled: they are as
telling as the text, and whoever wants them again asks again.
"""

import base64
import struct

import msgspec

from axon.inference import JobOutput, WholeBody
from axon.records import TokenUsage
from axon.turns.answer import Closing, Ending, OutputItem
from axon.turns.chunks import ABSENT, BrokenUpstream, Usage, given
from axon.turns.embedding_cache import EmbeddingPlan

CACHE_UPSTREAM = "cache"
"""Stands for the engine in the record of a request that needed none."""


class FromCache:
    """The output of a job that need not be done: every vector was in memory."""

    async def next(self) -> JobOutput:
        """Return an empty answer."""
        return WholeBody(CACHE_UPSTREAM, b"")

    async def next_all(self) -> list[JobOutput]:
        """Return the same."""
        return [await self.next()]


class _Embedded(msgspec.Struct):
    embedding: msgspec.Raw
    index: int | None = None


class _Embeddings(msgspec.Struct):
    data: list[_Embedded] = []
    usage: Usage | None = None
    id: str = ""
    error: msgspec.Raw = ABSENT


_decoder = msgspec.json.Decoder(_Embeddings)


class EmbeddingsAnswer:
    """The answer of `POST /embeddings`; never streamed."""

    upstream_id = ""

    def __init__(self, model: str, plan: EmbeddingPlan | None, as_base64: bool) -> None:
        """`plan` says which vectors are asked of the engine; None when nobody waits for them."""
        self.usage: TokenUsage | None = None
        self.complete = False
        self._model = model
        self._plan = plan
        self._as_base64 = as_base64
        self._vectors = {} if plan is None else dict(plan.known)

    def open(self) -> bytes:
        """Return nothing."""
        return b""

    def feed(self, data: bytes) -> bytes:
        """Raise BrokenUpstream: no stream was asked for."""
        raise BrokenUpstream("a stream of embeddings")

    def take_whole(self, data: bytes) -> None:
        """Take the engine's vectors, which must be those that were asked for."""
        if self._plan is not None and self._plan.asked:
            self._take(data, self._plan)
        else:
            self.usage = TokenUsage()
        self.complete = True

    def _take(self, data: bytes, plan: EmbeddingPlan) -> None:
        try:
            answer = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BrokenUpstream(str(error)) from error
        if given(answer.error):
            raise BrokenUpstream(f"the engine reported: {bytes(answer.error)[:500]!r}")
        found = {
            place if one.index is None else one.index: bytes(one.embedding)
            for place, one in enumerate(answer.data)
        }
        if sorted(found) != list(range(len(plan.asked))):
            raise BrokenUpstream(f"{len(plan.asked)} embeddings were asked for")
        for place, input_place in enumerate(plan.asked):
            key = plan.keys[input_place]
            vector = self._vectors[key] = self._encoded(found[place])
            plan.cache.keep(key, vector)
        if answer.usage is not None:
            self.usage = answer.usage.token_usage()

    def _encoded(self, vector: bytes) -> bytes:
        """Return the vector as the client asked for it; not every engine knows base64."""
        if vector[:1] == b'"' or not self._as_base64:
            return vector
        try:
            numbers = msgspec.json.decode(vector, type=list[float])
            packed = struct.pack(f"<{len(numbers)}f", *numbers)
        except (ValueError, OverflowError, RecursionError) as error:
            raise BrokenUpstream(f"a vector that is none: {error}") from error
        return b'"%b"' % base64.b64encode(packed)

    def said_anything(self) -> bool:
        """Return whether the answer is there."""
        return self.complete

    def said_no(self) -> bool:
        """Return False: no model refuses a vector."""
        return False

    def said_text(self) -> str:
        """Return nothing: vectors are no model tokens."""
        return ""

    def items(self, status: str) -> list[OutputItem]:
        """Return nothing: vectors are not stored."""
        return []

    def ending(self) -> Ending:
        """Return completed."""
        return Ending(status="completed")

    def close(self, ending: Ending, usage: TokenUsage) -> Closing:
        """Return the answer; what is kept of it has no vectors."""
        keys = self._plan.keys if self._plan is not None and ending.failure is None else ()
        vectors = [
            b'{"object":"embedding","index":%d,"embedding":%b}' % (place, self._vectors[key])
            for place, key in enumerate(keys)
        ]
        return Closing(
            shown=b"", body=self._body(b",".join(vectors), usage), kept=self._body(b"", usage)
        )

    def _body(self, vectors: bytes, usage: TokenUsage) -> bytes:
        counted = b'{"prompt_tokens":%d,"total_tokens":%d}' % (
            usage.input_tokens,
            usage.input_tokens,
        )
        return b'{"object":"list","data":[%b],"model":%b,"usage":%b}' % (
            vectors,
            msgspec.json.encode(self._model),
            counted,
        )
