"""Asks the vendors' own clients about the flags of imported_flags.py, and prints their answers.

`PYTHONPATH=src:. .venv-flags/bin/python -m tests.app.vendors_answers FOLDER`; `make bench-flags`
makes that environment. Only a client that says otherwise than is written down leaves a line.
"""

import json
import sys
from typing import Any

from growthbook import GrowthBook
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

from tests.app.imported_flags import (
    ANSWERS_OF_GROWTHBOOK,
    ANSWERS_OF_UNLEASH,
    GROWTHBOOK,
    UNLEASH,
    Case,
)

_OF_UNLEASH = ("userId", "sessionId", "remoteAddress", "environment", "appName")


def main() -> None:
    """Print what the clients say otherwise."""
    for case in ANSWERS_OF_GROWTHBOOK:
        client = GrowthBook(
            attributes=case.context,
            features=GROWTHBOOK["features"],
            saved_groups=GROWTHBOOK["savedGroups"],
        )
        _compare("growthbook", case, {key: client.eval_feature(key).value for key in case.answers})
    cache = FileCache("tests", directory=sys.argv[1])
    cache.bootstrap_from_dict(UNLEASH)
    unleash = UnleashClient(
        url="http://127.0.0.1:9/api",  # which nobody asks
        app_name="tests",
        disable_metrics=True,
        disable_registration=True,
        cache=cache,
    )
    unleash.initialize_client(fetch_toggles=False)
    for case in ANSWERS_OF_UNLEASH:
        context = {name: case.context[name] for name in _OF_UNLEASH if name in case.context}
        context["properties"] = {k: v for k, v in case.context.items() if k not in context}
        _compare("unleash", case, {key: _of_unleash(unleash, key, context) for key in case.answers})


def _of_unleash(client: Any, key: str, context: dict[str, Any]) -> Any:
    found = client.get_variant(key, context)
    if key == "color":
        return found["payload"]["value"] if found["enabled"] else None
    return client.is_enabled(key, context)


def _compare(vendor: str, case: Case, found: dict[str, Any]) -> None:
    # Where Axon has no answer, for a flag that is off for all or lacks another one, Unleash has no.
    for key, answer in case.answers.items():
        wanted = False if vendor == "unleash" and answer is None and key != "color" else answer
        if found[key] != wanted:
            print(f"{vendor} {key}: {json.dumps(found[key])} for {json.dumps(case.context)}")


if __name__ == "__main__":
    main()
