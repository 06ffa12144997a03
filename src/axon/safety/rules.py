"""The local rules: few, bounded patterns from a versioned file, found in one pass.

They are a net with wide meshes: what is asked in plain words. Who needs more sets an endpoint.
"""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from axon.base import KIB, AxonError
from axon.privacy import Kind, PatternInvalid, Scanner, check_bounded

RULES_BYTES_MAX = 64 * KIB
RULES_MAX = 256

RULE_BYTES_MAX = 400
"""Longest text that one rule can match, and so what a stream is held back by."""

CUT = "[removed]"
"""Stands where something was cut out."""


class SafetyError(AxonError):
    """The safety rules were asked wrongly."""


class RulesInvalid(SafetyError):
    """The file of safety rules cannot be used."""


class _Rule(msgspec.Struct, forbid_unknown_fields=True):
    category: Annotated[str, Meta(pattern="^[a-z][a-z/-]{0,39}$")]
    pattern: Annotated[str, Meta(min_length=1, max_length=RULE_BYTES_MAX)]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: Annotated[int, Meta(ge=1)]
    rules: Annotated[list[_Rule], Meta(min_length=1, max_length=RULES_MAX)]


class RuleHit(NamedTuple):
    """Something a rule found."""

    start: int
    """In bytes of the UTF-8 text."""
    end: int
    category: str


class RuleSet:
    """Rules that were read and compiled; for any thread."""

    def __init__(self, content: bytes) -> None:
        """`content` is the JSON of a file of rules; raise RulesInvalid."""
        if len(content) > RULES_BYTES_MAX:
            raise RulesInvalid(f"it is larger than {RULES_BYTES_MAX} bytes")
        try:
            read = msgspec.json.decode(content, type=_File)
            kinds = [Kind(one.category, one.pattern, None, True) for one in read.rules]
            for one in read.rules:
                check_bounded(one.category, one.pattern)
            self._scanner = Scanner(kinds)
            self._scanner.prepare()
        except (msgspec.DecodeError, PatternInvalid, UnicodeError) as error:
            raise RulesInvalid(str(error)) from error
        self.version = read.version

    @classmethod
    def read(cls, path: str = "") -> "RuleSet":
        """Return the rules of a file, those that come with Axon without one; raise RulesInvalid.

        Blocks while the file is read.
        """
        try:
            if path:
                return cls(Path(path).read_bytes())
            return cls((files("axon.safety") / "rules.json").read_bytes())
        except OSError as error:
            raise RulesInvalid(f"{path}: {error.strerror}") from error

    def find(self, text: bytes) -> list[RuleHit]:
        """Return what the rules find, in order and without overlap."""
        return [RuleHit(one.start, one.end, one.name) for one in self._scanner.find(text)]
