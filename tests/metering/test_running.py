"""A running Axon meters every turn once, whatever kills its processes: the upstream's own ledger,
the journal and PostgreSQL agree to the token and the nano-unit."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import openai
import pytest

from axon.app.embedded import EmbeddedPostgres, EmbeddedValkey
from axon.app.folders import DataFolder
from axon.app.reconcile import Report, reconcile
from axon.app.reconcile.journals import batches
from axon.gateway.usage import PAGE_SUMS_MAX
from axon.journal import read_durable
from axon.metering import ROLLUPS
from axon.records import TokenUsage, TurnCompleted, TurnInterrupted, decode
from tests.gateway.commands import axon_text, set_price
from tests.gateway.conftest import RunningAxon, start_axon, stop, upstream_address

__all__ = ["upstream_address"]

MODEL = "metered"
COMMAND = [sys.executable, "-m", "axon.app.cli"]
HEARD_WITHIN_S = 30.0


@pytest.fixture(scope="module")
def axon(tmp_path_factory: pytest.TempPathFactory, upstream_address: str) -> Iterator[RunningAxon]:
    """An Axon of this file alone, whose model has a price."""
    process, running = start_axon(tmp_path_factory.mktemp("own"), upstream_address)
    words = ("--input", "2.5", "--cached", "0.25", "--output", "10.000000001", "--request", "0.001")
    set_price(running, MODEL, *words)
    yield running
    stop(process)


def kill(axon: RunningAxon, role: str) -> None:
    pids = json.loads((axon.data / "up.json").read_text())["pids"]
    os.kill(pids[role][0], signal.SIGKILL)


def ends(axon: RunningAxon) -> dict[str, TurnCompleted | TurnInterrupted]:
    """Return the first end of every turn in the journals."""
    found: dict[str, TurnCompleted | TurnInterrupted] = {}
    for directory in sorted((axon.data / "journal").iterdir()):
        if not (directory / "durable").exists():
            continue
        for batch in batches(directory, read_durable(directory)):
            for entry in batch:
                record = decode(entry.kind, entry.payload)
                if isinstance(record, TurnCompleted | TurnInterrupted):
                    found.setdefault(record.head.turn_id, record)
    return found


async def compared(axon: RunningAxon) -> Report:
    database, valkey = EmbeddedPostgres(axon.data).url(), EmbeddedValkey(axon.data).url()
    return await reconcile(DataFolder(axon.data), database, valkey, lambda stage: None)


async def metered(axon: RunningAxon) -> dict[str, asyncpg.Record]:
    connection = await asyncpg.connect(EmbeddedPostgres(axon.data).url())
    try:
        rows = await connection.fetch("SELECT * FROM metering.turns")
        return {row["turn_id"]: row for row in rows}
    finally:
        await connection.close()


def cost(usage: TokenUsage) -> int:
    """Return what a turn costs by the price above, in thousandths that are rounded half up."""
    plain = usage.input_tokens - usage.cached_tokens
    nano = plain * 2_500_000_000 + usage.cached_tokens * 250_000_000
    nano += usage.output_tokens * 10_000_000_001
    return (nano + 500_000) // 1_000_000 + 1_000_000


async def chat(client: openai.AsyncOpenAI, words: str, **more: Any) -> None:
    """Take a turn and go on, whatever becomes of it."""
    with contextlib.suppress(openai.APIError, OSError, asyncio.CancelledError):
        answer = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": words}], **more
        )
        if more.get("stream"):
            async for _ in answer:
                pass


async def gone(client: openai.AsyncOpenAI, words: str) -> None:
    """Stream a response and go away after its first words."""
    with contextlib.suppress(openai.APIError, OSError):
        stream = await client.responses.create(model=MODEL, input=words, stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()


async def cancelled(client: openai.AsyncOpenAI, words: str) -> None:
    """Cancel a background response while it is being said."""
    with contextlib.suppress(openai.APIError, OSError):
        response = await client.responses.create(model=MODEL, input=words, background=True)
        await asyncio.sleep(0.1)
        await client.responses.cancel(response.id)


async def one_of_everything(client: openai.AsyncOpenAI, number: int) -> None:
    slow = f"turn {number} [[text:one two three four five]][[chunks:5]][[delay_ms:40]]"
    await asyncio.gather(
        chat(client, f"turn {number} [[cached:1]]"),
        chat(client, f"turn {number} [[usage:none]]"),
        chat(client, slow, stream=True),
        chat(client, f"turn {number} [[fault:500]]"),
        chat(client, f"turn {number} [[fault:error_midway]]", stream=True),
        gone(client, slow),
        cancelled(client, slow),
    )


async def settled(axon: RunningAxon, client: openai.AsyncOpenAI) -> None:
    """Return when Axon serves again and PostgreSQL has every end."""
    await client.with_options(max_retries=10).chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "settled"}]
    )
    async with asyncio.timeout(60):
        while set(await metered(axon)) != set(await asyncio.to_thread(ends, axon)):
            await asyncio.sleep(0.1)


async def test_journal_and_postgresql_agree_after_kills(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        for number in range(6):
            round_ = asyncio.create_task(one_of_everything(client, number))
            await asyncio.sleep(0.15)
            if number in (1, 4):
                kill(axon, "serving")
            if number in (2, 4):
                kill(axon, "projector")
            await round_
            if number in (1, 4):
                await settled(axon, client)
        await asyncio.sleep(1)  # turns whose client went away still end
        await settled(axon, client)
    told, rows = ends(axon), await metered(axon)
    assert len(told) > 25
    for turn_id, record in told.items():
        usage, row = record.usage, rows[turn_id]
        assert row["input_tokens"] == usage.input_tokens
        assert row["output_tokens"] == usage.output_tokens
        assert row["cached_tokens"] == usage.cached_tokens
        assert (row["cost_nano"], row["estimated"]) == (record.charge.cost_nano, usage.estimated)
        failed = record.status == "failed" and not usage.input_tokens + usage.output_tokens
        assert record.charge.cost_nano == (0 if failed else cost(usage))
    statuses = {record.status for record in told.values()}
    assert {"completed", "failed", "cancelled"} <= statuses
    report = await compared(axon)
    assert report.differences == ()
    totals = {total.what: total for total in report.totals}
    assert totals["turns metered"].journal == totals["turns metered"].postgresql == len(told)
    charged = totals["nano-units charged"]
    assert charged.journal == charged.postgresql
    assert (charged.journal or 0) > 0


async def test_the_upstreams_own_count_is_what_is_charged(axon: RunningAxon) -> None:
    """Of every turn whose engine said what it took: input by the upstream's ledger of requests."""
    async with axon.async_client() as client:
        before = set(ends(axon))
        answers = [
            await client.chat.completions.create(
                model=MODEL,
                messages=[{"role": "user", "content": f"{number} [[cached:1]]"}],
            )
            for number in range(5)
        ]
        await settled(axon, client)
    rows = await metered(axon)
    for answer in answers:
        assert answer.usage is not None and answer.usage.prompt_tokens_details is not None
        row = rows[answer.id]
        assert answer.id not in before
        assert row["input_tokens"] == answer.usage.prompt_tokens
        assert row["output_tokens"] == answer.usage.completion_tokens
        assert row["cached_tokens"] == 1 == answer.usage.prompt_tokens_details.cached_tokens
        assert row["cost_nano"] == cost(
            TokenUsage(row["input_tokens"], row["cached_tokens"], row["output_tokens"])
        )


