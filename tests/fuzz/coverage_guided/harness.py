"""Runs one target under libFuzzer, which keeps inputs that reach code no other reached.

`python -m tests.fuzz.coverage_guided.harness TARGET CORPUS -runs=N` (or `-max_total_time=S`). New
inputs are kept in the folder CORPUS; one that breaks a promise is written there as `crash-...`
and ends the run with a traceback and exit code 77.
"""

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

READERS = [
    "axon.base.ids",
    "axon.flags.definition",
    "axon.flags.document",
    "axon.flags.logic",
    "axon.flags.metadata",
    "axon.inference.answer",
    "axon.inference.broker.wire",
    "axon.inference.sse",
    "axon.journal.format",
    "axon.records.codec",
    "axon.turns.chat",
    "axon.turns.chunks",
    "axon.turns.completions",
    "axon.turns.responses",
    "axon.turns.said",
    "axon.turns.spoken",
    "tests.fuzz.coverage_guided.planted",
    "tests.fuzz.event_stream",
    "tests.fuzz.targets",
]
"""What is followed; all else is only imported, which following would make slow."""

with atheris.instrument_imports(include=READERS):
    from tests.fuzz.coverage_guided.planted import PLANTED
    from tests.fuzz.targets import TARGETS

INPUT_BYTES_MAX = 4096
"""The seeds have some hundred; more only makes each run slower."""

INPUT_S_MAX = 10
"""An input that is read for longer is a hang."""


def main() -> None:
    """Begin with the target's seeds and what earlier runs kept; never returns."""
    name, folder, *options = sys.argv[1:]
    target = {**TARGETS, "planted": PLANTED}[name]
    corpus = Path(folder)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    bounds = [f"-max_len={INPUT_BYTES_MAX}", f"-timeout={INPUT_S_MAX}", "-print_final_stats=1"]
    place = f"-artifact_prefix={corpus}/"
    atheris.Setup([sys.argv[0], str(corpus), place, *bounds, *options], target.read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
