"""Builds the usage stream of the settings: for the scheduler and for the command."""

import importlib
from collections.abc import Sequence
from typing import cast

from axon.app.settings import Settings, UsageStreamSettings
from axon.base import AxonError, Clock
from axon.metering import EventSink, UsageEvent, UsageStream
from axon.sealing import Keyring
from axon.stores import Postgres

_MARK_BYTES = 8


class KafkaExtraMissing(AxonError):
    """The package confluent-kafka is not installed: pip install 'axon[kafka]'."""


class NoUsageStream(AxonError):
    """No usage stream is set up: set usage_stream.brokers."""


def usage_stream(
    settings: Settings, postgres: Postgres, keyring: Keyring, clock: Clock
) -> UsageStream:
    """Return the stream; where it goes is `LateSink`'s."""
    mark = keyring.derive("installation")[:_MARK_BYTES].hex()
    return UsageStream(postgres, settings.usage_stream.source or f"axon/{mark}", clock)


class LateSink:
    """The sink of the settings, loaded when the first events come: most have none."""

    def __init__(self, settings: UsageStreamSettings) -> None:
        """Nothing is loaded."""
        self._settings = settings
        self._sink: EventSink | None = None

    async def send(self, events: Sequence[UsageEvent]) -> None:
        """Send the events; raises NoUsageStream, KafkaExtraMissing, and what the sink raises."""
        if self._sink is None:
            if not self._settings.brokers:
                raise NoUsageStream
            try:
                module = importlib.import_module("axon.app.kafka_sink")
            except ImportError as error:
                raise KafkaExtraMissing(str(error)) from error
            self._sink = cast("EventSink", module.KafkaSink(self._settings))
        await self._sink.send(events)
