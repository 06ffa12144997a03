"""What `/openapi.json` says of the answers of models."""

from typing import Any, Literal

import msgspec


class Response(msgspec.Struct):
    """OpenAI's Response object."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "cancelled", "failed"]
    model: str
    output: list[dict[str, Any]]
    metadata: dict[str, str] | None
    conversation: dict[str, str] | None


class ChatCompletion(msgspec.Struct):
    """A chat completion, as the engine made it."""

    id: str
    choices: list[dict[str, Any]]


class Completion(msgspec.Struct):
    """A text completion, as the engine made it."""

    id: str
    choices: list[dict[str, Any]]


class Embeddings(msgspec.Struct):
    """The embeddings, in the order of the inputs."""

    data: list[dict[str, Any]]


class InputTokens(msgspec.Struct):
    """How long an input is."""

    object: Literal["response.input_tokens"]
    input_tokens: int
    counted_by: str
    """The engine, or an estimate that errs on the high side."""


class Compaction(msgspec.Struct):
    """A summary in place of a long input."""

    id: str
    object: Literal["response.compaction"]
    created_at: int
    output: list[dict[str, Any]]
    usage: dict[str, Any]


TURN_ANSWERS: dict[str, type[msgspec.Struct]] = {
    "chat.create_completion": ChatCompletion,
    "responses.create_response": Response,
    "response_items.count_input_tokens": InputTokens,
    "compaction.compact_input": Compaction,
    "embeddings.create_embeddings": Embeddings,
    "completions.create_completion": Completion,
    "stored_chat.get_completion": ChatCompletion,
    "stored_chat.update_completion": ChatCompletion,
    "stored_responses.get_response": Response,
    "stored_responses.cancel_response": Response,
    "conversation_regenerate.regenerate": Response,
}
"""The JSON object of each operation."""
