"""A small client of `/v1/experiments`; it blocks, as a terminal may."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from axon.app.flags_client import FlagsClient
from axon.gateway import ExperimentHistory, ExperimentPage, ExperimentResults


class ExperimentsClient:
    """Every method raises FlagsRefused, with what Axon says."""

    def __init__(self, flags: FlagsClient) -> None:
        """`flags` says where Axon is, and with which key it is asked."""
        self._flags = flags

    def all(self) -> ExperimentPage:
        """Return every experiment."""
        return msgspec.json.decode(self._flags.call("GET", "/experiments"), type=ExperimentPage)

    def one(self, name: str) -> Any:
        """Return an experiment."""
        return msgspec.json.decode(self._flags.call("GET", _path(name)))

    def describe(self, name: str, experiment: object, why: str) -> Any:
        """Make or change an experiment; return it."""
        body = msgspec.json.encode({"experiment": experiment, "why": why})
        return msgspec.json.decode(self._flags.call("PUT", _path(name), body))

    def step(self, name: str, step: str, asked: Mapping[str, object]) -> Any:
        """Take a step: start, shares, stop or decision; return the experiment."""
        body = msgspec.json.encode(asked)
        return msgspec.json.decode(self._flags.call("POST", f"{_path(name)}/{step}", body))

    def results(self, name: str) -> ExperimentResults:
        """Return what was calculated last."""
        found = self._flags.call("GET", f"{_path(name)}/results")
        return msgspec.json.decode(found, type=ExperimentResults)

    def page(self, name: str) -> bytes:
        """Return the same as a page."""
        return self._flags.call("GET", f"{_path(name)}/results?format=html")

    def history(self, name: str) -> ExperimentHistory:
        """Return its changes, the newest first."""
        found = self._flags.call("GET", f"{_path(name)}/history")
        return msgspec.json.decode(found, type=ExperimentHistory)


def _path(name: str) -> str:
    return f"/experiments/{quote(name, safe='')}"
