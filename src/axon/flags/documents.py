"""Between flagd's documents of many flags and the single definitions that are kept."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from axon.flags.bucketing import BUCKETING_DEFAULT
from axon.flags.definition import read_definitions
from axon.flags.document import read_json
from axon.flags.errors import DefinitionInvalid
from axon.flags.flag import Flag
from axon.flags.flag_set import FlagSet
from axon.flags.metadata import BUCKETING
from axon.flags.mistakes import ROOT, Mistakes, Path
from axon.flags.values import JsonValue

RULE_MARK = "$"
"""Begins the name under which a rule that flags share is kept (flagd's `$evaluators`)."""

NAME_CHARS_MAX = 128

_MEMBERS = frozenset({"$schema", "flags", "$evaluators", "metadata"})

Definitions = Mapping[str, bytes]
"""By name: JSON. Empty where a change archives it."""

_NAME = re.compile(rf"\$?[A-Za-z0-9_][A-Za-z0-9._:-]{{0,{NAME_CHARS_MAX - 1}}}")


_value = msgspec.json.Decoder()


def split_document(document: bytes) -> dict[str, bytes]:
    """Return the definitions of a document by their names; raises DefinitionInvalid.

    What holds for the whole set, its `metadata`, becomes part of each flag. Whether the definitions
    mean anything is not looked at.
    """
    mistakes = Mistakes()
    content = read_json(document, mistakes)
    mistakes.end()
    found = content if isinstance(content, dict) else {}
    for member in set(found) - _MEMBERS:
        mistakes.add(ROOT / member, f"not one of {', '.join(sorted(_MEMBERS))}")
    flags = _object(found, "flags", mistakes)
    rules = _object(found, "$evaluators", mistakes)
    metadata = _object(found, "metadata", mistakes)
    if "flags" not in found:
        mistakes.add(ROOT / "flags", "missing")
    definitions: dict[str, bytes] = {}
    for name, rule in rules.items():
        _check_name(f"{RULE_MARK}{name}", ROOT / "$evaluators" / name, mistakes)
        definitions[f"{RULE_MARK}{name}"] = msgspec.json.encode(rule)
    for key, flag in flags.items():
        _check_name(key, ROOT / "flags" / key, mistakes)
        definitions[key] = msgspec.json.encode(_with_metadata(flag, metadata))
    mistakes.end()
    return definitions


def _object(
    content: Mapping[str, JsonValue], name: str, mistakes: Mistakes
) -> dict[str, JsonValue]:
    found = content.get(name, {})
    if isinstance(found, dict):
        return found
    mistakes.add(ROOT / name, "not an object")
    return {}


def _with_metadata(flag: JsonValue, metadata: Mapping[str, JsonValue]) -> JsonValue:
    """Return the flag's definition with the metadata of its set under its own."""
    own = flag.get("metadata", {}) if isinstance(flag, dict) else None
    if not metadata or not isinstance(flag, dict) or not isinstance(own, dict):
        return flag
    return {**flag, "metadata": {**metadata, **own}}


def join_document(definitions: Definitions) -> bytes:
    """Return the document of some definitions."""
    flags: dict[str, msgspec.Raw] = {}
    rules: dict[str, msgspec.Raw] = {}
    for name, definition in sorted(definitions.items()):
        if name.startswith(RULE_MARK):
            rules[name.removeprefix(RULE_MARK)] = msgspec.Raw(definition)
        else:
            flags[name] = msgspec.Raw(definition)
    return msgspec.json.encode({"flags": flags, **({"$evaluators": rules} if rules else {})})


def usable_set(
    definitions: Definitions, before: FlagSet
) -> tuple[FlagSet, dict[str, DefinitionInvalid]]:
    """Return the flags that can be used, and why the others cannot; unchanged ones from before.

    All can, but for definitions of another version of Axon: those that were checked then.
    """
    try:
        return read_definitions(join_document(definitions), before), {}
    except DefinitionInvalid as error:
        whole = error
    rules = {name: one for name, one in definitions.items() if name.startswith(RULE_MARK)}
    good: dict[str, Flag] = {}
    bad: dict[str, DefinitionInvalid] = {}
    for name, definition in definitions.items():
        if name in rules:
            continue
        try:
            good.update(read_definitions(join_document({**rules, name: definition})).flags)
        except DefinitionInvalid as error:
            bad[name] = error
    if not bad:  # what is wrong is between them
        bad = dict.fromkeys(good, whole)
        good = {}
    return FlagSet(good, {}, ""), bad


def with_bucketing(definition: bytes, before: bytes) -> bytes:
    """Return the definition with the way its splits place people, as it was before if it says none.

    So nobody moves when the default changes. A flag without targeting places nobody.
    """
    found = _value.decode(definition)
    if not isinstance(found, dict) or not found.get("targeting"):
        return definition
    metadata = found.get("metadata", {})
    if not isinstance(metadata, dict) or BUCKETING in metadata:
        return definition
    was: Any = _value.decode(before) if before else {}
    pinned = was.get("metadata", {}).get(BUCKETING) if isinstance(was, dict) else None
    metadata = {**metadata, BUCKETING: pinned or BUCKETING_DEFAULT}
    return msgspec.json.encode({**found, "metadata": metadata})


def same(one: bytes, other: bytes) -> bool:
    """Return whether two definitions say the same, whatever the order of their members."""
    if not one or not other:
        return one == other
    return bool(_value.decode(one) == _value.decode(other))


def _check_name(name: str, path: Path, mistakes: Mistakes) -> None:
    if not is_name(name):
        message = f"a name is 1 to {NAME_CHARS_MAX} letters, digits and . _ : -"
        mistakes.add(path, message)


def path_of(name: str) -> str:
    """Return where a definition of this name stands in a document."""
    if name.startswith(RULE_MARK):
        return str(ROOT / "$evaluators" / name.removeprefix(RULE_MARK))
    return str(ROOT / "flags" / name)


def is_name(name: str) -> bool:
    """Return whether a flag, or a rule behind its mark, can be called so."""
    return _NAME.fullmatch(name) is not None
