"""What stands behind the engine of one turn, and what it has found so far."""

from dataclasses import dataclass, field

from axon.privacy import Restorer
from axon.records import Verdict
from axon.safety import Action, Level, RulesWindow
from axon.turns.gate import Gate

PASSED = "passed"
_DONE: dict[Action, str] = {"flag": "flagged", "redact": "redacted", "block": "blocked"}


def done_by(action: Action) -> str:
    """Return what a verdict says where something was found."""
    return _DONE[action]


class TextFilter:
    """The rules first, on what the engine said; then the values, which are the person's own."""

    def __init__(self, window: RulesWindow | None, restorer: Restorer) -> None:
        self._window = window
        self._restorer = restorer

    @property
    def blocked(self) -> bool:
        """Return whether a rule has ended the answer."""
        return self._window is not None and self._window.blocked

    def feed(self, piece: str) -> str:
        """Return what can be shown now."""
        return self._restorer.feed(self._window.feed(piece) if self._window else piece)

    def finish(self) -> str:
        """Return what was held back."""
        rest = self._restorer.feed(self._window.finish()) if self._window else ""
        return rest + self._restorer.finish()


@dataclass(slots=True, eq=False)
class Guard:
    """Stands behind the engine of one turn."""

    gate: Gate
    level: Level
    windows: list[RulesWindow]
    by: str
    found: list[Verdict] = field(default_factory=list)
    """What the endpoint said of the answer."""

    def verdicts(self) -> list[Verdict]:
        """Return what was found in the answer so far."""
        if self.level.output == "off":
            return []
        categories = dict.fromkeys(name for one in self.windows for name in one.categories)
        action = done_by(self.level.output) if categories else PASSED
        return [Verdict("output", self.by, action, [*categories]), *self.found]