async def test_reconcile_names_what_was_changed_by_hand(axon: RunningAxon) -> None:
    connection = await asyncpg.connect(EmbeddedPostgres(axon.data).url())
    try:
        changed = await connection.fetchrow(
            "UPDATE metering.turns SET cost_nano = cost_nano + 1 WHERE turn_id ="
            " (SELECT min(turn_id) FROM metering.turns WHERE cost_nano > 0)"
            " RETURNING turn_id, user_id"
        )
        assert changed is not None
        turn_id, user = changed
        found = {(one.kind, one.name) for one in (await compared(axon)).differences}
        assert ("usage", turn_id) in found
        assert {kind for kind, _ in found} == set(ROLLUPS)
        await connection.execute(
            "UPDATE metering.turns SET cost_nano = cost_nano - 1"
            " WHERE turn_id = $1 AND user_id = $2",
            turn_id,
            user,
        )
        assert (await compared(axon)).differences == ()
    finally:
        await connection.close()


def test_openais_admin_client_reads_usage_and_costs(axon: RunningAxon) -> None:
    client = openai.OpenAI(base_url=axon.base_url, api_key="none", admin_api_key=axon.api_key)
    with client:
        rows = asyncio.run(metered(axon))
        start = min(row["accepted_us"] for row in rows.values()) // 10**6
        page = client.admin.organization.usage.completions(
            start_time=start, bucket_width="1d", group_by=["model", "api_key_id"], limit=31
        )
        results = [result for bucket in page.data for result in bucket.results]
        mine = [one for one in results if getattr(one, "model", "") == MODEL]
        wanted = [row for row in rows.values() if row["model"] == MODEL]
        assert sum(getattr(one, "num_model_requests", 0) for one in mine) == len(wanted) > 0
        assert sum(getattr(one, "input_tokens", 0) for one in mine) == sum(
            row["input_tokens"] for row in wanted
        )
        costs = client.admin.organization.usage.costs(
            start_time=start, group_by=["line_item"], limit=180
        )
        amounts = [
            result.amount
            for bucket in costs.data
            for result in bucket.results
            if result.object == "organization.costs.result" and result.line_item == MODEL
        ]
        assert all(one is not None and one.currency == "usd" for one in amounts)
        nano = sum(round((one.value or 0) * 1e9) for one in amounts if one is not None)
        assert nano == sum(row["cost_nano"] for row in wanted)
        minutes = client.admin.organization.usage.completions(
            start_time=start, bucket_width="1m", limit=5, models=[MODEL]
        )
        assert len(minutes.data) <= 5
        with pytest.raises(openai.BadRequestError):
            client.admin.organization.usage.completions(start_time=start, limit=999)


