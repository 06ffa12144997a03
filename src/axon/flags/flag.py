"""One flag, ready to be asked."""

from collections.abc import Mapping
from typing import NamedTuple

from axon.flags.coercion import LogicFailed
from axon.flags.rollout import Rollout
from axon.flags.run import Rule, Run
from axon.flags.turn_effect import TurnEffect
from axon.flags.values import (
    DEFAULT,
    DISABLED,
    ERROR,
    GENERAL,
    SPLIT,
    STATIC,
    TARGETING_KEY_MISSING,
    TARGETING_MATCH,
    Evaluation,
    EvaluationContext,
    JsonValue,
    Primitive,
    variant_name,
)

_RULE_ERRORS = (
    ArithmeticError,  # a division by zero, a number too large for a float
    LookupError,
    RecursionError,  # two deep values compared
    TypeError,
    ValueError,
)
"""How a rule can fail on values nobody thought of. Whatever else it raises is a mistake of ours."""


class FlagParts(NamedTuple):
    """What a flag is made of."""

    key: str
    kind: str
    """Of all its variants: boolean, string, number or object."""
    variants: Mapping[str, JsonValue]
    default_variant: str | None
    """None: what the caller does without the flag."""
    enabled: bool
    targeting: Rule | None
    metadata: Mapping[str, Primitive]
    """Its own, over that of its set."""
    rollout: Rollout
    version: str
    """Names exactly this definition, by its content."""
    source: bytes
    """Equal for equal definitions in sets that share the same."""
    nodes: int
    """Operations and values of its targeting."""
    effects: Mapping[str, TurnEffect] = {}
    """What each variant does to a turn; of a flag that is asked for every turn."""


class Flag:
    """One definition. What it can answer is made once, and shared by all who ask."""

    __slots__ = (
        "_allocated",
        "_answers",
        "_fixed",
        "_kept_from",
        "_matches",
        "_parts",
        "_splits",
        "_targeting",
        "effects",
        "key",
        "kind",
        "metadata",
        "nodes",
        "required",
        "rollout",
        "source",
        "variants",
        "version",
    )

    def __init__(self, parts: FlagParts) -> None:
        """It requires no other flag until `required` is set."""
        self._parts = parts
        self.key = parts.key
        self.kind = parts.kind
        self.variants = parts.variants
        self.metadata = parts.metadata
        self.rollout = parts.rollout
        self.version = parts.version
        self.source = parts.source
        self.nodes = parts.nodes
        self.effects = parts.effects
        self.required: tuple[tuple[Flag, frozenset[str]], ...] = ()
        """Other flags, each with the variants it must answer for this one to be on."""
        self._targeting = parts.targeting
        self._answers: dict[tuple[str | None, str, str], Evaluation] = {}
        self._matches: dict[str | None, Evaluation] = {
            name: self.answer(name, TARGETING_MATCH) for name in self.variants
        }
        self._splits: dict[str | None, Evaluation] = {
            name: self.answer(name, SPLIT) for name in self.variants
        }
        gated = self.rollout.switches or self.rollout.places
        self._kept_from = self._off if gated else None
        self._allocated = self.rollout.allocation is not None
        self._fixed = self._always()

    def evaluate(self, context: EvaluationContext) -> Evaluation:
        """Return what it answers; off with the reason when that cannot be told. Never raises."""
        if self._fixed is not None:
            return self._fixed
        try:
            if self._kept_from is not None:
                off = self._kept_from(context)
                if off is not None:
                    return off
            if self._targeting is None:
                return self._place(context) or self._default(STATIC)
            data = context.data
            run = Run(context=context, data=data)
            result = self._targeting(data, run)
            if run.split and self._allocated:
                return self._place(context) or self._default(DEFAULT)
            if result is None:
                return self._default(DEFAULT)
            variant = result if isinstance(result, str) else variant_name(result)
            known = (self._splits if run.split else self._matches).get(variant)
            if known is not None:
                return known
            return self.failed(GENERAL, "the targeting named none of its variants")
        except LogicFailed as failed:
            return self.failed(GENERAL, str(failed))
        except _RULE_ERRORS as error:  # its text may hold what a client said: it is not told
            return self.failed(GENERAL, f"the targeting failed with {type(error).__name__}")

    @property
    def is_off(self) -> bool:
        """Return whether it is off for everybody and for ever: by its state, or killed."""
        return not self._parts.enabled or self.rollout.killed

    def switched_off(self, context: EvaluationContext) -> Evaluation | None:
        """Return the answer if it is off now whoever asks: by its state, a kill switch, its
        window or a flag that it requires. None while it is on."""
        if self.is_off:
            return self._fixed
        why = self.rollout.out_of_time(context.now_us)
        if why:
            return self.answer(None, DISABLED, why)
        for other, variants in self.required:
            if other.evaluate(context).variant not in variants:
                return self.answer(None, DISABLED, f'it requires another "{other.key}"')
        return None

    def failed(self, error_code: str, detail: str) -> Evaluation:
        """Return that it could not be decided: off."""
        return self._evaluation(None, ERROR, detail, error_code)

    def answer(self, variant: str | None, reason: str, detail: str = "") -> Evaluation:
        """Return that it answers one of its variants, or none; made once."""
        known = self._answers.get((variant, reason, detail))
        if known is None:
            known = self._evaluation(variant, reason, detail)
            self._answers[variant, reason, detail] = known
        return known

    def _always(self) -> Evaluation | None:
        """Return the answer if it is the same for everybody and for ever."""
        if not self._parts.enabled:
            return self.answer(None, DISABLED, "its state is DISABLED")
        if self.rollout.killed:
            return self.answer(None, DISABLED, "it was killed")
        if self._targeting is None and self._kept_from is None and not self._allocated:
            return self._default(STATIC)
        return None

    def _place(self, context: EvaluationContext) -> Evaluation | None:
        """Return what the experiment that runs on it gives a unit, in place of its splits; None
        for a unit that takes no part."""
        allocation = self.rollout.allocation
        if allocation is None:
            return None
        unit_id = context.placed_id(self.rollout.unit)
        if not unit_id:
            return self.failed(TARGETING_KEY_MISSING, f"the {self.rollout.unit} is not known")
        variant = allocation.variant_of(unit_id)
        return self._splits[variant] if variant else self._default(DEFAULT)

    def _default(self, reason: str) -> Evaluation:
        variant = self._parts.default_variant
        return self.answer(variant, DEFAULT if variant is None else reason)

    def _off(self, context: EvaluationContext) -> Evaluation | None:
        """Return the answer if the context is kept from the flag; its targeting is not asked."""
        off = self.switched_off(context)
        if off is not None or not self.rollout.places:
            return off
        unit_id = context.unit_id(self.rollout.unit)
        if not unit_id:
            return self.failed(TARGETING_KEY_MISSING, f"the {self.rollout.unit} is not known")
        why = self.rollout.out_of_place(self.key, unit_id, context.now_us)
        return self.answer(None, DISABLED, why) if why else None

    def _evaluation(
        self, variant: str | None, reason: str, detail: str, error_code: str | None = None
    ) -> Evaluation:
        return Evaluation(
            key=self.key,
            value=None if variant is None else self.variants[variant],
            variant=variant,
            reason=reason,
            metadata=self.metadata,
            definition_version=self.version,
            bucketing_version=self.rollout.bucketing,
            unit=self.rollout.unit,
            error_code=error_code,
            detail=detail,
        )
