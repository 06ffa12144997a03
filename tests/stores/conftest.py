"""What the tests of the stores share."""

import io
import sys
from collections.abc import Callable, Iterator

import pytest

from axon.telemetry import configure_log, log


@pytest.fixture
def log_lines() -> Iterator[Callable[[], list[str]]]:
    """A function that returns the log lines written so far in this test."""
    stream = io.StringIO()
    configure_log(stream, "test", "info")

    def lines() -> list[str]:
        assert log.flush(5.0)
        return stream.getvalue().splitlines()

    yield lines
    configure_log(sys.stderr, "axon", "info")
