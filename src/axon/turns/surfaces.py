"""The shapes a client may ask in, and what follows from each."""

from typing import NamedTuple


class Surface(NamedTuple):
    """One of OpenAI's calls that ask an engine for something."""

    id_prefix: str
    """Of the ids of its turns."""
    engine_path: str
    """What is asked of the engine, below its base address."""


SURFACES = {
    "chat": Surface("chatcmpl", "chat/completions"),
    "responses": Surface("resp", "chat/completions"),
    "completions": Surface("cmpl", "completions"),
    "embeddings": Surface("embd", "embeddings"),
}
"""By name. Engines need not know responses: Axon translates them to chat completions."""
