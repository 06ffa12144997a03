"""The answer of the legacy `POST /completions`: relayed like a chat completion.

Source: OpenAI's API reference for completions.
"""

import msgspec

from axon.records import TokenUsage
from axon.turns.chat import ChatAnswer, usage_members
from axon.turns.said import Said


class CompletionsAnswer(ChatAnswer):
    """A text completion; only what is put together from a stream has a shape of its own."""

    chunk_kind = "text_completion"

    def _end_of_choice(self, index: int) -> dict[str, object]:
        """Return what ends one choice of a stream that was cut."""
        return {"index": index, "text": "", "finish_reason": "length"}

    def put_together(self, usage: TokenUsage) -> bytes:
        """Return the whole completion as an unstreamed answer has it."""
        choices = [
            {
                "index": index,
                "text": "".join(said.text),
                "logprobs": _logprobs(said),
                "finish_reason": said.finish_reason,
            }
            for index, said in sorted(self.choices.items())
        ]
        return msgspec.json.encode(
            {
                "id": self.head.turn_id,
                "object": "text_completion",
                "created": self.head.created_s,
                "model": self.head.model,
                "choices": choices,
                "usage": usage_members(usage),
            }
        )


class _Logprobs(msgspec.Struct):
    text_offset: list[msgspec.Raw] | None = None
    token_logprobs: list[msgspec.Raw] | None = None
    tokens: list[msgspec.Raw] | None = None
    top_logprobs: list[msgspec.Raw] | None = None


def _logprobs(said: Said) -> dict[str, list[msgspec.Raw]] | None:
    """Return the pieces' log probabilities joined; None when there were none."""
    if not said.logprobs:
        return None
    joined: dict[str, list[msgspec.Raw]] = {name: [] for name in _Logprobs.__struct_fields__}
    for raw in said.logprobs:
        try:
            piece = msgspec.json.decode(raw, type=_Logprobs)
        except (ValueError, RecursionError):
            continue  # an engine's own shape: shown as it came, but not put together
        for name, values in joined.items():
            values.extend(getattr(piece, name) or ())
    return joined
