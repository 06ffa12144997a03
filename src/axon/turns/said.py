"""What an engine has said so far in one choice, put together from its deltas."""

import msgspec

from axon.turns.chunks import Choice, MessagePart, given


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

    def hear(self, choice: Choice) -> MessagePart | None:
        """Take in a delta or a whole message; return it when it carries anything."""
        if choice.finish_reason is not None:
            self.finish_reason = choice.finish_reason
        if given(choice.logprobs):
            self.logprobs.append(choice.logprobs)
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
