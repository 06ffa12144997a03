"""Two organizations with one of everything, for the matrix of who may what."""

import asyncio
import http.client
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from click.testing import CliRunner

from axon.accounts import AccountsAdmin, NewKey
from axon.app.administration import accounts_admin
from axon.app.cli.main import axon as axon_commands
from axon.app.embedded import EmbeddedPostgres
from axon.app.folders import DataFolder
from axon.records import TokenUsage
from tests.billing.scene import Journal
from tests.failures.rollout import flag_of
from tests.gateway.audited import soon
from tests.gateway.commands import axon_command
from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"
TIMEOUT_S = 60
NOWHERE = "https://127.0.0.1:9/"
"""Nothing listens there, so nothing is ever delivered."""

PERMITTED = ("auditor", "operator", "privacy_officer", "trainer", "admin", "flags", "limits")
"""Roles that are named for their one permission."""

OWNERS = ("owner", "pass", "product")
MORE = ("usage", "billing", "alerts", "events", "monitor")
"""Roles of one permission too, asked where a permission is wanted at all."""

ROLES = (*OWNERS, "person", *PERMITTED, "expired", "nobody")
UNKNOWN = ("expired", "nobody")
"""Whose key is no key."""

BEHIND = {"owner": "ada", "product": "backend", "expired": "late", "colleague": "colleague"}


@dataclass(slots=True)
class Caller:
    """Requests over one connection that is kept."""

    origin: str
    connection: http.client.HTTPConnection | None = None

    def ask(
        self, key: str, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, bytes]:
        """Return status and body; of a stream without an end, nothing of the body."""
        if self.connection is None:
            where = urlsplit(self.origin)
            self.connection = http.client.HTTPConnection(
                where.hostname or "", where.port, timeout=TIMEOUT_S
            )
        if key:
            headers["authorization"] = f"Bearer {key}"
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers["content-type"] = "application/json"
            if path.startswith("/api/v1/events"):
                headers["content-type"] = "application/cloudevents+json"
        self.connection.request(method, path, content, headers)
        answer = self.connection.getresponse()
        if "event-stream" in (answer.getheader("content-type") or ""):
            answer.close()
            self.close()
            return answer.status, b""
        return answer.status, answer.read()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@dataclass(slots=True)
class Tenant:
    """An organization, a key for each role, and one thing of each kind."""

    caller: Caller
    org: str
    org_id: str
    words: str
    """Stands in all that was said."""
    label: str
    """Stands in all that has a name or a reason."""
    keys: dict[str, str]
    persons: dict[str, int]
    things: dict[str, str] = field(default_factory=dict)

    def ask(self, role: str, method: str, path: str, body: Any = None) -> Any:
        """Return what is answered to a request that must be answered as asked."""
        status, content = self.caller.ask(self.keys[role], method, path, body)
        assert status == 200, (role, method, path, status, content)
        return json.loads(content)

    def fresh(self, kind: str) -> dict[str, str]:
        """Make a thing for one request; return it, and what it is part of, by their kinds."""
        name = f"new-{secrets.token_hex(6)}"
        made = _MAKERS[kind](self, name)
        return made if isinstance(made, dict) else {kind: made}

    def say(self, **more: Any) -> Any:
        text = f"[[text:{self.words}]] {self.words}"
        return self.ask("owner", "POST", "/v1/responses", {"model": MODEL, "input": text, **more})

    def conversation(self) -> str:
        told = {"metadata": {"words": self.words}}
        made: str = self.ask("owner", "POST", "/v1/conversations", told)["id"]
        self.ask("owner", "POST", f"/v1/conversations/{made}", {"title": self.words})
        return made

    def item(self) -> dict[str, str]:
        """Make an item; return it with its conversation."""
        conversation = self.conversation()
        items = {"items": [{"role": "user", "content": self.words}]}
        path = f"/v1/conversations/{conversation}/items"
        made = self.ask("owner", "POST", path, items)
        return {"conversation": conversation, "item": made["first_id"]}

    def completion(self) -> str:
        message = {"role": "user", "content": f"[[text:{self.words}]] {self.words}"}
        asked = {"model": MODEL, "messages": [message], "store": True}
        made: str = self.ask("owner", "POST", "/v1/chat/completions", asked)["id"]
        return made

    def judged(self) -> str:
        made: str = self.say()["id"]
        given = {"response_id": made, "rating": "down", "comment": self.words}
        self.ask("owner", "POST", "/v1/feedback", given)
        return made

    def request(self) -> str:
        """Ask to read a turn, as an auditor whom the auditor of the matrix is not."""
        asked = {"turn": self.things["response"], "reason": self.label}
        made: str = self.ask("second", "POST", "/v1/audit/requests", asked)["id"]
        return made

    def hold(self) -> str:
        held = {"user": f"held-{self.label}", "reason": self.label}
        made: str = self.ask("privacy_officer", "POST", "/v1/audit/holds", held)["id"]
        return made

    def webhook(self) -> str:
        url = NOWHERE + self.label
        made: str = self.ask("admin", "POST", "/v1/webhooks", {"url": url})["id"]
        return made

    def rule(self, name: str) -> str:
        rule = {"id": name, "measure": "tokens", "period": "month", "amount": 10**9}
        self.ask("limits", "POST", "/v1/limit_rules", {**rule, "org_id": self.org_id})
        return name

    def tier(self, name: str) -> str:
        self.ask("limits", "PUT", f"/v1/tiers/{name}", {"description": "x"})
        return name

    def flag(self, name: str) -> str:
        flag = flag_of(name)
        flag["metadata"]["client_side"] = True
        self.ask("flags", "PUT", f"/v1/flags/{name}", {"definition": flag})
        return name

    def schedule(self, name: str) -> str:
        flag = {"state": "DISABLED", "variants": {"on": "yes"}}
        asked = {"definition": flag, "at": "2099-01-01T00:00:00Z"}
        made: str = self.ask("flags", "PUT", f"/v1/flags/{name}", asked)["schedule_id"]
        return made

    def experiment(self, name: str) -> str:
        described = {
            "flag": self.flag(name), "hypothesis": "h", "control": "old",
            "shares": {"old": 50, "new": 50}, "primary": ["turns_per_unit"],
        }  # fmt: skip
        self.ask("flags", "PUT", f"/v1/experiments/{name}", {"experiment": described})
        return name


