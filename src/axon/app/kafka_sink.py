"""Events to a Kafka topic, acknowledged by every replica in sync. Needs the extra `axon[kafka]`.

Loaded only where brokers are set: librdkafka is heavy, and nothing else wants it.
"""

import asyncio
import threading
import time
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from axon.app.settings import UsageStreamSettings
from axon.base import AxonError
from axon.metering import UsageEvent

_CONTENT_TYPE = ("content-type", b"application/cloudevents+json; charset=UTF-8")
"""Structured mode of the CloudEvents binding for Kafka."""

_LINGER_MS = 5
"""A page comes at once; so long the client waits to see all of it."""

_POLL_S = 0.1

_ONLY_CRITICAL = 2
"""librdkafka's own lines on stderr: why it is away is in our log line already."""


class KafkaAway(AxonError):
    """Kafka did not acknowledge everything."""


class KafkaSink:
    """An idempotent producer; a new one after each failure, so that nothing old comes late."""

    def __init__(self, settings: UsageStreamSettings) -> None:
        """Connects with the first events."""
        self._settings = settings
        self._producer: Producer | None = None
        self._reason = ""
        self._sending = threading.Lock()
        """Held by the thread that sends: one whose caller was cancelled needs a moment to end."""

    async def send(self, events: Sequence[UsageEvent]) -> None:
        """Return once the brokers have all events; raises KafkaAway, and then may lack some.

        Blocks a thread for `delivery_timeout_s` at most.
        """
        given_up = threading.Event()
        try:
            await asyncio.to_thread(self._send, events, given_up)
        finally:
            given_up.set()

    def _send(self, events: Sequence[UsageEvent], given_up: threading.Event) -> None:
        with self._sending:
            self._send_alone(events, given_up)

    def _send_alone(self, events: Sequence[UsageEvent], given_up: threading.Event) -> None:
        acknowledged = 0

        def delivered(error: KafkaError | None, message: Message) -> None:
            nonlocal acknowledged
            if error is None:
                acknowledged += 1
            else:
                self._reason = self._reason or str(error)

        self._reason = ""
        deadline = time.monotonic() + self._settings.delivery_timeout_s
        try:
            producer = self._producer = self._producer or Producer(self._configuration())
            for event in events:
                producer.produce(
                    self._settings.topic,
                    event.body,
                    event.org_id.encode(),
                    on_delivery=delivered,
                    headers=[_CONTENT_TYPE],
                )
            while len(producer) and time.monotonic() < deadline and not given_up.is_set():
                producer.poll(_POLL_S)
        except (KafkaException, BufferError, ValueError) as error:
            self._abandon()
            raise KafkaAway(str(error)) from error
        if acknowledged < len(events):
            self._abandon()
            raise KafkaAway(self._reason or f"no answer from {self._settings.brokers}")

    def _abandon(self) -> None:
        """Let go of the producer with all that it still holds: it is sent again by the next."""
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _erred(self, error: KafkaError) -> None:
        """Called by librdkafka when a broker cannot be reached or refuses us."""
        self._reason = str(error)

    def _configuration(self) -> dict[str, object]:
        settings = self._settings
        found: dict[str, object] = {
            "bootstrap.servers": settings.brokers,
            "client.id": "axon",
            "security.protocol": settings.security,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": _LINGER_MS,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",  # the Java clients': a key stays where they put it
            "message.timeout.ms": round(settings.delivery_timeout_s * 1000),
            "error_cb": self._erred,
            "log_level": _ONLY_CRITICAL,
        }
        if settings.security.startswith("sasl"):
            found |= {
                "sasl.mechanism": settings.sasl_mechanism,
                "sasl.username": settings.user,
                "sasl.password": settings.password,
            }
        paths = {
            "ssl.ca.location": settings.ca_path,
            "ssl.certificate.location": settings.certificate_path,
            "ssl.key.location": settings.certificate_key_path,
        }
        return found | {name: path for name, path in paths.items() if path}
