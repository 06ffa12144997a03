"""Between flagd's documents of many flags and the single definitions that are kept."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from axon.flags.definition import read_definitions
from axon.flags.errors import DefinitionInvalid, Mistake
from axon.flags.flag import Flag
from axon.flags.flag_set import FlagSet

RULE_MARK = "$"
"""Begins the name under which a rule that flags share is kept (flagd's `$evaluators`)."""

NAME_CHARS_MAX = 128

BUCKETING = "axon.bucketing"
"""In a flag's metadata: how its splits place people (docs/flags.md)."""

BUCKETING_OF_NEW_FLAGS = "v3"
"""What flagd's newest cores do; written into a definition that names none, so that nobody moves
when this changes."""

Definitions = Mapping[str, bytes]
"""By name: JSON. Empty where a change archives it."""

_NAME = re.compile(rf"\$?[A-Za-z0-9_][A-Za-z0-9._:-]{{0,{NAME_CHARS_MAX - 1}}}")


class _Document(msgspec.Struct):
    """A document of flagd; other members, as `$schema`, say nothing here."""

    flags: dict[str, dict[str, Any]]
    metadata: dict[str, Any] = {}
    evaluators: dict[str, Any] = msgspec.field(default_factory=dict, name="$evaluators")


_document = msgspec.json.Decoder(_Document)
_value = msgspec.json.Decoder()


def split_document(document: bytes) -> dict[str, bytes]:
    """Return the definitions of a document by their names; raises DefinitionInvalid.

    What holds for the whole set, its `metadata`, becomes part of each flag. The definitions
    themselves are not looked at.
    """
    try:
        found = _document.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        path, message = _place_of(error)
        raise DefinitionInvalid([Mistake(path, message)]) from error
    mistakes: list[Mistake] = []
    definitions: dict[str, bytes] = {}
    for name, rule in found.evaluators.items():
        _check_name(f"{RULE_MARK}{name}", f'$["$evaluators"]["{name}"]', mistakes)
        definitions[f"{RULE_MARK}{name}"] = msgspec.json.encode(rule)
    for key, flag in found.flags.items():
        _check_name(key, f'$.flags["{key}"]', mistakes)
        own = flag.get("metadata", {})
        if found.metadata and isinstance(own, dict):
            own = {**found.metadata, **own}
        definitions[key] = msgspec.json.encode({**flag, "metadata": own} if own else flag)
    if mistakes:
        raise DefinitionInvalid(mistakes)
    return definitions


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


def usable_set(definitions: Definitions) -> tuple[FlagSet, dict[str, DefinitionInvalid]]:
    """Return the flags that can be used, and why the others cannot.

    All can, but for definitions of another version of Axon: those that were checked then.
    """
    try:
        return read_definitions(join_document(definitions)), {}
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


def canonical(definition: bytes) -> bytes:
    """Return the JSON without its spaces; raises DefinitionInvalid for what is none."""
    try:
        return msgspec.json.encode(_value.decode(definition))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionInvalid([Mistake("$", f"not JSON: {error}")]) from error


def with_bucketing(definition: bytes, before: bytes) -> bytes:
    """Return the definition with the way its splits place people, as it was before if it says none.

    Only what splits needs one.
    """
    found = _value.decode(definition)
    if not isinstance(found, dict) or not found.get("targeting"):
        return definition
    metadata = found.get("metadata", {})
    if not isinstance(metadata, dict) or BUCKETING in metadata:
        return definition
    was: Any = _value.decode(before) if before else {}
    pinned = was.get("metadata", {}).get(BUCKETING) if isinstance(was, dict) else None
    metadata = {**metadata, BUCKETING: pinned or BUCKETING_OF_NEW_FLAGS}
    return msgspec.json.encode({**found, "metadata": metadata})


def same(one: bytes, other: bytes) -> bool:
    """Return whether two definitions say the same, whatever the order of their members."""
    if not one or not other:
        return one == other
    return bool(_value.decode(one) == _value.decode(other))


def _check_name(name: str, path: str, mistakes: list[Mistake]) -> None:
    if not is_name(name):
        message = f"a name is 1 to {NAME_CHARS_MAX} letters, digits and . _ : -"
        mistakes.append(Mistake(path, message))


def is_name(name: str) -> bool:
    """Return whether a flag, or a rule behind its mark, can be called so."""
    return _NAME.fullmatch(name) is not None


def _place_of(error: Exception) -> tuple[str, str]:
    """Return where in the document msgspec found what, as a path and a sentence."""
    text, _, path = str(error).partition(" - at `")
    if not isinstance(error, msgspec.ValidationError):
        return "$", f"not JSON: {text}"
    return path.removesuffix("`") or "$", text[:1].lower() + text[1:]
