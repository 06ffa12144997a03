"""A serving process whose PostgreSQL, Valkey or log reader is not well, from its start on."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from axon.app.embedded import EmbeddedServer
from axon.telemetry.writer import LINES_QUEUED_MAX
from tests.failures.lone import LoneServing

CHAT = {"model": "fake-model", "messages": [{"role": "user", "content": "[[text:here]]"}]}
PIPE_LINES = 600
"""Requests whose log lines are more than a pipe of 64 KiB holds, four hundred bytes each."""


@pytest.fixture
def lone(
    tmp_path: Path, database: str, valkey_url: str, upstream_address: str
) -> Iterator[LoneServing]:
    serving = LoneServing(
        data=tmp_path, database=database, valkey=valkey_url, upstream=upstream_address
    )
    yield serving
    if serving.process is not None:
        serving.process.kill()
        serving.process.wait()


@pytest.mark.failure("postgresql", "at-start")
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_known_keys_are_served_though_postgresql_is_away_at_the_start(
    lone: LoneServing, postgres_server: EmbeddedServer, how: str
) -> None:
    secret = lone.new_key()
    lone.start()
    lone.wait_until(200, "/v1/models", secret)
    assert lone.stop() == 0  # it leaves its snapshot
    if how == "killed":
        postgres_server.kill()
    else:
        postgres_server.freeze()
    lone.start()
    took_s = lone.wait_until(200, "/v1/models", secret)
    print(f"PostgreSQL {how} at start: the first known key was served after {took_s:.1f} s")
    assert lone.ask("/v1/chat/completions", secret, CHAT)[0] == 200
    assert lone.ask("/v1/models", "sk-axon-" + "0" * 48)[0] == 503
    assert "postgresql" in lone.status()["degraded"]
    if how == "killed":
        postgres_server.start()
    else:
        postgres_server.thaw()
    lone.wait_until(401, "/v1/models", "sk-axon-" + "0" * 48)  # it heals by itself
    lone.wait_well("postgresql")


@pytest.mark.failure("valkey", "at-start")
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_valkey_that_is_away_at_the_start_is_done_without(
    lone: LoneServing, valkey_server: EmbeddedServer, how: str
) -> None:
    secret = lone.new_key()
    if how == "killed":
        valkey_server.kill()
    else:
        valkey_server.freeze()
    lone.start()
    lone.wait_until(200, "/v1/models", secret)
    assert "valkey" in lone.status()["degraded"]
    status, body = lone.ask("/v1/responses", secret, {"model": "m", "input": "[[text:here]]"})
    assert (status, b"here" in body) == (200, True)
    if how == "killed":
        valkey_server.start()
    else:
        valkey_server.thaw()
    lone.wait_well("valkey")


@pytest.mark.failure("telemetry", "frozen")
@pytest.mark.failure("telemetry", "slow")
def test_a_log_nobody_reads_stops_no_request(lone: LoneServing) -> None:
    secret = lone.new_key()
    read_end, write_end = os.pipe()
    lone.start(stderr=write_end)
    os.close(write_end)
    try:
        lone.wait_until(200, "/v1/models", secret)
        for _ in range(PIPE_LINES):
            assert lone.ask("/v1/models", secret)[0] == 200
        assert lone.ask("/v1/chat/completions", secret, CHAT)[0] == 200
    finally:
        os.close(read_end)
    assert LINES_QUEUED_MAX > PIPE_LINES, "what waits is bounded, and was not dropped yet"


@pytest.mark.failure("telemetry", "down")
@pytest.mark.failure("telemetry", "at-start")
def test_a_log_that_is_gone_costs_its_lines_and_nothing_else(lone: LoneServing) -> None:
    secret = lone.new_key()
    read_end, write_end = os.pipe()
    os.close(read_end)
    lone.start(stderr=write_end)
    os.close(write_end)
    lone.wait_until(200, "/v1/models", secret)
    assert lone.ask("/v1/chat/completions", secret, CHAT)[0] == 200
    dropped = 0.0
    while not dropped:
        page = lone.ask("/metrics")[1].decode()
        (line,) = [
            one
            for one in page.splitlines()
            if one.startswith('axon_telemetry_dropped_total{signal="log"}')
        ]
        dropped = float(line.split()[1])


@pytest.mark.failure("telemetry", "refusing")
def test_a_scraper_that_does_not_read_keeps_nobody_waiting(lone: LoneServing) -> None:
    secret = lone.new_key()
    lone.start()
    lone.wait_until(200, "/v1/models", secret)
    scrapers = [socket.create_connection(("127.0.0.1", lone.port)) for _ in range(16)]
    for scraper in scrapers:
        scraper.sendall(b"GET /metrics HTTP/1.1\r\nhost: axon\r\n\r\n" * 8)
    for _ in range(20):
        assert lone.ask("/v1/chat/completions", secret, CHAT)[0] == 200
    assert lone.ask("/metrics")[0] == 200
    for scraper in scrapers:
        scraper.close()


@pytest.mark.failure("snapshot", "corrupt")
@pytest.mark.failure("snapshot", "wiped")
@pytest.mark.parametrize("how", ["corrupt", "wiped"])
def test_without_a_snapshot_a_start_in_an_outage_serves_nobody_and_refuses_nobody(
    lone: LoneServing, postgres_server: EmbeddedServer, how: str
) -> None:
    secret = lone.new_key()
    lone.start()
    lone.wait_until(200, "/v1/models", secret)
    lone.stop()
    snapshot = lone.data / "accounts.json"
    if how == "wiped":
        snapshot.unlink()
    else:
        snapshot.write_bytes(snapshot.read_bytes()[:-20])
    postgres_server.kill()
    lone.start()
    lone.wait_until(503, "/v1/models", secret)
    assert "snapshot" in lone.status()["degraded"]
    assert lone.ask("/healthz")[0] == 200
    postgres_server.start()
    lone.wait_until(200, "/v1/models", secret)
    lone.wait_well("snapshot")


@pytest.mark.failure("journal-disk", "at-start")
def test_a_journal_that_cannot_be_written_at_the_start_ends_the_process(lone: LoneServing) -> None:
    """It says why and serves nothing; with the disk mended the next start serves."""
    secret = lone.new_key()
    lone.start()
    lone.wait_until(200, "/v1/models", secret)
    lone.stop()
    (journal,) = [folder for folder in (lone.data / "journal").iterdir() if folder.is_dir()]
    durable = journal / "durable"
    kept = durable.read_bytes()
    durable.unlink()
    durable.mkdir()  # whoever runs as root may write what is read only, but no folder
    lone.start()
    assert lone.process is not None and lone.process.wait(60) != 0
    lone.process = None
    assert "durable" in lone.log()
    durable.rmdir()
    durable.write_bytes(kept)
    lone.start()
    lone.wait_until(200, "/v1/models", secret)


def test_it_ends_with_an_exit_code_of_its_own(lone: LoneServing) -> None:
    """The tests above would see nothing if the process never ran."""
    lone.new_key()
    lone.start(stderr=subprocess.DEVNULL)
    lone.wait_until(200, "/healthz")
    assert lone.stop() == 0
