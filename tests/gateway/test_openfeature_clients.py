"""The published clients of OpenFeature, unmodified: Python's, and npm's on Node."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, FlagNotFoundError, GeneralError

from tests.gateway.conftest import RunningAxon
from tests.gateway.flag_calls import FlagCalls, flag, fresh

SOURCE = Path(__file__).parent / "npm"
NPM_TIMEOUT_S = 120
NODE_TIMEOUT_S = 120
FLIPS = 5


@pytest.fixture
def call(axon: RunningAxon) -> FlagCalls:
    return FlagCalls(axon)


def provider(axon: RunningAxon, key: str) -> OFREPProvider:
    return OFREPProvider(
        axon.origin, headers_factory=lambda: {"Authorization": f"Bearer {key}"}, timeout=60
    )


def test_pythons_client_gets_every_kind_of_value(axon: RunningAxon, call: FlagCalls) -> None:
    keys = {kind: fresh(kind) for kind in ("text", "whole", "half", "truth", "object")}
    values: dict[str, Any] = {"text": "a", "whole": 3, "half": 0.5, "truth": True}
    values["object"] = {"prompt": "Be kind.", "temperature": 0.2}
    for kind, value in values.items():
        definition = {"state": "ENABLED", "variants": {"one": value}, "defaultVariant": "one"}
        assert call.put(keys[kind], definition).status == 200
    client = provider(axon, axon.api_key)
    ada = EvaluationContext("ada", {"plan": "pro"})
    found = {
        "text": client.resolve_string_details(keys["text"], "", ada),
        "whole": client.resolve_integer_details(keys["whole"], 0, ada),
        "half": client.resolve_float_details(keys["half"], 0.0, ada),
        "truth": client.resolve_boolean_details(keys["truth"], False, ada),
        "object": client.resolve_object_details(keys["object"], {}, ada),
    }
    assert {kind: one.value for kind, one in found.items()} == values
    assert {one.variant for one in found.values()} == {"one"}
    assert {str(one.reason) for one in found.values()} == {"STATIC"}
    client.session.close()


def test_pythons_client_is_told_what_is_wrong(axon: RunningAxon, call: FlagCalls) -> None:
    key = fresh("python")
    client = provider(axon, axon.api_key)
    with pytest.raises(FlagNotFoundError):
        client.resolve_string_details(key, "default")
    call.put(key, flag("on", targeting={"if": [{"==": [{"var": "plan"}, "pro"]}, "on", "off"]}))
    pro = client.resolve_string_details(key, "", EvaluationContext("ada", {"plan": "pro"}))
    assert (pro.value, str(pro.reason)) == ("yes", "TARGETING_MATCH")
    call.put(key, flag("on", state="DISABLED"))
    off = client.resolve_string_details(key, "default")
    assert (off.value, str(off.reason)) == ("default", "DISABLED")
    client.session.close()
    stranger = provider(axon, "sk-axon-wrong")
    with pytest.raises(Exception, match="unauthorized") as caught:
        stranger.resolve_string_details(key, "default")
    assert getattr(caught.value, "error_code", None) == ErrorCode.GENERAL
    assert not isinstance(caught.value, GeneralError)
    stranger.session.close()


@pytest.fixture(scope="session")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The npm clients in the versions of the lock file, with the scripts that use them."""
    folder = tmp_path_factory.mktemp("npm")
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("Node and npm are not installed")
    for source in SOURCE.iterdir():
        if source.is_file():
            shutil.copy(source, folder)
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=NPM_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"npm cannot fetch the clients: {done.stderr[-300:]}")
    return folder


def node(folder: Path, script: str, *words: str) -> "subprocess.Popen[str]":
    # An EventSource is part of every browser, and of Node behind this option.
    command = ["node", "--experimental-eventsource", "--no-warnings", script, *words]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=os.environ)


def test_npms_server_client_gets_every_kind_of_value(
    axon: RunningAxon, call: FlagCalls, npm: Path
) -> None:
    rule = {"if": [{"==": [{"var": "plan"}, "pro"]}, "on", "off"]}
    values: dict[str, Any] = {"text": "a", "number": 2.5, "truth": True, "object": {"prompt": "b"}}
    for kind, value in values.items():
        definition = {"state": "ENABLED", "variants": {"one": value}, "defaultVariant": "one"}
        call.put(f"npm-{kind}", definition)
    call.put("npm-targeted", flag("off", targeting=rule))
    with node(npm, "server.mjs", axon.origin, axon.api_key) as process:
        printed, _ = process.communicate(timeout=NODE_TIMEOUT_S)
    found = json.loads(printed)
    assert found["text"]["value"] == "a" and found["whole"]["value"] == 2.5
    assert found["truth"]["value"] is True and found["object"]["value"] == {"prompt": "b"}
    assert (found["targeted"]["value"], found["targeted"]["reason"]) == ("yes", "TARGETING_MATCH")
    assert found["missing"]["value"] == "default"
    assert found["missing"]["errorCode"] == "FLAG_NOT_FOUND"


@pytest.fixture
def web(axon: RunningAxon, call: FlagCalls, npm: Path) -> Iterator["subprocess.Popen[str]"]:
    """A web client that has asked once, and listens."""
    call.put("web-flag", flag("on"))
    with node(npm, "web.mjs", axon.origin, axon.api_key, str(FLIPS)) as process:
        yield process
        process.kill()


def test_npms_web_client_hears_of_every_flip(call: FlagCalls, web: "subprocess.Popen[str]") -> None:
    assert web.stdout is not None
    ready = json.loads(web.stdout.readline())
    assert (ready["what"], ready["value"]) == ("ready", "yes")
    for number in range(FLIPS):
        variant, value = (("off", "no"), ("on", "yes"))[number % 2]
        assert call.put("web-flag", flag(variant)).status == 200
        heard = json.loads(web.stdout.readline())
        assert (heard["what"], heard["value"]) == ("changed", value)
    assert web.wait(NODE_TIMEOUT_S) == 0
