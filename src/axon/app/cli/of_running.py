"""What the commands that ask a running Axon share: where it is, and with which key."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from axon.app.api_client import ApiClient
from axon.app.cli.command import config_option, data_option, json_option, settings_from
from axon.app.cli.reaching import reached
from axon.app.folders import DataFolder


@dataclass(frozen=True, slots=True)
class Running:
    """Which Axon is asked, and for what kind of answer."""

    client: ApiClient
    as_json: bool


def of_running(command: Callable[..., None]) -> Callable[..., None]:
    """Add the common options and hand them to the command as its first argument, Running."""

    @click.option("--base-url", envvar="AXON_BASE_URL", help="Where Axon is, with /v1.")
    @click.option("--api-key", envvar="AXON_API_KEY", help="A key with the permission it wants.")
    @data_option
    @json_option
    @config_option
    @functools.wraps(command)
    def asked(base_url: str | None, api_key: str | None, as_json: bool, **rest: Any) -> None:
        chosen = {"AXON_DATA": rest.pop("data")}
        folder = DataFolder.of(settings_from(rest.pop("config"), chosen))
        command(Running(ApiClient(*reached(folder, base_url, api_key)), as_json), **rest)

    return asked
