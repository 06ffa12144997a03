"""Flag definitions in flagd's JSON (flagd.dev/schema/v0): read and checked."""

import hashlib
from collections.abc import Mapping

import msgspec

from axon.flags.bucketing import V3
from axon.flags.document import read_json
from axon.flags.errors import DefinitionInvalid, Mistake
from axon.flags.flag import Flag, FlagParts
from axon.flags.flag_set import EMPTY, FlagSet
from axon.flags.fractional import Splitting
from axon.flags.logic import Compiler, SharedRules, Spot, evaluator_path
from axon.flags.metadata import ALLOCATION, TURN, read_metadata, read_rollout
from axon.flags.mistakes import ROOT, Mistakes, Path
from axon.flags.relations import relate
from axon.flags.rollout import Rollout
from axon.flags.run import Rule
from axon.flags.turn_effect import TurnEffect, read_effects
from axon.flags.values import BOOLEAN, NUMBER, OBJECT, STRING, UNITS, JsonValue

FLAGS_MAX = 5_000
EVALUATORS_MAX = 1_000
VARIANTS_MAX = 100
TURN_FLAGS_MAX = 100
"""That are asked for every turn: each has a place in the turn's record."""
KEY_CHARS_MAX = 256
"""Of a flag's key and of a variant's name: both are in the record of every turn they act on."""

_SET_FIELDS = ("$schema", "flags", "$evaluators", "metadata")
_FLAG_FIELDS = ("state", "variants", "defaultVariant", "targeting", "metadata")
_LEFT_OUT = ("source", "selector")
"""What flagd itself adds to flags that it hands on."""


def read_definitions(document: bytes, before: FlagSet = EMPTY) -> FlagSet:
    """Return the flags of a document; DefinitionInvalid with all that is wrong with it.

    Equal definitions have equal versions, whatever their order and spaces. What is as it was
    `before` is taken from there: one flag of many that changes costs a fifth of them all.
    """
    mistakes = Mistakes()
    content = read_json(document, mistakes)
    if not isinstance(content, dict):
        raise DefinitionInvalid([Mistake("$", "not an object")])
    reader = _Reader(content, before, mistakes)
    flags = reader.flags()
    relate(flags, mistakes)
    mistakes.end()
    return FlagSet(flags, reader.metadata, content_version(content))


def content_version(content: JsonValue) -> str:
    """Return the name of a JSON value: 16 hex digits of its SHA-256, whatever its order."""
    return _digest(content).hex()[:16]


def _digest(content: JsonValue) -> bytes:
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).digest()