def test_pages_follow_each_other(axon: RunningAxon) -> None:
    with axon.sync_client() as client:

        def page(**query: object) -> dict[str, Any]:
            path = "/organization/usage/completions"
            return client.get(path, cast_to=dict[str, Any], options={"params": query})

        first = page(start_time=86_400 * 19_000, end_time=86_400 * 19_010, limit=4)
        assert [bucket["start_time"] // 86_400 for bucket in first["data"]] == [
            *range(19000, 19004)
        ]
        days, following = first["data"], first
        while following["has_more"]:
            following = page(
                start_time=86_400 * 19_000, end_time=86_400 * 19_010, limit=4,
                page=following["next_page"],
            )  # fmt: skip
            days += following["data"]
        assert [bucket["start_time"] // 86_400 for bucket in days] == [*range(19000, 19010)]


async def insert_days(axon: RunningAxon, people: tuple[int, ...]) -> None:
    """Let as many people as said have used something, day by day, a long time ago."""
    connection = await asyncpg.connect(EmbeddedPostgres(axon.data).url())
    for day, count in enumerate(people):
        await connection.execute(
            "INSERT INTO metering.usage SELECT number, date '2001-01-01' + $1::int, org_id, 'key',"
            " 'm', '', '', 1, 1, 0, 0, 1, 0, 0, 0 FROM generate_series(1, $2::int) AS number,"
            " (SELECT org_id FROM accounts.credentials LIMIT 1) AS org",
            day,
            count,
        )
    await connection.close()


def test_a_page_is_bounded_by_its_results_too(axon: RunningAxon) -> None:
    start = int(datetime(2001, 1, 1, tzinfo=UTC).timestamp())
    people = (PAGE_SUMS_MAX - 1, 2, 1)
    asyncio.run(insert_days(axon, people))
    query: dict[str, object] = {
        "start_time": start, "end_time": start + 3 * 86_400, "group_by": "user_id", "limit": 31,
    }  # fmt: skip
    try:
        with axon.sync_client() as client:
            path = "/organization/usage/completions"
            first = client.get(path, cast_to=dict[str, Any], options={"params": query})
            assert [len(bucket["results"]) for bucket in first["data"]] == [people[0]]
            assert first["has_more"]
            query["page"] = first["next_page"]
            second = client.get(path, cast_to=dict[str, Any], options={"params": query})
            assert [len(bucket["results"]) for bucket in second["data"]] == [*people[1:]]
            assert not second["has_more"]
            assert second["next_page"] is None
    finally:
        asyncio.run(delete_days(axon))


async def delete_days(axon: RunningAxon) -> None:
    connection = await asyncpg.connect(EmbeddedPostgres(axon.data).url())
    await connection.execute("DELETE FROM metering.usage WHERE date < date '2001-02-01'")
    await connection.close()


@pytest.mark.parametrize(
    "query",
    [
        "",
        "start_time=0",
        "start_time=1&limit=32",
        "start_time=1&limit=0",
        "start_time=1&bucket_width=1y",
        "start_time=1&group_by=colour",
        "start_time=1&page=7",
        "start_time=1&user_ids=ada",
        "start_time=9&end_time=8",
        "start_time=1&project_ids=p",
        "start_time=1&batch=true",
        "start_time=1&" + "&".join(f"models={number}" for number in range(101)),
    ],
)
def test_what_cannot_be_asked_is_refused(axon: RunningAxon, query: str) -> None:
    with axon.sync_client() as client, pytest.raises(openai.BadRequestError):
        client.get(f"/organization/usage/completions?{query}", cast_to=dict[str, Any])


def test_a_time_zone_that_is_none_is_refused(axon: RunningAxon) -> None:
    with axon.sync_client() as client, pytest.raises(openai.BadRequestError):
        client.get("/usage?time_zone=Mars/Olympus", cast_to=dict[str, Any])


def test_a_person_sees_only_its_own_usage(axon: RunningAxon) -> None:
    with axon.sync_client() as client:
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "mine"}], user="ada"
        )

        def own(**query: str) -> list[dict[str, Any]]:
            params = {"bucket_width": "1mo", **query}
            page = client.get("/usage", cast_to=dict[str, Any], options={"params": params})
            return [one for bucket in page["data"] for one in bucket["results"]]

        async def seen() -> None:
            async with asyncio.timeout(20):
                while not await asyncio.to_thread(own, user="ada"):
                    await asyncio.sleep(0.05)

        asyncio.run(seen())
        (ada,) = own(user="ada", time_zone="Pacific/Kiritimati")
        assert (ada["model"], ada["num_model_requests"]) == (MODEL, 1)
        assert ada["amount"]["currency"] == "usd" and ada["amount"]["value"] > 0.001
        given = client.post("/user_passes", cast_to=dict[str, Any], body={"user": "ada"})
    with openai.OpenAI(base_url=axon.base_url, api_key=given["value"]) as ada_client:
        page = ada_client.get("/usage?bucket_width=1mo", cast_to=dict[str, Any])
        assert [one["num_model_requests"] for b in page["data"] for one in b["results"]] == [1]
        with pytest.raises(openai.PermissionDeniedError):
            ada_client.get("/organization/costs?start_time=1", cast_to=dict[str, Any])


