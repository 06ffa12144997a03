"""What may become of a flag while an experiment runs on it: it can be switched off, not edited."""

from collections.abc import Mapping
from typing import Any

import msgspec

from axon.flags.errors import DefinitionInvalid, Mistake
from axon.flags.metadata import ALLOCATION, ENDS, KILLED, PREFIX, STARTS

EXPERIMENTS = "experiments"
"""The origin of changes that begin, widen and end an experiment."""

_FREE = frozenset({KILLED, STARTS, ENDS, ALLOCATION})
"""Names of ours that move nobody to another variant, only all of them off and back."""

_ABSENT = object()


def with_allocation(definition: bytes, before: bytes, origin: str) -> bytes:
    """Return the definition with the allocation that the flag has: experiments alone change it.

    What a guardrail switched off stays off, whatever a file says.
    """
    if origin == EXPERIMENTS:
        return definition
    found, was = msgspec.json.decode(definition), metadata_of(before)
    given = metadata_of(definition)
    if not isinstance(found, dict) or (ALLOCATION not in was and ALLOCATION not in given):
        return definition
    metadata = {name: one for name, one in given.items() if name != ALLOCATION}
    for name in (ALLOCATION, KILLED) if origin == "folder" else (ALLOCATION,):
        if ALLOCATION in was and name in was:
            metadata[name] = was[name]
    return msgspec.json.encode({**found, "metadata": metadata})


def check_frozen(changes: Mapping[str, tuple[bytes, bytes]], standing: Mapping[str, bytes]) -> None:
    """Refuse changes, given as before and after by name, that would move units of an experiment.

    Raises DefinitionInvalid with the path of each.
    """
    mistakes: list[Mistake] = []
    for name, (was, after) in changes.items():
        if name.startswith("$"):
            mistakes += _shared_rule(name, standing)
        elif ALLOCATION in metadata_of(was):
            mistakes += _differences(name, was, after)
    if mistakes:
        raise DefinitionInvalid(mistakes)


def metadata_of(definition: bytes) -> dict[str, Any]:
    """Return the metadata of a definition as it is written; empty for what has none."""
    found = msgspec.json.decode(definition) if definition else None
    metadata = found.get("metadata") if isinstance(found, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _differences(name: str, was: bytes, after: bytes) -> list[Mistake]:
    if not after:
        return [Mistake(f"$.flags.{name}", "an experiment runs on it: stop that first")]
    old, new = _frozen(was), _frozen(after)
    if ALLOCATION not in metadata_of(after):
        return []  # its end
    return [
        Mistake(f"$.flags.{name}.{path}", "cannot be changed while an experiment runs on the flag")
        for path in sorted(old.keys() | new.keys())
        if old.get(path, _ABSENT) != new.get(path, _ABSENT)
    ]


def _frozen(definition: bytes) -> dict[str, object]:
    """Return what decides who gets what, by its path in the flag."""
    content = msgspec.json.decode(definition)
    if not isinstance(content, dict):
        return {}
    found: dict[str, object] = {
        member: value for member, value in content.items() if member not in ("state", "metadata")
    }
    for name, value in metadata_of(definition).items():
        if name.startswith(PREFIX) and name not in _FREE:
            found[f"metadata.{name}"] = value
    return found


def _shared_rule(name: str, standing: Mapping[str, bytes]) -> list[Mistake]:
    """Return a mistake when a flag under an experiment may ask a rule that flags share."""
    for key, definition in standing.items():
        if b'"$ref"' in definition and ALLOCATION in metadata_of(definition):
            why = f'the flag "{key}" may ask it, and an experiment runs on that'
            return [Mistake(f"$.$evaluators.{name.removeprefix('$')}", why)]
    return []
