"""A strict stand-in for the part of Stripe's API that we use: a real HTTP server with faults.

Source: Stripe's API reference for billing meters, meter events and event summaries.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event as Flag
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.billing.fake_errors import Refused, page
from tests.billing.fake_invoices import FakeInvoices
from tests.billing.localstripe_process import Localstripe

KEY = "sk_test_axon"
HOUR_S = 3600
PAST_S = 35 * 86_400
FUTURE_S = 300
Body = dict[str, Any]


@dataclass
class Event:
    identifier: str
    currency_event: str
    customer: str
    value: int
    timestamp: int


@dataclass
class FakeStripe:
    """What it holds, and how it misbehaves."""

    now: Callable[[], int]
    """Seconds since 1970."""
    url: str = ""
    customers: dict[str, Body] = field(default_factory=dict)
    meters: dict[str, Body] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    """Identifiers it still refuses; forgotten after a day."""
    reports: list[Body] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    down: bool = False
    thawed: Flag = field(default_factory=Flag)
    """While it is not set, every call is read and none is answered."""
    deaf: int = 0
    """So many events are taken and never answered."""
    loses: Callable[[Event], bool] = lambda event: False
    rejects: Callable[[Event], bool] = lambda event: False
    """What is taken, and rejected afterwards."""
    breaks: Callable[[str], str] = lambda call: ""
    """Of a call: "unheard" when its connection ends before it is read, "unanswered" afterwards."""
    replayed: dict[str, tuple[str, Body, Body]] = field(default_factory=dict)
    """By idempotency key: what was asked and answered."""
    behind: Localstripe | None = None
    """Is asked about customers, drafts and items first."""
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.thawed.set()
        self.billed = FakeInvoices(self.now, self.customers, self.behind)

    def forget(self) -> None:
        """Forget identifiers and idempotency keys, as Stripe may after a day."""
        self.known.clear()
        self.replayed.clear()

    def total(self, event_name: str, customer: str | None = None) -> int:
        return sum(
            event.value
            for event in self.events
            if event.currency_event == event_name and customer in (None, event.customer)
        )

    def decide(
        self, method: str, path: str, values: Body, headers: "Message[str, str]"
    ) -> tuple[int, Body]:
        """Return the status and the body of an answer."""
        with self.lock:
            self.calls.append(f"{method} {path}")
            if self.down:
                return 503, {"error": {"type": "api_error", "message": "It is down."}}
            if headers.get("authorization") != f"Bearer {KEY}":
                wrong = {"type": "invalid_request_error", "message": "Invalid API Key."}
                return 401, {"error": wrong}
            again = headers.get("idempotency-key", "")
            known = again.startswith("axon") and self.replayed.get(again)
            if known and known[:2] == (path, values):
                return 200, known[2]
            if known:
                message = "Keys can only be used with the same parameters."
                return 400, {"error": {"type": "idempotency_error", "message": message}}
            try:
                body = self.answer(method, path, values)
            except Refused as refused:
                error = {"type": "invalid_request_error", "message": str(refused)}
                return refused.status, {"error": {**error, "code": refused.code}}
            self.replayed[again] = (path, values, body)
            return 200, body

    def answer(self, method: str, path: str, values: Body) -> Body:
        """Return what is answered; raises Refused."""
        if (method, path) == ("POST", "/v1/customers"):
            made = {"id": f"cus_{len(self.customers) + 1}", "object": "customer", **values}
            if self.behind is not None:
                made["id"] = self.behind.customer(values)
            self.customers[made["id"]] = made
            return made
        if (method, path) == ("POST", "/v1/billing/meters"):
            return self.make_meter(values)
        if (method, path) == ("GET", "/v1/billing/meters"):
            return page(list(self.meters.values()), values, path)
        if (method, path) == ("POST", "/v1/billing/meter_events"):
            return self.take(values)
        if found := re.fullmatch(r"/v1/billing/meters/(\w+)/event_summaries", path):
            return page(self.summaries(found[1], values), values, path)
        if (method, path) == ("GET", "/v2/core/events"):
            data = [
                one for one in self.reports if one["related_object"]["id"] == values["object_id"]
            ]
            return {"data": data[::-1], "next_page_url": None, "previous_page_url": None}
        if found := re.fullmatch(r"/v2/core/events/(\w+)", path):
            found_reports = [one for one in self.reports if one["id"] == found[1]]
            if not found_reports:
                raise Refused(f"No such event: '{found[1]}'", 404, "resource_missing")
            return found_reports[0]
        if (about_invoices := self.billed.answer(method, path, values)) is not None:
            return about_invoices
        raise Refused(f"Unrecognized request URL ({method}: {path}).", 404)

    def make_meter(self, values: Body) -> Body:
        if set(values) != {"display_name", "event_name", "default_aggregation"}:
            raise Refused("Missing or unknown parameters.")
        if any(one["event_name"] == values["event_name"] for one in self.meters.values()):
            raise Refused("There is already an active meter with this event name.")
        made = {
            "id": f"mtr_{len(self.meters) + 1}", "object": "billing.meter", "status": "active",
            **values,
        }  # fmt: skip
        self.meters[made["id"]] = made
        return made

    def take(self, values: Body) -> Body:
        if set(values) != {"event_name", "identifier", "timestamp", "payload"}:
            raise Refused("Missing or unknown parameters.", code="parameter_unknown")
        payload, identifier = values["payload"], values["identifier"]
        if set(payload) != {"stripe_customer_id", "value"} or len(identifier) > 100:
            raise Refused("The payload is not what the meter wants.")
        if not re.fullmatch(r"-?\d+(\.\d{1,12})?", payload["value"]):
            raise Refused("The value is no number.", code="meter_event_invalid_value")
        meter = [one for one in self.meters.values() if one["event_name"] == values["event_name"]]
        if not meter:
            raise Refused("No active meter has this event name.")
        at = int(values["timestamp"])
        if not self.now() - PAST_S <= at <= self.now() + FUTURE_S:
            raise Refused("The timestamp is too far in the past or in the future.")
        if identifier in self.known:
            message = f"An event already exists with identifier {identifier}."
            raise Refused(message, code="duplicate_meter_event")
        self.known.add(identifier)
        event = Event(
            identifier, values["event_name"], payload["stripe_customer_id"],
            int(payload["value"]), at,
        )  # fmt: skip
        if event.customer not in self.customers:
            self.report(meter[0]["id"], event, "meter_event_customer_not_found")
        elif self.rejects(event):
            self.report(meter[0]["id"], event, "meter_event_value_not_found")
        elif not self.loses(event):
            self.events.append(event)
        return {"object": "billing.meter_event", "created": self.now(), "livemode": False, **values}

    def report(self, meter_id: str, event: Event, code: str) -> None:
        sample = {
            "error_message": "It cannot be used.",
            "request": {"identifier": event.identifier},
        }
        kinds = [{"code": code, "error_count": 1, "sample_errors": [sample]}]
        self.reports.append(
            {
                "id": f"evt_{len(self.reports) + 1}",
                "object": "v2.core.event",
                "type": "v1.billing.meter.error_report_triggered",
                "created": "2026-11-01T00:00:00.000Z",
                "livemode": False,
                "related_object": {"id": meter_id, "type": "billing.meter", "url": "/"},
                "data": {
                    "developer_message_summary": "There is 1 invalid event",
                    "reason": {"error_count": 1, "error_types": kinds},
                    "validation_start": "2026-11-01T00:00:00.000Z",
                    "validation_end": "2026-11-01T00:00:10.000Z",
                },
            }
        )

    def summaries(self, meter_id: str, values: Body) -> list[Body]:
        meter = self.meters.get(meter_id)
        if meter is None or values["customer"] not in self.customers:
            raise Refused("No such meter, or no such customer.", 404, "resource_missing")
        start, end = int(values["start_time"]), int(values["end_time"])
        if values["value_grouping_window"] != "hour" or start % HOUR_S or end % HOUR_S:
            raise Refused("The times are not at the bounds of hours.")
        hours: dict[int, int] = {}
        for event in self.events:
            if (event.customer, event.currency_event) == (values["customer"], meter["event_name"]):
                if start <= event.timestamp < end:
                    hour = event.timestamp // HOUR_S * HOUR_S
                    hours[hour] = hours.get(hour, 0) + event.value
        return [
            {
                "id": f"mtrusg_{hour}", "object": "billing.meter_event_summary", "livemode": False,
                "meter": meter_id, "start_time": hour, "end_time": hour + HOUR_S,
                "aggregated_value": float(value),
            }
            for hour, value in sorted(hours.items(), reverse=True)
        ]  # fmt: skip


def nested(text: str) -> Body:
    """Return a form or a query as Stripe reads it: `a[b]=c` is a member of a member."""
    found: Body = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        first, *rest = [part for part in re.split(r"[\[\]]", name) if part]
        place, key = found, first
        for part in rest:
            place, key = place.setdefault(key, {}), part
        place[key] = value
    return found


def handler_of(fake: FakeStripe) -> type[BaseHTTPRequestHandler]:
    """Return what answers requests as the stand-in does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            self.reply("GET", address.path, nested(address.query))

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            self.reply("POST", self.path, nested(self.rfile.read(length).decode()))

        def do_DELETE(self) -> None:
            self.reply("DELETE", self.path, {})

        def reply(self, method: str, path: str, values: Body) -> None:
            fake.thawed.wait()
            how = fake.breaks(f"{method} {path}")
            if how == "unheard":
                self.close_connection = True
                return
            status, body = fake.decide(method, path, values, self.headers)
            if status == 200 and fake.deaf and path.endswith("meter_events"):
                fake.deaf -= 1
                how = "unanswered"
            if how == "unanswered":
                self.close_connection = True
                return
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


@contextmanager
def running(fake: FakeStripe) -> Iterator[FakeStripe]:
    """Answer on a port of its own until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(fake))
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
