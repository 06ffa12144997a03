"""The command line teaches by example and says plainly what is wrong."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from axon.app.cli.command import ExampleCommand
from axon.app.cli.main import axon


def members(group: click.Group) -> dict[str, click.Command]:
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in members(group).items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


ALL = list(commands(axon))


def command_at(path: tuple[str, ...]) -> click.Command:
    found: click.Command = axon
    for name in path:
        assert isinstance(found, click.Group)
        found = members(found)[name]
    return found


def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-P", "-m", "axon.app.cli", *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_commands_are_the_promised_ones() -> None:
    assert set(ALL) >= {
        ("up",), ("serve",), ("migrate",), ("chat",), ("doctor",), ("settings",),
        ("keys", "create"), ("keys", "list"), ("keys", "revoke"),
        ("orgs", "create"), ("orgs", "list"), ("users", "create"), ("users", "list"),
        ("journal", "inspect"), ("journal", "verify"), ("journal", "salvage"),
        ("parked", "list"), ("parked", "show"), ("parked", "replay"), ("reconcile",),
        ("keyring", "backup"),
    }  # fmt: skip


@pytest.mark.parametrize("path", ALL[1:], ids=" ".join)
def test_every_command_is_found_under_its_own_name(path: tuple[str, ...]) -> None:
    assert command_at(path).name == path[-1]


def test_a_process_of_axon_imports_no_other_ones_modules() -> None:
    """Each does at its start, and after each death."""
    looks = (
        "import sys; from axon.app.cli.main import axon; axon.get_command(None, 'serve');"
        "print(*(name for name in sys.modules if name.startswith('axon.')))"
    )
    done = subprocess.run([sys.executable, "-c", looks], capture_output=True, text=True, check=True)
    rooms = {name.split(".")[1] for name in done.stdout.split()}
    assert "app" in rooms
    assert not rooms & {"gateway", "turns", "conversations", "inference", "billing"}


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_help_has_a_sentence_and_an_example_of_itself(path: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(axon, [*path, "--help"], prog_name="axon")
    assert answer.exit_code == 0
    command = command_at(path)
    assert isinstance(command, ExampleCommand)
    assert command.help
    own = " ".join(("axon", *path))
    assert any(own in example for example in command.examples)
    for example in command.examples:
        assert example in answer.output


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_example_has_only_options_that_exist(path: tuple[str, ...]) -> None:
    command = command_at(path)
    assert isinstance(command, ExampleCommand)
    for example in command.examples:
        words = example.split("#")[0].split("axon ", 1)[1].split("|")[0].split(">")[0].split()
        target: click.Command = axon
        while isinstance(target, click.Group) and words and words[0] in members(target):
            target = members(target)[words.pop(0)]
        assert not isinstance(target, click.Group), example
        known = {name for one in target.params for name in (*one.opts, *one.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= known, example


def test_every_option_says_what_it_does() -> None:
    silent = [
        (path, option.name)
        for path in ALL
        for option in command_at(path).params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []


def test_wrong_settings_are_listed_and_end_with_2(tmp_path: Path) -> None:
    done = run("settings", AXON_HTTP_PORT="x", AXON_LOG_LEVEL="loud", AXON_DATA=str(tmp_path))
    assert done.returncode == 2
    assert "http.port must be" in done.stderr
    assert "log.level must be" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_shows_what_is_in_force_and_no_secret(tmp_path: Path) -> None:
    done = run("settings", "--json", AXON_UPSTREAM_KEY="sk-secret", AXON_HTTP_PORT="1234")
    assert '"http.port":1234' in done.stdout
    assert "sk-secret" not in done.stdout


def test_what_needs_a_database_says_how_to_get_one(tmp_path: Path) -> None:
    done = run("keys", "list", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "axon up" in done.stderr
    assert "AXON_DATABASE_URL" in done.stderr


@pytest.mark.parametrize("role", ["", "brewer", "projector,brewer"])
def test_a_role_that_cannot_run_is_refused(tmp_path: Path, role: str) -> None:
    done = run("serve", "--role", role, "--data", str(tmp_path))
    assert done.returncode == 2
    assert "--role" in done.stderr


def test_the_version_is_told() -> None:
    assert run("--version").stdout.startswith("axon, version ")
