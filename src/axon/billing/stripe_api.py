"""What we ask of Stripe, through its official SDK; the package is an extra, `axon[stripe]`."""

import asyncio
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from axon.base import MICROS_PER_SECOND
from axon.billing.errors import BillingError

TIMEOUT_S = 20.0
"""Of one call. A call that took longer may have been done: identifiers say whether it was."""

REPORTS_MAX = 100
"""Reports of errors listed at once, the newest first; each is read once."""

HOUR_US = 3600 * MICROS_PER_SECOND

_DUPLICATE = ("duplicate_meter_event", "already exists with identifier")
"""How Stripe says that it has an event already: its code, and its words where it gives none."""

ERROR_REPORTS = (
    "v1.billing.meter.error_report_triggered",
    "v1.billing.meter.no_meter_found",
)
"""Stripe's events about meter events that it took and could not use."""

_CONFLICT = 409
"""Another call with the same idempotency key is under way."""

Answer = TypeVar("Answer")


class StripeExtraMissing(BillingError):
    """The package stripe is not installed: pip install 'axon[stripe]'."""


class StripeAway(BillingError):
    """Stripe does not answer; what is due stays due."""


class StripeRefused(BillingError):
    """Stripe refuses this."""


class StripeUnset(BillingError):
    """No key that Stripe takes is known: set stripe.key."""


class Rejection(NamedTuple):
    """An event that Stripe took and could not use."""

    identifier: str
    error: str


class Report(NamedTuple):
    """What Stripe says of events that it took and could not use."""

    rejections: list[Rejection]
    """Those it names: samples, when there are many."""
    errors: int
    """How many there are."""


class StripeApi:
    """One account of Stripe. Calls run in threads, one at a time for each caller.

    Every method raises StripeAway, after which it may have been done, StripeRefused, and
    StripeUnset for a key that Stripe does not take.
    """

    def __init__(self, key: str, url: str = "") -> None:
        """`url` stands in for https://api.stripe.com; raises StripeUnset, StripeExtraMissing."""
        if not key:
            raise StripeUnset
        try:
            self._sdk: Any = importlib.import_module("stripe")
        except ImportError as error:
            raise StripeExtraMissing(str(error)) from error
        self.client: Any = self._sdk.StripeClient(
            key,
            base_addresses={"api": url} if url else {},
            http_client=self._sdk.RequestsClient(timeout=TIMEOUT_S),
            max_network_retries=0,
        )
        self._meters: dict[str, str] = {}

    async def create_customer(self, org_id: str, name: str, email: str) -> str:
        """Return the id of the organization's customer; made once, however often this is called."""
        address = {"email": email} if email else {}
        made = await self.call(
            self.client.v1.customers.create,
            {"name": name, "metadata": {"axon_org_id": org_id}, **address},
            {"idempotency_key": f"axon-customer-{org_id}"},
        )
        return str(made.id)

    async def send(self, identifier: str, customer_id: str, at_us: int, event: "Amount") -> None:
        """Tell of an amount; one that Stripe has already is as good as told."""
        await self.meter(event.currency)
        try:
            await self.call(
                self.client.v1.billing.meter_events.create,
                {
                    "event_name": meter_name(event.currency),
                    "identifier": identifier,
                    "timestamp": at_us // MICROS_PER_SECOND,
                    "payload": {"stripe_customer_id": customer_id, "value": str(event.nano)},
                },
            )
        except StripeRefused as refused:
            if not any(word in refused.detail for word in _DUPLICATE):
                raise

    async def hourly(
        self, customer_id: str, currency: str, from_us: int, to_us: int
    ) -> dict[int, int]:
        """Return the nano-units that Stripe has of each hour, by its beginning; whole hours."""
        meter_id = await self.meter(currency)
        params = {
            "customer": customer_id,
            "start_time": from_us // MICROS_PER_SECOND,
            "end_time": to_us // MICROS_PER_SECOND,
            "value_grouping_window": "hour",
            "limit": 100,
        }

        def read() -> list[Any]:
            listed = self.client.v1.billing.meters.event_summaries.list(meter_id, params)
            return list(listed.auto_paging_iter())

        found = await self.call(read)
        return {one.start_time * MICROS_PER_SECOND: round(one.aggregated_value) for one in found}

    async def report_ids(self, currency: str) -> list[str]:
        """Return the newest reports about a currency's meter, the newest first."""
        meter_id = await self.meter(currency)
        asked = {"object_id": meter_id, "limit": REPORTS_MAX}
        listed = await self.call(self.client.v2.core.events.list, asked)
        return [one.id for one in listed.data if one.type in ERROR_REPORTS]

    async def report(self, report_id: str) -> Report:
        """Return what a report says."""
        read = await self.call(self.client.v2.core.events.retrieve, report_id)
        rejections = [
            Rejection(one.request.identifier, f"{kind.code}: {one.error_message}")
            for kind in read.data.reason.error_types
            for one in kind.sample_errors
        ]
        return Report(rejections, read.data.reason.error_count)

    async def meter(self, currency: str) -> str:
        """Return the id of a currency's meter, made when there is none."""
        if currency not in self._meters:
            name = meter_name(currency)

            def read() -> str | None:
                listed = self.client.v1.billing.meters.list({"status": "active", "limit": 100})
                ids = [one.id for one in listed.auto_paging_iter() if one.event_name == name]
                return ids[0] if ids else None

            meter_id = await self.call(read)
            if meter_id is None:
                made = await self.call(
                    self.client.v1.billing.meters.create,
                    {
                        "display_name": f"Axon, billionths of {currency}",
                        "event_name": name,
                        "default_aggregation": {"formula": "sum"},
                    },
                    {"idempotency_key": f"axon-meter-{name}"},
                )
                meter_id = made.id
            self._meters[currency] = str(meter_id)
        return self._meters[currency]

    async def call(self, call: Callable[..., Answer], *arguments: Any) -> Answer:
        """Return what a method of the SDK's `client` answers; its errors are ours."""
        try:
            return await asyncio.to_thread(call, *arguments)
        except (self._sdk.APIConnectionError, self._sdk.RateLimitError) as error:
            raise StripeAway(str(error)) from error
        except (self._sdk.AuthenticationError, self._sdk.PermissionError) as error:
            raise StripeUnset(str(error)) from error
        except self._sdk.StripeError as error:
            if (error.http_status or 500) >= 500 or error.http_status == _CONFLICT:
                raise StripeAway(str(error)) from error
            raise StripeRefused(f"{error.code or type(error).__name__}: {error}") from error


class Amount(NamedTuple):
    """What something cost."""

    currency: str
    nano: int


def meter_name(currency: str) -> str:
    """Return the `event_name` of the meter that sums nano-units of a currency."""
    return f"axon_cost_nano_{currency.lower()}"
