"""Hides personal data and secrets in a text: for good, or so that the answer can have them back."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from axon.privacy.kind import Kind
from axon.privacy.personal import PERSONAL
from axon.privacy.scanner import Scanner, Span
from axon.privacy.secret_kinds import SECRETS
from axon.telemetry import counter

KINDS: tuple[Kind, ...] = (*SECRETS, *PERSONAL)
"""All kinds; where two begin at one place and are equally long, the first counts."""

_hits = counter(
    "axon_redaction_hits_total", "Values that were hidden in log lines, errors, exports and turns.",
    ("kind",),
)  # fmt: skip
for _kind in KINDS:
    _hits.labels(_kind.name)

HIDDEN_MAX = 4_096
"""Different values hidden in one turn; a text with more is hidden for good from there on."""

DEPTH_MAX = 64
"""How deep JSON in a text is followed; what lies deeper is redacted as text."""


class Redacted(NamedTuple):
    """A text without what was hidden in it."""

    text: str
    found: tuple[tuple[str, int, int], ...]
    """What was hidden: its kind and where it stood, in bytes of the UTF-8 text."""

    @property
    def counts(self) -> dict[str, int]:
        """Return how many of each kind were hidden."""
        return dict(Counter(name for name, _, _ in self.found))


class Redactor:
    """Knows the kinds, and the patterns that were added to them; for any thread."""

    def __init__(self, custom: Sequence[Kind] = ()) -> None:
        """`custom` patterns count before the built-in ones."""
        self._scanner = Scanner((*custom, *KINDS)) if custom else _BUILT_IN

    @property
    def version(self) -> str:
        """Return what tells these patterns from others; the same for the same ones."""
        return self._scanner.version

    def prepare(self) -> None:
        """Compile the patterns now; raise PatternInvalid."""
        self._scanner.prepare()

    def find(self, text: bytes) -> list[Span]:
        """Return where something is to be hidden, in order, without overlap."""
        return self._scanner.find(text)

    def redact(self, text: str) -> Redacted:
        """Return the text with [kind] in place of each value; it cannot be undone."""
        data = text.encode("utf-8", "surrogatepass")
        spans = self.find(data)
        if not spans:
            return Redacted(text, ())
        done = _replaced(data, spans, [f"[{span.name}]" for span in spans])
        return Redacted(done, tuple([(span.name, span.start, span.end) for span in spans]))

    def redact_text(self, text: str) -> str:
        """Return the text alone."""
        return self.redact(text).text

    def redact_json(self, value: object) -> object:
        """Return what was decoded from JSON with every text in it redacted, names included."""
        return walked(value, self.redact_text, names=True)

    def redact_lines(self, lines: Sequence[str]) -> str:
        """Return log lines, each one JSON, with every text in them redacted.

        When a line was written is not looked at: half the cost of a line would be to find that an
        instant is no telephone number.
        """
        text = "".join(
            [line[_OF_INSTANT:] if line.startswith(_INSTANT) else line for line in lines]
        )
        if "\\" not in text and not self.find(text.encode("utf-8", "surrogatepass")):
            return "".join(lines)
        return "".join([self._line(line) for line in lines])

    def _line(self, line: str) -> str:
        try:
            read = json.loads(line)
        except ValueError:
            return self.redact_text(line)
        done = self.redact_json(read)
        return line if done == read else msgspec.json.encode(done).decode() + "\n"


class Hiding:
    """Hides the values of one turn behind names that stand for them: [EMAIL_1].

    The same value always has the same name, so that a model can tell two persons apart.
    """

    def __init__(self, redactor: Redactor, told: bytes) -> None:
        """`told` is all that the model is told: no name that stands in it already is used."""
        self._redactor = redactor
        self._told = told
        self._names: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    @property
    def values(self) -> dict[str, str]:
        """Return the value that each name stands for."""
        return {name: value for value, name in self._names.items()}

    def hide(self, text: str) -> str:
        """Return the text with a name in place of each value."""
        data = text.encode("utf-8", "surrogatepass")
        spans = self._redactor.find(data)
        if not spans:
            return text
        names = [
            self._name(span.name, data[span.start : span.end].decode("utf-8", "surrogatepass"))
            for span in spans
        ]
        return _replaced(data, spans, names)

    def _name(self, kind: str, value: str) -> str:
        known = self._names.get(value)
        if known is not None:
            return known
        if len(self._names) >= HIDDEN_MAX:
            return f"[{kind}]"
        while True:
            self._counts[kind] += 1
            name = f"[{kind.upper()}_{self._counts[kind]}]"
            if name.encode() not in self._told:
                break
        self._names[value] = name
        return name


def hidden_again(text: str, values: Mapping[str, str]) -> str:
    """Return the text with the names of a record in place of their values; the longest first."""
    for name, value in sorted(values.items(), key=lambda pair: -len(pair[1])):
        text = text.replace(value, name)
    return text


def _replaced(data: bytes, spans: Sequence[Span], names: Sequence[str]) -> str:
    parts, place = [], 0
    for span in spans:
        _hits.labels(span.name).inc()
    for span, name in zip(spans, names, strict=True):
        parts += [data[place : span.start], name.encode()]
        place = span.end
    return b"".join([*parts, data[place:]]).decode("utf-8", "surrogatepass")


def walked(
    value: object, change: Callable[[str], str], *, names: bool = False, depth: int = 0
) -> object:
    """Return JSON's value with every text changed; `names`: those of members too."""
    if isinstance(value, str):
        return change(value)
    if depth >= DEPTH_MAX:
        return change(msgspec.json.encode(value).decode())
    if isinstance(value, list):
        return [walked(one, change, names=names, depth=depth + 1) for one in value]
    if isinstance(value, dict):
        return {
            change(name) if names else name: walked(one, change, names=names, depth=depth + 1)
            for name, one in value.items()
        }
    return value


_INSTANT = '{"@timestamp":"2'
_OF_INSTANT = len('{"@timestamp":"2026-11-23T06:56:06.240943+00:00"')
"""Every line of ours begins like this; see `axon.telemetry.lines`."""

_BUILT_IN = Scanner(KINDS)
"""Compiled once for all who add nothing of their own."""
