"""The flags of other vendors, each asked by its own Python client, which decides in its process.

They have an environment of their own (bench/flags.in), for nothing else needs them. Nobody is asked
over the network, and nothing is reported to anybody. What is not installed is left out.
"""

import json
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext as FlagdContext

STATIC, SPLIT = "static", "split"
"""On for everybody; and on for every second one in REGIONS, by the vendor's own hashing."""
REGIONS = ["eu-central", "eu-west"]


class Person(NamedTuple):
    """Somebody who is asked about."""

    key: str
    region: str
    tier: str = "pro"


class Peer(NamedTuple):
    """Somebody's flags: the same ones under the same keys."""

    name: str
    context: Callable[[Person], Any]
    """Makes what it wants to know of a person."""
    ask: Callable[[str, Any], Any]
    """Returns whether a flag is on in a context; with GrowthBook that sets whose turn it is."""


def flag_keys(count: int) -> dict[str, str]:
    """Return what each of the flags of a turn is: a fifth of them rules with splits."""
    return {f"flag-{number}": STATIC if number % 5 else SPLIT for number in range(count)}


def flagd_document(keys: dict[str, str]) -> dict[str, Any]:
    """Return the flags in flagd's format, which is ours too."""
    static = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    rule = {
        "if": [
            {"in": [{"var": "region"}, REGIONS]},
            {"fractional": [["on", 50], ["off", 50]]},
            "off",
        ]
    }
    split = {**static, "targeting": rule}
    return {"flags": {key: split if kind == SPLIT else static for key, kind in keys.items()}}


def peers(keys: dict[str, str], folder: Path) -> list[Peer]:
    """Return everybody who is installed, with these flags; the folder holds some clients' files."""
    found = []
    for package, make in _MAKERS.items():
        try:
            name = f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
        found.append(make(name, keys, folder))
    return found


def _flagd(name: str, keys: dict[str, str], folder: Path) -> Peer:
    core = FlagdCore()
    core.set_flags(json.dumps(flagd_document(keys)))
    return Peer(
        name,
        lambda one: FlagdContext(one.key, {"region": one.region, "tier": one.tier}),
        lambda key, context: core.resolve_boolean_value(key, False, context).value,
    )


def _growthbook(name: str, keys: dict[str, str], folder: Path) -> Peer:
    from growthbook import GrowthBook  # noqa: PLC0415

    static = {"defaultValue": True}
    rule = {"condition": {"region": {"$in": REGIONS}}, "force": True, "coverage": 0.5}
    split = {"defaultValue": False, "rules": [{**rule, "hashAttribute": "id"}]}
    features = {key: split if kind == SPLIT else static for key, kind in keys.items()}
    client = GrowthBook(features=features)

    def ask(key: str, context: Any) -> Any:
        client.set_attributes(context)
        return client.is_on(key)

    return Peer(name, lambda one: {"id": one.key, "region": one.region, "tier": one.tier}, ask)


def _unleash(name: str, keys: dict[str, str], folder: Path) -> Peer:
    from UnleashClient import UnleashClient  # noqa: PLC0415
    from UnleashClient.cache import FileCache  # noqa: PLC0415

    always = {"name": "default"}
    constraint = {"contextName": "region", "operator": "IN", "values": REGIONS}
    features = []
    for key, kind in keys.items():
        parameters = {"rollout": "50", "stickiness": "userId", "groupId": key}
        part = {"name": "flexibleRollout", "parameters": parameters, "constraints": [constraint]}
        strategies = [part if kind == SPLIT else always]
        features.append({"name": key, "enabled": True, "strategies": strategies})
    cache = FileCache("bench", directory=str(folder))
    cache.bootstrap_from_dict({"version": 2, "features": features})
    client = UnleashClient(
        url="http://127.0.0.1:9/api",  # which nobody asks
        app_name="bench",
        disable_metrics=True,
        disable_registration=True,
        cache=cache,
    )
    client.initialize_client(fetch_toggles=False)
    return Peer(
        name,
        lambda one: {
            "userId": one.key,
            "properties": {"region": one.region, "tier": one.tier},
        },
        client.is_enabled,
    )


def _launchdarkly(name: str, keys: dict[str, str], folder: Path) -> Peer:
    from ldclient import Context  # noqa: PLC0415
    from ldclient.client import LDClient  # noqa: PLC0415
    from ldclient.config import Config  # noqa: PLC0415
    from ldclient.integrations import Files  # noqa: PLC0415

    halves = [{"variation": 0, "weight": 50_000}, {"variation": 1, "weight": 50_000}]
    clause = {"attribute": "region", "op": "in", "values": REGIONS}
    rule = {"id": "region", "clauses": [clause], "rollout": {"variations": halves}}
    flags = {
        key: {
            "key": key,
            "version": 1,
            "on": True,
            "salt": key,
            "variations": [True, False],
            "offVariation": 1,
            "fallthrough": {"variation": 1 if kind == SPLIT else 0},
            "rules": [rule] if kind == SPLIT else [],
        }
        for key, kind in keys.items()
    }
    file = folder / "launchdarkly.json"
    file.write_text(json.dumps({"flags": flags}))
    source = Files.new_data_source(paths=[str(file)])
    client = LDClient(Config("bench", update_processor_class=source, send_events=False))
    return Peer(
        name,
        lambda one: (
            Context.builder(one.key).set("region", one.region).set("tier", one.tier).build()
        ),
        lambda key, context: client.variation(key, context, False),
    )


_MAKERS: dict[str, Callable[[str, dict[str, str], Path], Peer]] = {
    "openfeature-flagd-core": _flagd,
    "growthbook": _growthbook,
    "UnleashClient": _unleash,
    "launchdarkly-server-sdk": _launchdarkly,
}
"""By the name of the package."""


class AnswersWrong(Exception):
    """Somebody's flags do not say what they should, so what they cost means nothing."""


def check(peer: Peer, people: Iterable[Person], keys: dict[str, str]) -> list[bool]:
    """Return whom the split is on for, of people in REGIONS; raises AnswersWrong.

    The static flag is on for all, the split for none elsewhere and for about half of them here: of
    a million coins that many throws of one come out further off than this.
    """
    static, split = (next(key for key in keys if keys[key] == kind) for kind in (STATIC, SPLIT))
    answers = []
    for one in people:
        here, elsewhere = peer.context(one), peer.context(one._replace(region="us-east"))
        if peer.ask(static, here) is not True:
            raise AnswersWrong(f"{peer.name}: the static flag is off for {one.key}")
        answers.append(peer.ask(split, here))
        if peer.ask(split, elsewhere) is not False:
            raise AnswersWrong(f"{peer.name}: the split is on in us-east for {one.key}")
    on, half = answers.count(True), len(answers) / 2
    if abs(on - half) > 5 * (half / 2) ** 0.5:
        raise AnswersWrong(f"{peer.name}: the split is on for {on} of {len(answers)}")
    return answers
