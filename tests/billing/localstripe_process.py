"""localstripe in a process of its own: somebody else's idea of customers, drafts and items.

It is under the GPL: it is run, never imported. It makes a draft only for a subscription and with an
item, knows no item that joins a draft later, and neither finalizes nor knows idempotency keys. What
it knows it also writes to a file in /tmp, which `--from-scratch` has it never read.
"""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.billing.fake_errors import Refused

START_TRIES_MAX = 600
"""A tenth of a second apart, as long as the process lives."""

Body = dict[str, Any]


class Localstripe:
    """A running one, and the calls by which the stand-in asks it."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self._key = key

    def customer(self, values: Body) -> str:
        """Make a customer, with a subscription to nothing; return its id."""
        made = self.ask("POST", "/v1/customers", values)
        subscription = {"customer": made["id"], "items[0][plan]": "nothing"}
        self.ask("POST", "/v1/subscriptions", subscription)
        return str(made["id"])

    def draft(self, values: Body) -> str:
        """Make a draft; return its id."""
        customer = {"customer": values["customer"]}
        self.ask("POST", "/v1/invoiceitems", {**customer, "amount": 0, "currency": "usd"})
        kept = ("customer", "description", "metadata", "pending_invoice_items_behavior")
        made = self.ask("POST", "/v1/invoices", {name: values[name] for name in kept})
        assert made["status"] == "draft"
        return str(made["id"])

    def item(self, values: Body) -> str:
        """Make an item of a draft; return its id."""
        told = {name: value for name, value in values.items() if name != "period"}
        period = {f"period_{end}": at for end, at in values["period"].items()}
        return str(self.ask("POST", "/v1/invoiceitems", {**told, **period})["id"])

    def ask(self, method: str, path: str, values: Body | None = None) -> Body:
        """Return what it answers; raises Refused."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            data=None if values is None else urlencode(_flat(values)).encode(),
            headers={"Authorization": f"Bearer {self._key}"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                found: Body = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(f"localstripe: {error.read().decode()}", error.code) from None


def _flat(values: Body, prefix: str = "") -> Body:
    found: Body = {}
    for name, value in values.items():
        key = f"{prefix}[{name}]" if prefix else name
        found.update(_flat(value, key) if isinstance(value, dict) else {key: value})
    return found


@contextmanager
def running_localstripe(key: str) -> Iterator[Localstripe]:
    """Run one on a port of its own until the block ends."""
    try:
        with socket.socket(socket.AF_INET6) as free:
            free.bind(("::1", 0))
            port = free.getsockname()[1]
    except OSError:
        pytest.skip("localstripe listens on IPv6, which this machine has not")
    command = [sys.executable, "-m", "localstripe", "--from-scratch", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = Localstripe(f"http://[::1]:{port}", key)
    try:
        for _ in range(START_TRIES_MAX):
            try:
                found.ask("GET", "/v1/customers")
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, "localstripe ended"
                time.sleep(0.1)
        plan = {"id": "nothing", "amount": 0, "currency": "usd", "interval": "month"}
        found.ask("POST", "/v1/plans", {**plan, "product": {"name": "nothing"}})
        yield found
    finally:
        process.kill()
        process.wait()
