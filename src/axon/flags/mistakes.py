"""What is wrong with a document, collected while it is read."""

import json
import re
from typing import Final, NamedTuple, Optional

from axon.flags.errors import DefinitionInvalid, Mistake

MISTAKES_MAX = 100
"""More are not looked for: nobody reads them, and a large document could hold millions."""

_PLAIN = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)


class Path(NamedTuple):
    """Where something stands in a document; written out only when it is wrong."""

    above: Optional["Path"]
    step: str | int

    def __truediv__(self, step: str | int) -> "Path":
        return Path(self, step)

    def __str__(self) -> str:
        steps: list[str] = []
        path: Path | None = self
        while path is not None and path.above is not None:
            steps.append(_written(path.step))
            path = path.above
        return "$" + "".join(reversed(steps))


ROOT: Final = Path(None, "")


def _written(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN.fullmatch(step) else f"[{json.dumps(step)}]"


class Mistakes:
    """Everything found so far; the same thing is told once."""

    def __init__(self) -> None:
        """Nothing is wrong yet."""
        self._found: dict[Mistake, None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, path: Path, message: str) -> None:
        """Tell of one more; DefinitionInvalid when there are MISTAKES_MAX."""
        self._found[Mistake(str(path), message)] = None
        if len(self._found) >= MISTAKES_MAX:
            self.end()

    def end(self) -> None:
        """Raise DefinitionInvalid if anything was found."""
        if self._found:
            raise DefinitionInvalid(list(self._found))