def test_the_commands_show_it(axon: RunningAxon, tmp_path: Path) -> None:
    lines = [
        json.loads(line)
        for line in axon_text(axon, "usage", "--by", "day", "--json").split("\n")
        if line
    ]
    rows = asyncio.run(metered(axon))
    mine = [line for line in lines if line["model"] == MODEL]
    assert sum(line["cost_nano"] for line in mine) == sum(r["cost_nano"] for r in rows.values())
    assert "cost_nano" in axon_text(axon, "usage", "--by", "month", "--csv").split("\n")[0]
    shown = axon_text(axon, "usage", "--org", "development", "--user", "ada", "--by", "month")
    assert MODEL in shown
    assert MODEL in axon_text(axon, "prices", "list")
    since = ("--from", "2020-01-01")
    axon_text(axon, "prices", "set", MODEL, "--input", "0", "--output", "0", *since)
    told = axon_text(axon, "prices", "rerate", *since, "--apply", "--json").split("\n")
    assert sum(json.loads(line)["turns"] for line in told if line) == 0  # its own price goes on
    planned = axon_text(axon, "prices", "import", "--models", "m=openai/gpt-5-mini", "--json")
    price = json.loads(planned)["price"]
    assert price["rates"] == {
        "input": 250_000_000, "cache_read": 25_000_000, "cache_write": None,
        "output": 2_000_000_000, "reasoning": None,
    }  # fmt: skip
    assert "gpt-5-mini" not in axon_text(axon, "prices", "list")
