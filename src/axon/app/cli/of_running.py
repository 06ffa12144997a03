"""What the commands that ask a running Axon share: where it is, and with which key."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from axon.app.api_client import ApiClient
from axon.app.cli.command import config_option, data_option, json_option, settings_from
from axon.app.cli.reaching import reached
from axon.app.folders import DataFolder

Of = TypeVar("Of")


@dataclass(frozen=True, slots=True)
class Running:
    """Which Axon is asked, and for what kind of answer."""

    client: ApiClient
    as_json: bool


def asking(
    made: Callable[[str, str, bool], Of], key_help: str = "A key with the permission it wants."
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the common options to a command; its first argument is what `made` makes of them.

    It is told Axon's address, the key, and whether the answer is for scripts.
    """

    def added(command: Callable[..., None]) -> Callable[..., None]:
        return _with_options(command, made, key_help)

    return added


def _with_options(
    command: Callable[..., None], made: Callable[[str, str, bool], Of], key_help: str
) -> Callable[..., None]:
    @click.option("--base-url", envvar="AXON_BASE_URL", help="Where Axon is, with /v1.")
    @click.option("--api-key", envvar="AXON_API_KEY", help=key_help)
    @data_option
    @json_option
    @config_option
    @functools.wraps(command)
    def asked(base_url: str | None, api_key: str | None, as_json: bool, **rest: Any) -> None:
        chosen = {"AXON_DATA": rest.pop("data")}
        folder = DataFolder.of(settings_from(rest.pop("config"), chosen))
        command(made(*reached(folder, base_url, api_key), as_json), **rest)

    return asked


of_running = asking(lambda base_url, key, as_json: Running(ApiClient(base_url, key), as_json))
"""The options of commands that take Running."""