_MAKERS: dict[str, Callable[[Tenant, str], str | dict[str, str]]] = {
    "conversation": lambda tenant, _: tenant.conversation(),
    "item": lambda tenant, _: tenant.item(),
    "response": lambda tenant, _: str(tenant.say()["id"]),
    "completion": lambda tenant, _: tenant.completion(),
    "judged": lambda tenant, _: tenant.judged(),
    "request": lambda tenant, _: tenant.request(),
    "hold": lambda tenant, _: tenant.hold(),
    "webhook": lambda tenant, _: tenant.webhook(),
    "rule": Tenant.rule,
    "tier": Tenant.tier,
    "flag": Tenant.flag,
    "schedule": Tenant.schedule,
    "experiment": Tenant.experiment,
}


def make_tenant(axon: RunningAxon, caller: Caller, name: str) -> Tenant:
    """Make an organization, its people and their keys, and one thing of each kind."""
    tenant = asyncio.run(_make_accounts(axon, caller, name))
    minted = tenant.ask("product", "POST", "/v1/user_passes", {"user": "ada"})
    tenant.keys["pass"] = minted["value"]
    response = tenant.judged()
    tenant.things.update(tenant.item(), response=response, judged=response, org=tenant.org_id)
    tenant.things.update(
        completion=tenant.completion(),
        webhook=tenant.webhook(),
        hold=tenant.hold(),
        rule=tenant.rule(f"rule-{name}"),
        tier=tenant.tier(f"tier-{name}"),
        flag=(flag := tenant.fresh("experiment")["experiment"]),
        experiment=flag,
        schedule="none",
        subject=tenant.label,
        words=tenant.words,
        person=f"{tenant.persons['ada']:016x}",
        colleague=f"{tenant.persons['colleague']:016x}",
        day=str(int(time.time()) // 86_400 * 86_400),
    )
    told = {"model": MODEL, "input": f"[[text:{tenant.words}]]", "store": True}
    tenant.things["colleague's"] = tenant.ask("colleague", "POST", "/v1/responses", told)["id"]
    _make_documents(axon, tenant)
    turn = f"/v1/audit/turns/{response}"
    soon(lambda: tenant.caller.ask(tenant.keys["auditor"], "GET", turn)[0] == 200)
    tenant.things["request"] = tenant.request()
    return tenant


async def _make_accounts(axon: RunningAxon, caller: Caller, name: str) -> Tenant:
    url = EmbeddedPostgres(axon.data).url()
    async with accounts_admin(DataFolder(axon.data).keyring, url) as admin:
        org = await admin.create_org(name)
        tenant = Tenant(
            caller=caller,
            org=name,
            org_id=org.org_id,
            words=f"canary{name}words",
            label=f"canary{name}label",
            keys={"nobody": ""},
            persons={},
        )
        for role in (
            "owner",
            "product",
            "person",
            "colleague",
            "second",
            "expired",
            *PERMITTED,
            *MORE,
        ):
            await _make_user(admin, tenant, role)
    return tenant


async def _make_user(admin: AccountsAdmin, tenant: Tenant, role: str) -> None:
    name = BEHIND.get(role, role)
    permissions = {"second": ["auditor"], **{one: [one] for one in (*PERMITTED, *MORE)}}.get(
        role, []
    )
    user = await admin.create_user(tenant.org_id, name, permissions)
    tenant.persons[name] = user.user
    new = NewKey(
        org_id=tenant.org_id,
        user=user.user,
        name=role,
        acts_for_users=role == "product",
        expires_us=1 if role == "expired" else 0,
    )
    made = await admin.create_key(new)
    tenant.keys[role] = made.secret
    if role == "owner":
        tenant.things["key"] = made.key.credential_id


def _make_documents(axon: RunningAxon, tenant: Tenant) -> None:
    """Make an alert, an invoice and a receipt."""
    words = ["alerts", "test", "--org", tenant.org, "--data", str(axon.data)]
    assert CliRunner().invoke(axon_commands, words).exit_code == 0
    tenant.things["alert"] = tenant.ask("admin", "GET", "/v1/alerts")["data"][0]["id"]
    journal = Journal(EmbeddedPostgres(axon.data).url(), name=f"elsewhere-{tenant.org}")
    usage = TokenUsage(input_tokens=900_000, output_tokens=100_000)
    journal.turn("2025-10-05", org_id=tenant.org_id, usage=usage)
    asyncio.run(journal.project())
    axon_command(
        axon, "billing", "close", "--month", "2025-10", "--org", tenant.org, "--assume-caught-up"
    )
    tenant.things["invoice"] = tenant.ask("admin", "GET", "/v1/invoices")["data"][0]["id"]
    gone = {"user": f"gone-{tenant.label}", "reason": tenant.label}
    tenant.ask("privacy_officer", "POST", "/v1/privacy/erase", gone)
