"""Lines with what is to be hidden in them marked «so», and lines in which nothing is."""

from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """One line of the corpus."""

    kind: str
    """Of what is marked; empty where nothing is."""
    text: str
    values: tuple[str, ...]


def read_corpus() -> list[Line]:
    """Return every line; `\\n` in one stands for a line break."""
    lines = []
    for number, raw in enumerate(_FILE.read_text().splitlines(), 1):
        kind, _, marked = raw.partition("\t")
        marked = marked.replace("\\n", "\n")
        values = tuple(part.partition("»")[0] for part in marked.split("«")[1:])
        assert bool(values) == (kind != "-"), f"line {number} of the corpus"
        lines.append(
            Line("" if kind == "-" else kind, marked.replace("«", "").replace("»", ""), values)
        )
    return lines


_FILE = Path(__file__).with_name("lines.tsv")
