"""What every command shares: examples in its help, settings from its options, errors as text."""

import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from axon.app.settings import Settings, load_settings

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class ExampleCommand(click.Command):
    """A command whose help ends with examples to paste."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        """`examples` are whole command lines."""
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, one a line, unwrapped."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


class ExampleGroup(ExampleCommand, click.Group):
    """A group of commands with examples of its own; its commands are ExampleCommands."""

    command_class = ExampleCommand


class LazyGroup(ExampleGroup):
    """A group whose commands are imported when they are asked for.

    Each process of Axon is a command, and none of them needs the modules of all the others.
    """

    def __init__(self, *args: Any, elsewhere: Mapping[str, str] | None = None, **kwargs: Any):
        """`elsewhere` has the place of each such command, as module:attribute, by its name."""
        super().__init__(*args, **kwargs)
        self._elsewhere = dict(elsewhere or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *self._elsewhere})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None when there is none of this name."""
        place = self._elsewhere.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


def config_option(command: Decorated) -> Decorated:
    """Add --config, the settings file."""
    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="The settings file, instead of ./axon.toml.",
    )(command)


def data_option(command: Decorated) -> Decorated:
    """Add --data, the data folder."""
    return click.option(
        "--data", metavar="DIR", help="The data folder, instead of $AXON_DATA or ./.axon."
    )(command)


def json_option(command: Decorated) -> Decorated:
    """Add --json, for scripts."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")(command)


def settings_from(config: Path | None, chosen: Mapping[str, object | None]) -> Settings:
    """Return the settings with options put over them, and hand them on to child processes.

    `chosen` maps variables to the options' values; an option is but a variable's shorter
    spelling, so that a mistake in one is reported with the rest. Raises SettingsWrong.
    """
    if config is not None:
        os.environ["AXON_CONFIG"] = str(config.absolute())
    os.environ.update({name: str(value) for name, value in chosen.items() if value is not None})
    return load_settings()
