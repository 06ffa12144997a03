"""A small Kafka broker in this process: librdkafka's own mock cluster, reached over sockets.

It speaks Kafka's protocol, keeps what it is given, and answers wrongly when it is told to. The
library is the one inside the package confluent-kafka; its C functions are called by name.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import Consumer, TopicPartition

TOPIC = "axon.usage"
PARTITIONS = 3
PRODUCE = 0
"""The number of a request that brings messages (Kafka's protocol guide)."""
NOT_ENOUGH_REPLICAS = 19
TOPIC_AUTHORIZATION_FAILED = 29

_PRODUCER = 0
_BROKER = 1
_WITHIN_S = 20.0


def _library() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parent
    (path,) = [
        *folder.parent.glob("confluent_kafka.libs/librdkafka*"),
        *folder.glob(".dylibs/librdkafka*"),
    ][:1]
    library = ctypes.CDLL(str(path))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return library


class Broker:
    """One broker; `address` is what clients are told."""

    def __init__(self) -> None:
        self._library = _library()
        handle = self._library.rd_kafka_new(
            _PRODUCER, ctypes.c_void_p(self._library.rd_kafka_conf_new()), None, 0
        )
        assert handle
        self._handle = ctypes.c_void_p(handle)
        self._clusters: list[ctypes.c_void_p] = []
        self.wipe()

    def wipe(self) -> None:
        """Begin with a new broker that knows nothing of what was acknowledged before."""
        cluster = self._library.rd_kafka_mock_cluster_new(self._handle, 1)
        assert cluster
        self._cluster = ctypes.c_void_p(cluster)
        self._clusters.append(self._cluster)
        self._call("topic_create", TOPIC.encode(), PARTITIONS, 1)

    @property
    def address(self) -> str:
        found: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return found.decode()

    def down(self) -> None:
        """Close every connection and take no new one."""
        self._call("broker_set_down", _BROKER)

    def up(self) -> None:
        self._call("broker_set_up", _BROKER)

    def answer_after(self, milliseconds: int) -> None:
        self._call("broker_set_rtt", _BROKER, milliseconds)

    def refuse(self, code: int, times: int) -> None:
        """Answer the next requests that bring messages with an error of Kafka's."""
        errors = (ctypes.c_int * times)(*([code] * times))
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(PRODUCE), ctypes.c_size_t(times), errors
        )

    def close(self) -> None:
        for cluster in self._clusters:
            self._library.rd_kafka_mock_cluster_destroy(cluster)
        self._library.rd_kafka_destroy(self._handle)

    def _call(self, name: str, *values: Any) -> None:
        assert not getattr(self._library, f"rd_kafka_mock_{name}")(self._cluster, *values)


class Read:
    """One message as a reader got it."""

    def __init__(self, message: Any) -> None:
        self.key: bytes = message.key()
        self.value: bytes = message.value()
        self.headers: dict[str, bytes] = dict(message.headers() or ())
        self.partition: int = message.partition()


def read_topic(address: str, topic: str = TOPIC) -> list[Read]:
    """Return every message of the topic, a partition after the other; blocks."""
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "tests",
            "enable.auto.commit": False,
            "log_level": 2,
        }
    )
    try:
        metadata = consumer.list_topics(topic, _WITHIN_S).topics[topic]
        found: list[Read] = []
        for partition in sorted(metadata.partitions):
            found += _read_partition(consumer, TopicPartition(topic, partition, 0))
        return found
    finally:
        consumer.close()


def _read_partition(consumer: Consumer, place: TopicPartition) -> Sequence[Read]:
    _, end = consumer.get_watermark_offsets(place, _WITHIN_S)
    consumer.assign([place])
    found: list[Read] = []
    while len(found) < end:
        messages = consumer.consume(end - len(found), _WITHIN_S)
        assert messages, f"{len(found)} of {end} messages came"
        found += [Read(message) for message in messages if message.error() is None]
    return found
