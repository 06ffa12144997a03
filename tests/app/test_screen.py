"""What `axon up` shows a person: progress, deaths, and snippets that work when pasted."""

import ast
import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from axon.app.supervisor import Change
from axon.app.up.screen import Screen, snippets

BASE_URL = "http://127.0.0.1:8080/v1"


def shown_by(*changes: Change, stopping: bool = False) -> list[str]:
    output = io.StringIO()
    screen = Screen(Console(file=output, width=200), lambda: 1.5)
    if stopping:
        screen.stopping()
    for change in changes:
        screen.changed(change)
    return output.getvalue().splitlines()


def test_the_snippets_hold_the_address_the_key_and_the_model() -> None:
    for snippet in snippets(BASE_URL, "sk-axon-1", "small"):
        assert BASE_URL in snippet
        assert "sk-axon-1" in snippet
        assert '"model": "small"' in snippet


def test_the_python_snippet_can_be_pasted_statement_by_statement() -> None:
    _, python = snippets(BASE_URL, "sk-axon-1", "small")
    statements = ast.parse(python).body
    nested = [place for place, one in enumerate(statements) if isinstance(one, ast.For | ast.With)]
    assert nested == [len(statements) - 1], "an interpreter needs a blank line after a block"


def test_the_curl_line_is_one_command() -> None:
    curl, _ = snippets(BASE_URL, "sk-axon-1", "small")
    words = shlex.split(curl)
    assert words[0] == "curl"
    assert f"{BASE_URL}/chat/completions" in words


def test_the_welcome_names_the_command_for_this_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(tmp_path / ".venv" / "bin" / "axon"), "up"])
    for data, command in ((".axon", "chat"), ("other", "chat --data other")):
        output = io.StringIO()
        Screen(Console(file=output, width=40), lambda: 1.5).welcome(
            BASE_URL, "sk-axon-1", "small", tmp_path / data
        )
        assert f"To talk to it: .venv/bin/axon {command}    " in output.getvalue()
        assert all(
            snippet in output.getvalue() for snippet in snippets(BASE_URL, "sk-axon-1", "small")
        )


def test_a_death_is_told_with_its_cause_and_the_restart() -> None:
    killed = Change(role="serving", what="ended", pid=7, exit_code=-9, restart_in_s=0.1)
    ready = Change(role="serving", what="ready", pid=8)
    assert shown_by(ready, killed, ready) == [
        "  1.50 s  ✓ serving is ready",
        "  1.50 s  ✗ serving (process 7) was killed by signal 9; starting it again in 0.1 s",
        "  1.50 s  ✓ serving is ready again",
    ]


def test_an_end_while_stopping_is_no_news() -> None:
    ended = Change(role="serving", what="ended", pid=7, exit_code=1, restart_in_s=0.1)
    assert len(shown_by(ended, stopping=True)) == 1
