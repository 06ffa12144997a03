"""Sends alerts to their endpoints, signed, again and again until they are taken or given up."""

import asyncio
import ssl
from dataclasses import dataclass, field

import asyncpg
import msgspec

from axon.alerts.alert import instant
from axon.alerts.errors import SecretRefused, UnusableUrl
from axon.alerts.guard import Allowed, addresses_of, target_of
from axon.alerts.posting import PostFailed, post
from axon.alerts.secret import signed_headers
from axon.alerts.store import Tried, claim, end_endpoint, settle
from axon.base import MICROS_PER_SECOND, Clock
from axon.sealing import Keyring, KeyringRefused, WrappedBytes
from axon.stores import Postgres
from axon.telemetry import counter

RETRIES_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""The schedule that Standard Webhooks recommends, to be counted from each attempt: nine more in
three days, then it is given up."""

AT_ONCE = 20
AT_ONCE_TO_ONE = 4

CLAIMED_S = 120
"""So long a delivery is one process's; it is due again if that process is never heard of."""

QUERY_TIMEOUT_S = 10.0
_ERROR_CHARACTERS = 300
_GONE = 410

_attempts = counter(
    "axon_webhook_attempts_total", "Attempts to deliver an alert, by result.", ("result",)
)
for _result in ("delivered", "retry", "failed"):
    _attempts.labels(_result)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOptions:
    """How alerts are sent."""

    allowed: Allowed = field(default_factory=Allowed)
    timeout_s: float = 10.0
    """For all of one attempt: looking the name up, connecting, and the answer's head."""
    ca_path: str = ""
    """PEM file of the authorities that endpoints are trusted by; empty: the system's."""
    retries_s: tuple[int, ...] = RETRIES_S


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    """The body, after Standard Webhooks."""

    type: str
    timestamp: str
    data: dict[str, object]


class Deliveries:
    """What is due, from PostgreSQL's table; what became of it, into its log."""

    def __init__(
        self, postgres: Postgres, keyring: Keyring, clock: Clock, options: DeliveryOptions
    ) -> None:
        """Nothing is sent yet."""
        self._postgres = postgres
        self._keyring = keyring
        self._clock = clock
        self._options = options
        self._tls: ssl.SSLContext | None = None

    async def deliver_due(self) -> None:
        """Send everything that is due; raises PostgresAway.

        At least once: when this process dies between an answer and its note, the alert is sent
        again, under the same id.
        """
        while True:
            now_us = self._clock.now_us()
            async with self._postgres.connection(QUERY_TIMEOUT_S) as connection:
                until_us = now_us + CLAIMED_S * MICROS_PER_SECOND
                due = await claim(connection, now_us, until_us, (AT_ONCE, AT_ONCE_TO_ONE))
            if not due:
                return
            if self._tls is None:
                self._tls = await asyncio.to_thread(_trusting, self._options.ca_path)
            sending = (self._deliver(one, self._tls) for one in due)
            ended = await asyncio.gather(*sending, return_exceptions=True)
            if errors := [error for error in ended if error is not None]:
                raise errors[0]  # once all have ended

    async def _deliver(self, delivery: asyncpg.Record, tls: ssl.SSLContext) -> None:
        began_us, began_s = self._clock.now_us(), self._clock.monotonic()
        try:
            async with asyncio.timeout(self._options.timeout_s):
                status, error = await self._send(delivery, tls), ""
        except TimeoutError:
            status, error = 0, f"no answer within {self._options.timeout_s:g} s"
        except (UnusableUrl, SecretRefused, PostFailed) as failure:
            status, error = 0, str(failure)[:_ERROR_CHARACTERS]
        took_ms = round((self._clock.monotonic() - began_s) * 1000)
        if 300 <= status < 400:
            error = "it redirects, and redirects are not followed"
        await self._settle(delivery, Tried(began_us, took_ms, status, error))

    async def _send(self, delivery: asyncpg.Record, tls: ssl.SSLContext) -> int:
        target = target_of(delivery["url"], self._options.allowed)
        addresses = await addresses_of(target, self._options.allowed)
        message = _Message(
            type=delivery["kind"],
            timestamp=instant(delivery["raised_us"]),
            data={"org_id": delivery["org_id"], **msgspec.json.decode(delivery["data"])},
        )
        body = msgspec.json.encode(message)
        try:
            wrapped = WrappedBytes(delivery["kek_id"], delivery["secret"])
            secret = self._keyring.unwrap(wrapped)
        except KeyringRefused as error:
            raise SecretRefused(str(error)) from error
        at_s = self._clock.now_us() // MICROS_PER_SECOND
        headers = signed_headers(secret, delivery["alert_id"], at_s, body)
        return await post(target, addresses, (headers, body), tls)

    async def _settle(self, delivery: asyncpg.Record, tried: Tried) -> None:
        """Write down what became of it, and when it is tried again."""
        retries: int = delivery["retries"]
        state, wait_s = "waiting", 0
        if 200 <= tried.status < 300:
            state = "delivered"
        elif tried.status == _GONE or retries > len(self._options.retries_s):
            state = "failed"
        else:
            wait_s = self._options.retries_s[retries - 1]
        next_us = self._clock.now_us() + wait_s * MICROS_PER_SECOND
        async with (
            self._postgres.connection(QUERY_TIMEOUT_S) as connection,
            connection.transaction(),
        ):
            await settle(connection, delivery, tried, state, next_us)
            if tried.status == _GONE:
                why = "it answered 410 Gone"
                await end_endpoint(connection, delivery["endpoint_id"], self._clock.now_us(), why)
        _attempts.labels("retry" if state == "waiting" else state).inc()


def _trusting(ca_path: str) -> ssl.SSLContext:
    """Return how endpoints prove who they are; blocks."""
    return ssl.create_default_context(cafile=ca_path or None)
