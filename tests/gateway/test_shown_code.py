"""The code people are shown works when it is pasted: the README's, and what `axon up` prints."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from axon.app.up.screen import snippets
from tests.gateway.conftest import RunningAxon

README = Path(__file__).resolve().parents[2] / "README.md"
ANSWER = "tok0 tok1 tok2"
"""What the fake upstream says to everything."""


def run_python(code: str) -> None:
    exec(compile(code, "shown", "exec"), {})  # noqa: S102 - our own pages are what is tested


def test_the_printed_python(axon: RunningAxon, capsys: pytest.CaptureFixture[str]) -> None:
    _, python = snippets(axon.base_url, axon.api_key, "m")
    run_python(python)
    assert capsys.readouterr().out == ANSWER


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_printed_curl_line(axon: RunningAxon) -> None:
    curl, _ = snippets(axon.base_url, axon.api_key, "m")
    done = subprocess.run(
        shlex.split(curl.replace("\\\n", " ")), capture_output=True, check=True, timeout=30
    )
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == ANSWER


def test_the_tour_of_the_readme(axon: RunningAxon, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    code = code.replace("http://127.0.0.1:8080/v1", axon.base_url)
    run_python(code.replace("sk-axon-...", axon.api_key))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [ANSWER, ANSWER]
    assert [line.split()[1] for line in lines[2:]] == ["message"] * 4
