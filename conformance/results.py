"""What a run found, as it is saved: plain JSON that other versions can read."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from conformance.registry import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One check of one run."""

    group: str
    check: str
    result: Result
    seen: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One server's results, as found."""

    server: str
    """Name and version, as whoever ran the suite gave it."""
    date: str
    """The day of the run, YYYY-MM-DD in UTC."""
    model: str
    suite: str
    sdk: str
    lines: tuple[Line, ...]

    def count(self, result: Result) -> int:
        """Return how many checks ended so."""
        return sum(line.result == result for line in self.lines)


def save(run: Run, path: Path) -> None:
    """Write a run as JSON."""
    path.write_text(json.dumps(asdict(run), indent=1, ensure_ascii=False) + "\n")


def load(path: Path) -> Run:
    """Read a saved run; raises ValueError or TypeError when the file is none."""
    saved = json.loads(path.read_text())
    lines = tuple(Line(**{**line, "result": Result(line["result"])}) for line in saved["lines"])
    return Run(**{**saved, "lines": lines})
