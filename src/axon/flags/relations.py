"""What must hold between the flags of a set: layers, holdouts and prerequisites."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise

from axon.flags.flag import Flag
from axon.flags.metadata import HOLDOUT_PERCENT, LAYER_FROM, REQUIRES, UNIT
from axon.flags.mistakes import ROOT, Mistakes, Path

REQUIRED_MAX = 50
"""Flags that one flag asks, with those which they ask: each is evaluated every time."""


def relate(flags: Mapping[str, Flag], mistakes: Mistakes) -> None:
    """Hand each flag the flags it requires, and tell of all that cannot be together."""
    _check_layers(flags, mistakes)
    _check_holdouts(flags, mistakes)
    for flag in flags.values():
        _connect(flag, flags, mistakes)
    _check_chains(flags, mistakes)


def metadata_path(key: str) -> Path:
    """Return where the metadata of a flag stands."""
    return ROOT / "flags" / key / "metadata"


def _check_layers(flags: Mapping[str, Flag], mistakes: Mistakes) -> None:
    layers: dict[str, list[Flag]] = defaultdict(list)
    for flag in flags.values():
        if flag.rollout.layer:
            layers[flag.rollout.layer].append(flag)
    for name, members in layers.items():
        members.sort(key=lambda flag: flag.rollout.layer_from)
        for flag, above in pairwise(members):
            path = metadata_path(above.key)
            if above.rollout.layer_from < flag.rollout.layer_to:
                other = f'the flag "{flag.key}"'
                mistakes.add(path / LAYER_FROM, f'shares a part of the layer "{name}" with {other}')
            if above.rollout.unit != flag.rollout.unit:
                mistakes.add(path / UNIT, f'the layer "{name}" places another unit: {flag.key}')


def _check_holdouts(flags: Mapping[str, Flag], mistakes: Mistakes) -> None:
    first: dict[str, Flag] = {}
    for flag in flags.values():
        if not flag.rollout.holdout:
            continue
        before = first.setdefault(flag.rollout.holdout, flag)
        path, name = metadata_path(flag.key), flag.rollout.holdout
        if before.rollout.holdout_percent != flag.rollout.holdout_percent:
            mistakes.add(path / HOLDOUT_PERCENT, f'"{name}" has another percent in {before.key}')
        if before.rollout.unit != flag.rollout.unit:
            mistakes.add(path / UNIT, f'the holdout "{name}" places another unit: {before.key}')


def _connect(flag: Flag, flags: Mapping[str, Flag], mistakes: Mistakes) -> None:
    required = []
    for key, variants in flag.rollout.requires:
        path = metadata_path(flag.key) / f"{REQUIRES}{key}"
        other = flags.get(key)
        if other is None:
            mistakes.add(path, f'there is no flag "{key}"')
            continue
        for variant in variants:
            if variant not in other.variants:
                mistakes.add(path, f'"{variant}" is no variant of the flag "{key}"')
        required.append((other, frozenset(variants)))
    flag.required = tuple(required)


def _check_chains(flags: Mapping[str, Flag], mistakes: Mistakes) -> None:
    """Tell of flags that come back to themselves, and of those that ask too many."""
    asked: dict[str, int] = {}
    waiting = {flag.key: len(flag.required) for flag in flags.values()}
    askers: dict[str, list[Flag]] = defaultdict(list)
    for flag in flags.values():
        for other, _ in flag.required:
            askers[other.key].append(flag)
    ready = [flag for flag in flags.values() if not flag.required]
    while ready:
        flag = ready.pop()
        asked[flag.key] = sum(1 + asked[other.key] for other, _ in flag.required)
        if asked[flag.key] > REQUIRED_MAX:
            mistakes.add(metadata_path(flag.key), f"asks more than {REQUIRED_MAX} other flags")
        for asker in askers[flag.key]:
            waiting[asker.key] -= 1
            if not waiting[asker.key]:
                ready.append(asker)
    for key in flags:
        if key not in asked:
            mistakes.add(metadata_path(key), "what it requires comes back to itself")
