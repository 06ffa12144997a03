"""What an engine has said so far in one choice, put together from its deltas."""

import msgspec

from axon.turns.chunks import Choice, MessagePart, given


class _Logprobs(msgspec.Struct):
    content: list[msgspec.Raw] | None = None
    refusal: list[msgspec.Raw] | None = None


_decode_logprobs = msgspec.json.Decoder(_Logprobs).decode


def token_logprobs(logprobs: msgspec.Raw, of_refusal: bool = False) -> list[msgspec.Raw]:
    """Return the log probabilities of a choice's tokens, those of its text or its refusal.

    Nothing where there are none, or an engine has a shape of its own for them.
    """
    if not given(logprobs):
        return []
    try:
        decoded = _decode_logprobs(logprobs)
    except (ValueError, RecursionError):
        return []
    return (decoded.refusal if of_refusal else decoded.content) or []


class _Likely(msgspec.Struct):
    """A token that could have been said."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class Token(_Likely):
    """A token that was said."""

    top_logprobs: list[_Likely] = []


def response_logprobs(logprobs: msgspec.Raw) -> list[Token]:
    """Return the log probabilities of a text's tokens as a response shows them: bytes and all."""
    tokens = []
    for raw in token_logprobs(logprobs):
        try:
            tokens.append(msgspec.json.decode(raw, type=Token))
        except (ValueError, RecursionError):
            continue  # an engine's own shape
    for token in tokens:
        for one in (token, *token.top_logprobs):
            if one.bytes is None:
                one.bytes = list(one.token.encode())
    return tokens


class SaidCall:
    """One function call, growing."""

    __slots__ = ("arguments", "call_id", "name")

    def __init__(self) -> None:
        """Start empty."""
        self.call_id = ""
        self.name = ""
        self.arguments: list[str] = []


class Said:
    """One choice, growing: text, refusal, reasoning, calls and why it stopped."""

    __slots__ = ("calls", "finish_reason", "logprobs", "reasoning", "refusal", "text")

    def __init__(self) -> None:
        """Start with nothing said."""
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.reasoning: list[str] = []
        self.calls: dict[int, SaidCall] = {}
        self.logprobs: list[msgspec.Raw] = []
        self.finish_reason: str | None = None

    @property
    def anything(self) -> bool:
        """Return whether a client could have seen any of it."""
        return bool(self.text or self.refusal or self.reasoning or self.calls)

    @property
    def is_refusal(self) -> bool:
        """Return whether the model refused, in its own words or by its filter."""
        return bool(self.refusal) or self.finish_reason == "content_filter"

    def hear(self, choice: Choice) -> MessagePart | None:
        """Take in a delta or a whole message; return it when it carries anything."""
        if choice.finish_reason is not None:
            self.finish_reason = choice.finish_reason
        if given(choice.logprobs):
            self.logprobs.append(choice.logprobs)
        if choice.text:
            self.text.append(choice.text)
        part = choice.delta or choice.message
        if part is None:
            return None
        if part.content:
            self.text.append(part.content)
        if part.refusal:
            self.refusal.append(part.refusal)
        thought = part.reasoning_content or part.reasoning
        if thought:
            self.reasoning.append(thought)
        for place, piece in enumerate(part.tool_calls or ()):
            call = self.calls.setdefault(place if piece.index is None else piece.index, SaidCall())
            if piece.id and not call.call_id:
                call.call_id = piece.id
            if piece.function is not None:
                if piece.function.name and not call.name:
                    call.name = piece.function.name
                if piece.function.arguments:
                    call.arguments.append(piece.function.arguments)
        return part

    def estimated_text(self) -> str:
        """Return everything said as one text, to count when the engine did not."""
        calls = [call.name + "".join(call.arguments) for call in self.calls.values()]
        return "".join([*self.reasoning, *self.text, *self.refusal, *calls])
