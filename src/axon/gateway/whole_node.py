"""How all serving processes of this node are, asked of whichever accepted the connection."""

import asyncio
from collections.abc import Mapping

import msgspec

from axon.gateway.relay import Relay
from axon.gateway.sibling import SiblingAway

_ASK_S = 1.0
"""Shorter than the time-out of the usual probes and scrapes; who is late is left out."""


async def statuses_of_siblings(relay: Relay) -> dict[str, object]:
    """Return what each sibling says of itself, by name; of one that is away, that it is."""
    found: dict[str, object] = {}
    for name, answer in (await _answers(relay, "/status")).items():
        found[name] = {"ready": False, "away": True} if answer is None else msgspec.Raw(answer)
    return found


async def metrics_of_all(relay: Relay, own: bytes) -> dict[str, bytes]:
    """Return this process's page of metrics and its siblings', each under its name."""
    others = await _answers(relay, "/metrics")
    there = {name: page for name, page in others.items() if page is not None}
    return {relay.own: own, **there}


async def _answers(relay: Relay, path: str) -> dict[str, bytes | None]:
    names = relay.siblings.names
    asked = [relay.siblings[name].fetch("GET", path, b"", _ASK_S) for name in names]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    found: dict[str, bytes | None] = {}
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, BaseException) and not isinstance(answer, SiblingAway):
            raise answer
        found[name] = None if isinstance(answer, BaseException) else answer.body
    return found


def joined_pages(pages: Mapping[str, bytes]) -> bytes:
    """Return pages of Prometheus' text format as one, with a label `instance` in every sample.

    Those of a page without a name stay as they are: they are the process's own.
    Each page names a family once, its comments before its samples, and so does the whole.
    """
    comments: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for instance, page in pages.items():
        family = ""
        for line in page.decode().splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                fresh = family not in comments
                comments.setdefault(family, [])
            if line.startswith("#"):
                comments[family] += [line] if fresh else []
            elif line:
                samples.setdefault(family, []).append(_labelled(line, instance))
    lines = [line for family in comments for line in comments[family] + samples.get(family, [])]
    return "\n".join([*lines, ""]).encode()


def _labelled(sample: str, instance: str) -> str:
    if not instance:
        return sample
    name, brace, rest = sample.partition("{")
    if brace and " " not in name:
        return f'{name}{{instance="{instance}",{rest}'
    name, _, rest = sample.partition(" ")
    return f'{name}{{instance="{instance}"}} {rest}'
