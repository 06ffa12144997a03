"""What an experiment is: what is asked, who takes part, and how it stands."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from axon.experiments.errors import ExperimentInvalid
from axon.experiments.metrics import counted
from axon.flags import Allocation, AllocationWrong, Mistake
from axon.statistics import Metric, Question

DRAFT, RUNNING, STOPPED = "draft", "running", "stopped"

METRICS_MAX = 50
TEXT_CHARS_MAX = 4000


class Guardrail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must not get worse."""

    metric: str
    kills: bool = False
    """Whether the flag is switched off for everybody once it is worse beyond doubt."""


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody wants to find out, and how."""

    flag: str
    hypothesis: str
    control: str
    """The variant that the others are compared with."""
    shares: dict[str, float]
    """Percent of all units, by variant."""
    control_gets_rest: bool = False
    """A rollout: who has no other variant is the control, and may get another one later."""
    primary: list[str]
    guardrails: list[Guardrail] = []
    secondary: list[str] = []
    alpha: float = 0.05
    power: float = 0.8
    planned_units: int = 10_000

    def allocation(self, name: str) -> Allocation:
        """Return whom it begins with; raises AllocationWrong."""
        rest = self.control if self.control_gets_rest else ""
        return Allocation(name, rest=rest).raised(self.shares)

    def metrics(self, unit: str) -> tuple[Metric, ...]:
        """Return everything that is looked at."""
        asked = [(name, "primary") for name in self.primary]
        asked += [(one.metric, "guardrail") for one in self.guardrails]
        asked += [(name, "secondary") for name in self.secondary]
        found = [(name, counted(name), purpose) for name, purpose in asked]
        return tuple(one.metric(name, purpose, unit) for name, one, purpose in found if one)


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment as it stands."""

    name: str
    definition: Definition
    state: Literal["draft", "running", "stopped"] = "draft"
    unit: str = ""
    """Who is placed, as its flag says: user, org or conversation."""
    allocation: Allocation | None = None
    """Whom it gives which variant; kept when it has stopped."""
    started_us: int = 0
    allocated_us: int = 0
    """When the shares were changed last: results count from there, so that nobody's turns are
    counted twice and shares are what they are."""
    flag_version: int = 0
    """Of the flag, since then."""
    stopped_us: int = 0
    decision: str = ""
    ships: str = ""
    """The variant that everybody gets since it has stopped."""

    def question(self, currency: str = "") -> Question:
        """Return what statistics are asked; amounts of money are in the currency."""
        shares = self.allocation.shares() if self.allocation else {}
        definition = self.definition
        return Question(
            experiment=self.name,
            hypothesis=definition.hypothesis,
            control=definition.control,
            shares={variant: float(places) for variant, places in shares.items() if places},
            metrics=definition.metrics(self.unit),
            started_us=self.allocated_us,
            stopped_us=self.stopped_us or None,
            decision=self.decision,
            alpha=definition.alpha,
            power=definition.power,
            planned_units=definition.planned_units,
            currency=currency,
        )


_decoder = msgspec.json.Decoder(Definition)


def read_definition(name: str, content: bytes) -> Definition:
    """Return what is described; raises ExperimentInvalid with the path of each mistake."""
    try:
        found = _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message, _, path = str(error).partition(" - at `")
        raise ExperimentInvalid([Mistake(path.rstrip("`") or "$", message)]) from error
    mistakes = [*_words(found), *_shares(name, found), *_metrics(found), *_levels(found)]
    if mistakes:
        raise ExperimentInvalid(mistakes)
    return found


def _words(found: Definition) -> list[Mistake]:
    wrong = []
    for member, text in (("flag", found.flag), ("hypothesis", found.hypothesis)):
        if not text or len(text) > TEXT_CHARS_MAX or "\0" in text:
            wrong.append(Mistake(f"$.{member}", f"not a text of 1 to {TEXT_CHARS_MAX} characters"))
    return wrong


def _shares(name: str, found: Definition) -> list[Mistake]:
    try:
        allocation = found.allocation(name)
    except AllocationWrong as error:
        return [Mistake(f"$.shares.{error.variant}", error.why)]
    shares = {variant for variant, places in allocation.shares().items() if places}
    if found.control not in shares:
        return [Mistake("$.control", "nobody gets it: it has no share")]
    if len(shares) < 2:
        return [Mistake("$.shares", "there is nothing to compare the control with")]
    return []


def _metrics(found: Definition) -> list[Mistake]:
    named = [(f"$.primary[{place}]", name) for place, name in enumerate(found.primary)]
    named += [(f"$.guardrails[{place}].metric", one.metric)
              for place, one in enumerate(found.guardrails)]  # fmt: skip
    named += [(f"$.secondary[{place}]", name) for place, name in enumerate(found.secondary)]
    wrong: list[Mistake] = []
    seen: set[str] = set()
    for path, name in named:
        if counted(name) is None:
            wrong.append(Mistake(path, f'there is no metric "{name}"'))
        elif name in seen:
            wrong.append(Mistake(path, "it is named above"))
        seen.add(name)
    if not found.primary:
        wrong.append(Mistake("$.primary", "a decision hangs on at least one metric"))
    if len(named) > METRICS_MAX:
        wrong.append(Mistake("$", f"more than {METRICS_MAX} metrics"))
    return wrong


def _levels(found: Definition) -> Sequence[Mistake]:
    wrong = []
    if not 0.0001 <= found.alpha <= 0.5:
        wrong.append(Mistake("$.alpha", "not a number from 0.0001 to 0.5"))
    if not 0.5 <= found.power <= 0.999:
        wrong.append(Mistake("$.power", "not a number from 0.5 to 0.999"))
    if not 10 <= found.planned_units <= 10**9:
        wrong.append(Mistake("$.planned_units", "not a number from 10 to 1000000000"))
    return wrong
