"""Flag definitions in flagd's JSON (flagd.dev/schema/v0): read and checked."""

import hashlib
from collections.abc import Mapping

import msgspec

from axon.base import MIB
from axon.flags.errors import DefinitionInvalid, Mistake
from axon.flags.flag import Flag
from axon.flags.flag_set import FlagSet
from axon.flags.values import BOOLEAN, NUMBER, OBJECT, STRING, JsonValue, Primitive

DOCUMENT_BYTES_MAX = 4 * MIB
FLAGS_MAX = 5_000


def read_definitions(document: bytes) -> FlagSet:
    """Return the flags of a document; DefinitionInvalid with all that is wrong with it.

    Equal definitions make equal versions, whatever their order and spaces.
    """
    if len(document) > DOCUMENT_BYTES_MAX:
        raise DefinitionInvalid([Mistake("$", f"more than {DOCUMENT_BYTES_MAX} bytes")])
    try:
        content = msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError) as error:
        raise DefinitionInvalid([Mistake("$", f"not JSON: {error}")]) from error
    mistakes: list[Mistake] = []
    if not isinstance(content, dict) or not isinstance(content.get("flags"), dict):
        raise DefinitionInvalid([Mistake("$.flags", "an object with the flags is missing")])
    metadata = content.get("metadata", {})
    flags = {key: _flag(key, given, metadata, mistakes) for key, given in content["flags"].items()}
    if mistakes:
        raise DefinitionInvalid(mistakes)
    made = {key: flag for key, flag in flags.items() if flag is not None}
    return FlagSet(made, metadata, content_version(content))


def content_version(content: JsonValue) -> str:
    """Return the name of a JSON value: 16 hex digits of its SHA-256, whatever its order."""
    canonical = msgspec.json.encode(content, order="deterministic")
    return hashlib.sha256(canonical).hexdigest()[:16]


def _kind(value: JsonValue) -> str:
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int | float):
        return NUMBER
    return STRING if isinstance(value, str) else OBJECT


def _flag(
    key: str, given: JsonValue, metadata: Mapping[str, Primitive], mistakes: list[Mistake]
) -> Flag | None:
    path = f'$.flags["{key}"]'
    if not isinstance(given, dict):
        mistakes.append(Mistake(path, "not an object"))
        return None
    variants = given.get("variants")
    if not isinstance(variants, dict) or not variants:
        mistakes.append(Mistake(f"{path}.variants", "variants are missing"))
        return None
    if given.get("targeting"):
        mistakes.append(Mistake(f"{path}.targeting", "targeting cannot be read"))
        return None
    merged = {**metadata, **given.get("metadata", {})}
    version = content_version([given, merged])
    flag = Flag(key, _kind(next(iter(variants.values()))), variants, merged, version)
    flag.default_variant = given.get("defaultVariant")
    flag.enabled = given.get("state") == "ENABLED"
    return flag
