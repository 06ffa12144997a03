"""The flags as readers of flagd's own format decide them, who know nothing of our metadata."""

from typing import Any

import msgspec

from axon.flags.definition import read_definitions
from axon.flags.documents import RULE_MARK, Definitions, join_document
from axon.flags.flag import Flag

_SPLIT, _REFERENCE = b'"fractional"', b'"$ref"'


def for_flagd(definitions: Definitions, hashing: str) -> tuple[bytes, dict[str, str]]:
    """Return the document of what they decide as Axon does, and why each other flag is not in it.

    `hashing` is how their splits place people, v2 or v3. A killed flag is a disabled one. Raises
    DefinitionInvalid.
    """
    flags = read_definitions(join_document(definitions)).flags
    rules = {name: one for name, one in definitions.items() if name.startswith(RULE_MARK)}
    rules_split = any(_SPLIT in one for one in rules.values())
    told, left_out = dict(rules), {}
    for name, flag in flags.items():
        definition = definitions[name]
        splits = _SPLIT in definition or (rules_split and _REFERENCE in definition)
        why = _beyond_flagd(flag)
        if not why and splits and flag.rollout.bucketing != hashing:
            why = f"its split hashes by {flag.rollout.bucketing}"
        if why:
            left_out[name] = why
        else:
            told[name] = _disabled(definition) if flag.rollout.killed else definition
    return join_document(told), left_out


def _beyond_flagd(flag: Flag) -> str:
    """Return what of the flag only Axon can decide, "" for nothing."""
    rollout = flag.rollout
    if rollout.killed:
        return ""
    if rollout.allocation is not None:
        return "an experiment runs on it"
    if rollout.requires:
        return "it wants other flags' variants"
    if rollout.switches:
        return "it begins or ends by itself"
    return "a holdout, layer or ramp places people" if rollout.places else ""


def _disabled(definition: bytes) -> bytes:
    found: dict[str, Any] = msgspec.json.decode(definition)
    return msgspec.json.encode({**found, "state": "DISABLED"})
