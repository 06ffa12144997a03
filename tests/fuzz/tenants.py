"""Two organizations on one Axon: whose requests are made up, and whose words nobody may see."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.gateway.commands import axon_command
from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"
CANARY = "canary7f3a9c"
"""Stands in everything the stranger keeps: its title, metadata, questions and answers."""


@dataclass(frozen=True, slots=True)
class Known:
    """Ids of one organization, by the name of the member or of the path's part that takes them."""

    ids: dict[str, list[str]] = field(default_factory=dict)

    def joined(self, other: "Known") -> "Known":
        """Return the ids of both."""
        names = {*self.ids, *other.ids}
        return Known(
            {name: [*self.ids.get(name, []), *other.ids.get(name, [])] for name in sorted(names)}
        )


METER, ENTITLEMENT = "tokens", "assistant"
FLAG = "tone"


def with_meters(folder: Path) -> dict[str, str]:
    """Write settings with a meter and an entitlement; return the variable that names them."""
    config = folder / "axon.toml"
    config.write_text(
        f'[metering.meters.{METER}]\nevent_type = "prompt"\naggregation = "SUM"\n'
        f'value_property = "$.tokens"\ngroup_by = {{ model = "$.model" }}\n'
        f'[metering.entitlements.{ENTITLEMENT}]\nmeter = "{METER}"\namount = 10\n'
    )
    return {"AXON_CONFIG": str(config)}


def stranger_key(axon: RunningAxon) -> str:
    """Make another organization and return a key of it."""
    name = f"stranger-{os.urandom(4).hex()}"
    axon_command(axon, "orgs", "create", name)
    axon_command(axon, "users", "create", "eve", "--org", name)
    made = axon_command(axon, "keys", "create", "--org", name, "--user", "eve", "--name", "e")
    return str(made["secret"])


class Tenant:
    """One organization, by a key of it."""

    def __init__(self, axon: RunningAxon, key: str) -> None:
        """Keep one connection to the running Axon."""
        self._base_url = axon.base_url
        self.session = requests.Session()
        self.session.headers["authorization"] = f"Bearer {key}"

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Return the answer to a request that must be answered as asked."""
        answer = self.session.post(self._base_url + path, json=body, timeout=30)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        object_: dict[str, Any] = answer.json()
        return object_

    def make_flag(self) -> None:
        """Make the one flag, again if somebody archived it."""
        definition = {"state": "ENABLED", "variants": {"warm": "Be kind."}}
        self.post("/flags", flags={FLAG: definition})

    def make_objects(self, words: str) -> Known:
        """Make one object of each kind that say `words`; return their ids."""
        text, told = f"[[text:{words}]] {words}", {"words": words}
        message = {"role": "user", "content": text}
        conversation = self.post("/conversations", metadata=told)["id"]
        self.post(f"/conversations/{conversation}", title=f"About {words}")
        asked = {"model": MODEL, "input": text, "metadata": told}
        response = self.post("/responses", **asked, conversation=conversation)
        behind = self.post("/responses", **asked, background=True)["id"]
        completion = self.post(
            "/chat/completions", model=MODEL, messages=[message], store=True, metadata=told
        )["id"]
        added = self.post(f"/conversations/{conversation}/items", items=[message])["first_id"]
        items = [added, response["output"][0]["id"]]
        return Known(
            {
                "conversation_id": [conversation],
                "conversation": [conversation],
                "response_id": [response["id"], behind],
                "previous_response_id": [response["id"]],
                "completion_id": [completion],
                "turn_id": [response["id"], completion],
                "item_id": items,
                "after": [items[0], conversation, completion],
                "model_id": [MODEL],
                "meter_id": [METER],
                "entitlement_id": [ENTITLEMENT],
                "flag_id": [FLAG],
                "windowTimeZone": ["Europe/Madrid"],
            }
        )
