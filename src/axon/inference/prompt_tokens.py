"""How many model tokens a whole prompt has, its template included, by its engine."""

from enum import Enum

import msgspec

from axon.inference.engines import Engine, Engines
from axon.inference.errors import InferenceError
from axon.inference.http.fetch import fetch
from axon.inference.models import Model

PROMPT_TIMEOUT_S = 5.0
"""For one prompt, which may be as long as the model's window."""

_NO_SUCH_CALL = (404, 405, 501)


class _Dialect(Enum):
    LLAMA_CPP = "llama.cpp"
    """A chat completion's body to `chat/completions/input_tokens` answers {"input_tokens"};
    github.com/ggml-org/llama.cpp, tools/server."""
    VLLM = "vllm"
    """Messages and tools to `/tokenize` answer {"count"}; docs.vllm.ai, tokenizer API."""
    NONE = "none"


class _Counted(msgspec.Struct):
    input_tokens: int | None = None
    count: int | None = None


_decode = msgspec.json.Decoder(_Counted).decode


class PromptCounter:
    """Asks the engines to count prompts, and remembers which of them can."""

    def __init__(self, engines: Engines) -> None:
        """Nothing is asked before the first count."""
        self._engines = engines
        self._dialects: dict[str, _Dialect] = {}

    async def count(self, model: Model, fields: bytes) -> int | None:
        """Return the tokens of the prompt of a chat completion with these members.

        None when no engine of the model can say now. Waits at most PROMPT_TIMEOUT_S for each.
        """
        for upstream in sorted(model.upstreams, key=lambda upstream: upstream.order):
            engine = self._engines.get(upstream)
            if engine.breaker.state == "open":
                continue
            try:
                count = await self._ask_engine(engine, upstream.model, fields)
            except (InferenceError, ValueError, RecursionError):
                continue  # away, or busy: the next may do better
            if count is not None:
                return count
        return None

    async def _ask_engine(self, engine: Engine, model: str, fields: bytes) -> int | None:
        known = self._dialects.get(engine.name)
        tried = (known,) if known else (_Dialect.LLAMA_CPP, _Dialect.VLLM)
        missing = 0
        for dialect in tried:
            if dialect is _Dialect.NONE:
                return None
            status, count = await _ask(engine, dialect, model, fields)
            if count is not None:
                self._dialects[engine.name] = dialect
                return count
            missing += status in _NO_SUCH_CALL
        if missing == len(tried):
            self._dialects[engine.name] = _Dialect.NONE
        return None


async def _ask(
    engine: Engine, dialect: _Dialect, model: str, fields: bytes
) -> tuple[int, int | None]:
    """Return the status of the engine's answer, and the count when there is one."""
    target = engine.pool.target
    if dialect is _Dialect.LLAMA_CPP:
        path = f"{target.path}/chat/completions/input_tokens"
    else:
        path = f"{target.root}/tokenize"
    body = b'{"model":%b,%b}' % (msgspec.json.encode(model), fields)
    fetched = await fetch(engine.pool, "POST", path, body, PROMPT_TIMEOUT_S)
    if fetched.status != 200:
        return fetched.status, None
    counted = _decode(fetched.body)
    count = counted.input_tokens if dialect is _Dialect.LLAMA_CPP else counted.count
    return fetched.status, count
