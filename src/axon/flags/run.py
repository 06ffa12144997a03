"""One evaluation under way."""

from collections.abc import Callable

from axon.flags.coercion import Work
from axon.flags.values import EvaluationContext, JsonValue


class Run(Work, kw_only=True, gc=False):
    """What the rules of one flag read for one context, and what they say beside their result."""

    context: EvaluationContext
    data: dict[str, JsonValue]
    """The context's; closer, because every rule reads it."""
    split: bool = False
    """Whether a split placed the unit on the way."""

    def everything(self, flag_key: str) -> dict[str, JsonValue]:
        """Return all that rules can read, with what flagd adds."""
        flagd: JsonValue = {"flagKey": flag_key, "timestamp": self.context.timestamp}
        return {**self.data, "$flagd": flagd}


Rule = Callable[[JsonValue, Run], JsonValue]
"""A compiled part of a targeting: its result in a scope, which is what `var` reads."""