class _Reader:
    """Reads one document."""

    def __init__(self, content: dict[str, JsonValue], before: FlagSet, mistakes: Mistakes) -> None:
        self._mistakes = mistakes
        self._before = before.flags
        self._flags = self._object(content.get("flags"), ROOT / "flags", FLAGS_MAX)
        rules = content.get("$evaluators", {})
        evaluators = self._object(rules, ROOT / "$evaluators", EVALUATORS_MAX)
        self._shared = SharedRules(evaluators, mistakes)
        self.metadata = read_metadata(content.get("metadata", {}), ROOT / "metadata", mistakes)
        for name in content:
            if name not in _SET_FIELDS:
                mistakes.add(ROOT / name, f"not one of {', '.join(_SET_FIELDS)}")
        for name in evaluators:  # also those that no flag refers to
            compiler = Compiler(Splitting("", V3, UNITS[0]), {}, self._shared)
            compiler.compile({"$ref": name}, Spot(evaluator_path(name)))
        self._of_all = b"" if mistakes else _digest([self.metadata, evaluators])

    def flags(self) -> dict[str, Flag]:
        """Return all flags that can be read."""
        flags: dict[str, Flag] = {}
        for key, given in self._flags.items():
            source = b"" if self._mistakes else self._of_all + _digest(given)
            flag = self._kept(key, source) or self._flag(key, given, source)
            if flag is not None:
                flags[key] = flag
        if sum(flag.rollout.turn for flag in flags.values()) > TURN_FLAGS_MAX:
            self._mistakes.add(ROOT / "flags", f"more than {TURN_FLAGS_MAX} say {TURN}")
        return flags

    def _kept(self, key: str, source: bytes) -> Flag | None:
        """Return the flag of before if it is the same; never one that asks others."""
        flag = self._before.get(key)
        if flag is None or not source or flag.source != source or flag.rollout.requires:
            return None
        return flag if self._shared.take(flag.nodes) else None

    def _flag(self, key: str, given: JsonValue, source: bytes) -> Flag | None:
        path = ROOT / "flags" / key
        if not isinstance(given, dict):
            self._mistakes.add(path, "not an object")
            return None
        for name in given:
            if name not in _FLAG_FIELDS and name not in _LEFT_OUT:
                self._mistakes.add(path / name, f"not one of {', '.join(_FLAG_FIELDS)}")
        state = given.get("state")
        if state not in ("ENABLED", "DISABLED"):
            self._mistakes.add(path / "state", "neither ENABLED nor DISABLED")
        variants = self._object(given.get("variants"), path / "variants", VARIANTS_MAX)
        kind = self._kind(variants, path / "variants")
        own = read_metadata(given.get("metadata", {}), path / "metadata", self._mistakes)
        metadata = {**self.metadata, **own}
        rollout = read_rollout(metadata, path / "metadata", self._mistakes)
        if rollout.allocation and not rollout.allocation.variants <= variants.keys():
            self._mistakes.add(path / "metadata" / ALLOCATION, "it has variants the flag has not")
        splitting = Splitting(key, rollout.bucketing, rollout.unit)
        compiler = Compiler(splitting, variants, self._shared)
        default_variant = self._default(given, variants, path / "defaultVariant")
        targeting = self._targeting(given, compiler, path / "targeting")
        said: JsonValue = [given, metadata, compiler.referred, rollout.bucketing]
        parts = FlagParts(
            key=key,
            kind=kind,
            variants=variants,
            default_variant=default_variant,
            enabled=state == "ENABLED",
            targeting=targeting,
            metadata=metadata,
            rollout=rollout,
            version="" if self._mistakes else content_version(said),
            source=source,
            nodes=compiler.nodes,
            effects=self._effects(rollout, variants, path / "variants"),
        )
        return Flag(parts)

    def _effects(
        self, rollout: Rollout, variants: Mapping[str, JsonValue], path: Path
    ) -> dict[str, TurnEffect]:
        return read_effects(variants, path, self._mistakes) if rollout.turn else {}

    def _object(self, given: JsonValue, path: Path, members_max: int) -> dict[str, JsonValue]:
        """Return an object whose names are keys."""
        if not isinstance(given, dict):
            self._mistakes.add(path, "not an object" if given is not None else "missing")
            return {}
        if len(given) > members_max:
            self._mistakes.add(path, f"more than {members_max}")
        for name in given:
            if not 1 <= len(name) <= KEY_CHARS_MAX:
                self._mistakes.add(path / name, f"a name has 1 to {KEY_CHARS_MAX} characters")
        return given

    def _kind(self, variants: Mapping[str, JsonValue], path: Path) -> str:
        if not variants:
            self._mistakes.add(path, "a flag has at least one variant")
            return ""
        kinds = {name: _kind_of(value) for name, value in variants.items()}
        first = next(iter(kinds.values()))
        for name, kind in kinds.items():
            if not kind:
                self._mistakes.add(path / name, "not a boolean, a text, a number or an object")
            elif first and kind != first:
                self._mistakes.add(path / name, f"of kind {kind}, and others are of kind {first}")
        return first

    def _default(
        self, given: Mapping[str, JsonValue], variants: Mapping[str, JsonValue], path: Path
    ) -> str | None:
        default = given.get("defaultVariant")
        if default is None or default == "":
            return None
        if not isinstance(default, str) or default not in variants:
            self._mistakes.add(path, "no variant of the flag")
            return None
        return default

    def _targeting(
        self, given: Mapping[str, JsonValue], compiler: Compiler, path: Path
    ) -> Rule | None:
        targeting = given.get("targeting", {})
        if not isinstance(targeting, dict):
            self._mistakes.add(path, "not an object")
            return None
        if not targeting:
            return None
        return compiler.compile(targeting, Spot(path, names_variant=True))


def _kind_of(value: JsonValue) -> str:
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int | float):
        return NUMBER
    if isinstance(value, str):
        return STRING
    return OBJECT if isinstance(value, dict) else ""
