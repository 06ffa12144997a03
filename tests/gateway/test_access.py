"""Who may what: every route, asked by every role, about what is its own and what is another's."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from axon.accounts import NotPermitted, Principal
from axon.app.cli.main import axon as axon_commands
from axon.app.embedded import EmbeddedPostgres
from axon.gateway import routes
from axon.gateway.access import PERMISSIONS, Access
from axon.gateway.who_may import access_to
from tests.fuzz.tenants import with_meters
from tests.gateway.access_lines import FORBIDDEN, PLACEHOLDER, Line, read_matrix
from tests.gateway.access_scene import (
    MORE,
    ROLES,
    Caller,
    Tenant,
    make_tenant,
)
from tests.gateway.audited import soon
from tests.gateway.conftest import RunningAxon, start_axon, stop

SHOWN_MAX = 20
_numbers = itertools.count()
STRANGERS = {"nobody": 401, "expired": 401, "admin": 403, "monitor": 200}

LINES = read_matrix()


@dataclass(slots=True)
class Matrix:
    """One running Axon, who asks, and whose things nobody of them may see."""

    mine: Tenant
    stranger: Tenant

    def ask(self, line: Line, caller: Caller) -> tuple[int, list[str]]:
        """Ask a line with every role; return how many requests were answered, and what is wrong."""
        wrong: list[str] = []
        count = 0
        for own in (True, False) if line.theirs not in ("-", "shared") else (True,):
            for role in (*ROLES, *MORE) if line.otherwise == FORBIDDEN else ROLES:
                whose = self.mine if own else self.stranger
                things = self._things(line, whose, made=own and role in line.may)
                path, body = filled(line, things)
                key = self.mine.keys[role]
                status, answer = caller.ask(key, line.method, path, body)
                count += 1
                expected = line.expected(role, own)
                if not (status == expected or (expected == 0 and 200 <= status < 300)):
                    told = answer[:200].decode(errors="replace")
                    wrong.append(f"{role} own={own} {line.shown}: {status}, not {expected} {told}")
                sent = f"{path} {json.dumps(body)}"
                wrong += [
                    f"{role} own={own} {line.shown}: the answer has {told!r}"
                    for told in self._leaks(line, role, sent, answer)
                ]
        return count, wrong

    def _things(self, line: Line, whose: Tenant, made: bool) -> dict[str, str]:
        things = dict(whose.things)
        wanted = [found[2] for found in PLACEHOLDER.finditer(line.path + line.asked) if found[1]]
        if made:
            for kind in sorted(set(wanted), key=lambda kind: kind != "conversation"):
                things.update(whose.fresh(kind))
        return things

    def _leaks(self, line: Line, role: str, sent: str, answer: bytes) -> Iterator[str]:
        """Yield what the answer tells of the stranger, and of what was said to who may not read."""
        there = self.stranger
        told = {there.words, there.label}
        if line.theirs != "shared":
            told |= {there.org_id, there.org, *(
                there.things[kind] for kind in (
                    "conversation", "item", "response", "completion", "hold", "request", "webhook",
                    "alert", "invoice", "person", "key", "rule", "tier",
                )
            )}  # fmt: skip
        if role not in line.readers:
            told.add(self.mine.words)
        for one in told:
            if one.encode() in answer and one not in sent:
                yield one


def filled(line: Line, things: dict[str, str]) -> tuple[str, Any]:
    """Return the path with its query, and the body, with the things that are named in them."""
    things = {**things, "number": str(next(_numbers))}

    def fill(text: str) -> str:
        return PLACEHOLDER.sub(lambda found: things[found[2]], text)

    path, asked = fill(line.path), fill(line.asked)
    if asked.startswith("?"):
        return path + asked, None
    if asked:
        return path, json.loads(asked)
    return path, {} if line.method in ("POST", "PUT") else None


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str
) -> Iterator[RunningAxon]:
    folder = tmp_path_factory.mktemp("guarded")
    environment = {
        **with_meters(folder),
        "AXON_ALERTS_ALLOWED_NETWORKS": "127.0.0.0/8",
        "AXON_STRIPE_WEBHOOK_SECRET": "whsec_" + "7" * 32,
    }
    process, running = start_axon(folder / "data", upstream_address, environment=environment)
    yield running
    stop(process)


@pytest.fixture(scope="module")
def matrix(guarded: RunningAxon) -> Iterator[Matrix]:
    with closing(Caller(guarded.origin)) as caller:
        mine, stranger = (
            make_tenant(guarded, caller, "mine"),
            make_tenant(guarded, caller, "stranger7f3a"),
        )
        yield Matrix(mine=mine, stranger=stranger)


def test_every_route_has_its_line_and_every_line_its_route() -> None:
    known = {(one.method, one.path) for one in routes()}
    lines = {line.route for line in LINES}
    assert known - lines == set(), "who may use these? say so in access_matrix.txt"
    assert lines - known == set()
    with_ids = {line.route for line in LINES if line.theirs != "-"}
    open_ids = {"/v1/models/{id}", "/api/v1/meters/{id}", "/ofrep/v1/evaluate/flags/{id}"}
    silent = {route for route in lines - with_ids if "{id}" in route[1]}
    assert {path for _, path in silent} <= open_ids, "what of another's ids?"


def test_every_role_reaches_its_own_and_nothing_of_another_organization(
    matrix: Matrix, guarded: RunningAxon
) -> None:
    with closing(Caller(guarded.origin)) as caller:
        found = [matrix.ask(line, caller) for line in LINES]
    wrong = [text for _, told in found for text in told]
    count = sum(asked for asked, _ in found)
    print(f"{len(LINES)} lines, {count} requests, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong[:SHOWN_MAX])
    there = matrix.stranger
    kept = there.things["colleague's"]
    answer = there.ask("colleague", "GET", f"/v1/responses/{kept}")
    assert there.words in str(answer), "the erasures of the others have not touched it"


def test_what_was_done_with_power_stands_in_the_organizations_log(
    matrix: Matrix, guarded: RunningAxon
) -> None:
    mine = matrix.mine
    found, after = [], ""
    while True:
        page = mine.ask("auditor", "GET", f"/v1/audit/log?limit=100&after={after}")
        found += page["data"]
        if not page["has_more"]:
            break
        after = page["last_id"]
    done = {one["action"]: one for one in found}
    assert {"organization.created", "user.created", "key.created", "webhook.created"} <= set(done)
    by_route, by_command = done["webhook.created"], done["user.created"]
    assert (by_route["origin"], by_route["place"]) == ("api", "127.0.0.1")
    assert by_route["api_key_id"].startswith("key_") and by_route["before"] is None
    assert (by_command["origin"], by_command["user_id"]) == ("command", "")
    assert by_command["name"] and by_command["after"]["permissions"] is not None
    assert [one["at"] for one in found] == sorted((one["at"] for one in found), reverse=True)
    words = ["audit", "changes", "--org", mine.org, "--limit", "10000", "--json"]
    shown = CliRunner().invoke(axon_commands, [*words, "--data", str(guarded.data)]).stdout
    listed = [json.loads(line) for line in shown.splitlines()]
    assert {one["org_id"] for one in listed} == {mine.org_id}
    assert by_route["id"] in {one["deed_id"] for one in listed}
    soon(lambda: asyncio.run(waiting(guarded)) == 0)


async def waiting(axon: RunningAxon) -> int:
    """Return how many deeds are in no journal yet."""
    connection = await asyncpg.connect(EmbeddedPostgres(axon.data).url())
    count: int = await connection.fetchval("SELECT count(*) FROM deeds.deeds WHERE NOT journaled")
    await connection.close()
    return count


def test_how_it_is_is_told_to_strangers_of_other_machines_only_with_a_permission(
    matrix: Matrix, guarded: RunningAxon
) -> None:
    keys = matrix.mine.keys
    with closing(Caller(guarded.origin)) as caller:
        for path in ("/status", "/metrics"):
            for header in ("x-forwarded-for", "forwarded", "x-real-ip", "via"):
                passed_on = {header: "203.0.113.7"}
                for role, expected in {
                    "nobody": 401,
                    "expired": 401,
                    "admin": 403,
                    "monitor": 200,
                }.items():
                    status, body = caller.ask(keys[role], "GET", path, None, **passed_on)
                    assert status == expected, (path, header, role)
                    assert expected == 200 or b"error" in body
        for path in ("/healthz", "/readyz", "/openapi.json"):
            assert caller.ask("", "GET", path, None, **{"x-forwarded-for": "203.0.113.7"})[0] == 200


def test_what_no_line_of_the_gateways_table_names_is_refused_to_everybody() -> None:
    async def unnamed() -> None:
        """Answer nothing."""

    everything = Principal(
        org_id="org_1",
        credential_id="key_1",
        user=1,
        acts_for_users=True,
        permissions=PERMISSIONS,
        tier="",
        region="",
    )
    assert not access_to(unnamed).admits(everything)
    with pytest.raises(NotPermitted):
        access_to(unnamed).require(everything)


def test_a_pass_has_none_of_the_permissions_of_its_key() -> None:
    holder = Principal(
        org_id="org_1",
        credential_id="key_1",
        user=1,
        acts_for_users=False,
        permissions=PERMISSIONS,
        tier="",
        region="",
        pass_expires_us=2**62,
    )
    assert not Access(permissions=PERMISSIONS).admits(holder)
    assert Access(everybody=True).admits(holder)
