"""How many model tokens a text has: exactly, by the engine that will read it, or estimated."""

from collections.abc import Sequence
from enum import Enum

import msgspec

from axon.inference.engines import Engine, Engines
from axon.inference.errors import InferenceError
from axon.inference.http.fetch import Fetched, fetch
from axon.inference.models import Model

COUNT_TIMEOUT_S = 2.0
"""For one text; a tokenizer that needs longer is slower than the mistake of the estimate costs."""

TEXTS_MAX = 4096
"""Texts counted in one go; a conversation of more items is estimated."""

_LOWER_CASE = b"abcdefghijklmnopqrstuvwxyz"


def estimate_tokens(text: str | bytes) -> int:
    """Return an estimate of the model tokens of a text, on the high side; 0 only when it is empty.

    One for four lower-case letters, one for every other byte of UTF-8, and one more: a byte-level
    tokenizer makes at most a token of a byte, and only words are worth several. Measured with
    SmolLM2's (49,152 tokens, English) this is 1.1 to 2.2 times the true count for prose in a
    dozen languages and for code. What is generated rather than written can exceed it:
    hexadecimal strings by a quarter, random lower-case letters twice.
    """
    data = text.encode() if isinstance(text, str) else text
    if not data:
        return 0
    others = len(data.translate(None, _LOWER_CASE))
    return (len(data) - others) // 4 + others + 1


class _Dialect(Enum):
    LLAMA_CPP = "llama.cpp"
    """POST {"content"} answers {"tokens": [...]}; github.com/ggml-org/llama.cpp, tools/server."""
    VLLM = "vllm"
    """POST {"prompt"} answers {"count"}; docs.vllm.ai, tokenizer API."""
    NONE = "none"


class _CannotCount(InferenceError):
    """The engine has no tokenizer to ask."""


class _Counted(msgspec.Struct):
    tokens: list[msgspec.Raw] | None = None
    count: int | None = None


_decode = msgspec.json.Decoder(_Counted).decode


class TokenCounter:
    """Asks the engines' own tokenizers, and remembers which engines have one."""

    def __init__(self, engines: Engines) -> None:
        """Nothing is asked before the first count."""
        self._engines = engines
        self._dialects: dict[str, _Dialect] = {}

    async def count(self, model: Model, texts: Sequence[str]) -> list[int] | None:
        """Return the model tokens of each text, or None when no engine of the model can say now.

        It waits at most COUNT_TIMEOUT_S for each text.
        """
        if len(texts) > TEXTS_MAX:
            return None
        for upstream in sorted(model.upstreams, key=lambda upstream: upstream.order):
            engine = self._engines.get(upstream)
            if engine.breaker.state == "open":
                continue
            try:
                return [await self._count(engine, upstream.model, text) for text in texts]
            except (InferenceError, ValueError, RecursionError):
                continue  # away, or without a tokenizer: the next may do better
        return None

    async def _count(self, engine: Engine, model: str, text: str) -> int:
        known = self._dialects.get(engine.name)
        tried = (known,) if known else (_Dialect.LLAMA_CPP, _Dialect.VLLM)
        for dialect in tried:
            if dialect is _Dialect.NONE:
                raise _CannotCount(engine.name)
            fetched = await _ask(engine, dialect, model, text)
            counted = _decode(fetched.body) if fetched.status == 200 else _Counted()
            count = len(counted.tokens) if counted.tokens is not None else counted.count
            if count is not None:
                self._dialects[engine.name] = dialect
                return count
            if fetched.status >= 500:
                raise _CannotCount(engine.name)  # it may have a tokenizer on a better day
        if known is None:
            self._dialects[engine.name] = _Dialect.NONE
        raise _CannotCount(engine.name)


async def _ask(engine: Engine, dialect: _Dialect, model: str, text: str) -> Fetched:
    if dialect is _Dialect.LLAMA_CPP:
        body = msgspec.json.encode({"content": text})
    else:
        body = msgspec.json.encode({"model": model, "prompt": text, "add_special_tokens": False})
    path = f"{engine.pool.target.root}/tokenize"
    return await fetch(engine.pool, "POST", path, body, COUNT_TIMEOUT_S)
