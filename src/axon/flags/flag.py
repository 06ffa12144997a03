"""One flag, ready to be asked."""

from collections.abc import Mapping

from axon.flags.values import (
    DEFAULT,
    DISABLED,
    ERROR,
    STATIC,
    Evaluation,
    EvaluationContext,
    JsonValue,
    Primitive,
)


class Flag:
    """One definition. What it can answer is made once, and shared by all who ask."""

    __slots__ = (
        "bucketing",
        "default_variant",
        "enabled",
        "fixed",
        "key",
        "kind",
        "metadata",
        "unit",
        "variants",
        "version",
    )

    def __init__(
        self,
        key: str,
        kind: str,
        variants: Mapping[str, JsonValue],
        metadata: Mapping[str, Primitive],
        version: str,
    ) -> None:
        self.key = key
        self.kind = kind
        self.variants = variants
        self.metadata = metadata
        self.version = version
        self.default_variant: str | None = None
        self.enabled = True
        self.bucketing = "v3"
        self.unit = "user"
        self.fixed: Evaluation | None = None

    def evaluate(self, context: EvaluationContext) -> Evaluation:
        """Return what it answers; never raises."""
        if not self.enabled:
            return self.answer(None, DISABLED, detail="its state is DISABLED")
        reason = STATIC if self.default_variant is not None else DEFAULT
        return self.answer(self.default_variant, reason)

    def failed(self, error_code: str, detail: str) -> Evaluation:
        """Return that it could not be decided: off."""
        return self.answer(None, ERROR, error_code=error_code, detail=detail)

    def answer(
        self, variant: str | None, reason: str, *, error_code: str | None = None, detail: str = ""
    ) -> Evaluation:
        """Return that it answers with a variant of its own, or with none."""
        return Evaluation(
            key=self.key,
            value=None if variant is None else self.variants[variant],
            variant=variant,
            reason=reason,
            metadata=self.metadata,
            definition_version=self.version,
            bucketing_version=self.bucketing,
            unit=self.unit,
            error_code=error_code,
            detail=detail,
        )
