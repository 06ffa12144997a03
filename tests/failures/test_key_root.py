"""A serving process whose keys are rooted in Vault, and a Vault that goes away."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from axon.app.cli.main import axon
from tests.failures.lone import READY_WITHIN_S, LoneServing
from tests.sealing.root_servers import FakeVault


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault()


@pytest.fixture
def lone(
    tmp_path: Path, database: str, valkey_url: str, upstream_address: str, vault: FakeVault
) -> Iterator[LoneServing]:
    token = tmp_path / "token"
    token.write_text("hvs.right\n")
    with vault.serving() as url:
        serving = LoneServing(
            data=tmp_path / "data",
            database=database,
            valkey=valkey_url,
            upstream=upstream_address,
            settings={
                "AXON_KEYS_ROOT": "vault",
                "AXON_KEYS_VAULT_URL": url,
                "AXON_KEYS_VAULT_TOKEN_PATH": str(token),
                "AXON_KEYS_VAULT_NAMESPACE": "team",
            },
        )
        yield serving
        if serving.process is not None:
            serving.process.kill()
            serving.process.wait()


def chat(lone: LoneServing, secret: str, person: str) -> tuple[int, str]:
    body = {"model": "fake-model", "input": "[[text:here]]", "user": person}
    status, answer = lone.ask("/v1/responses", secret, body)
    return status, (json.loads(answer).get("error") or {}).get("code", "")


def key_of_new_org(lone: LoneServing, name: str) -> str:
    for arguments in (
        ["orgs", "create", name],
        ["users", "create", "ada", "--org", name],
        ["keys", "create", "--org", name, "--user", "ada", "--name", "a", "--json"],
    ):
        answer = CliRunner().invoke(axon, arguments, env=lone.environment())
        assert answer.exit_code == 0, answer.output
    secret: str = json.loads(answer.stdout)["secret"]
    return secret


def until(lone: LoneServing, secret: str, person: str) -> None:
    began = time.monotonic()
    while (found := chat(lone, secret, person))[0] != 200:
        assert time.monotonic() - began < READY_WITHIN_S, f"{found}\n{lone.log()}"
        time.sleep(0.05)


@pytest.mark.failure("key-root", "down")
@pytest.mark.failure("key-root", "at-start")
def test_chats_go_on_without_vault_and_a_restart_waits_for_it(
    lone: LoneServing, vault: FakeVault
) -> None:
    secret = lone.new_key()
    lone.start()
    lone.wait_until(200, "/v1/models", secret)
    assert chat(lone, secret, "ada") == (200, "")
    began = time.monotonic()
    while sum("encrypt" in call for call in vault.calls) < 17:  # its stock is full
        assert time.monotonic() - began < READY_WITHIN_S, lone.log()
        time.sleep(0.02)
    vault.fault = "failing"
    assert [chat(lone, secret, person) for person in ("ada", "new", "newer")] == [(200, "")] * 3
    newcomer = key_of_new_org(lone, "acme")
    assert chat(lone, newcomer, "ada") == (200, "")
    told = lone.status()
    assert "key-root" in told["degraded"] and "Vault is sealed" in json.dumps(told)
    assert lone.stop() == 0
    lone.start()
    lone.wait_until(200, "/v1/models", secret)
    for key, person in ((secret, "ada"), (secret, "another"), (newcomer, "ada")):
        assert chat(lone, key, person) == (503, "key_root_unavailable")
    assert "key-root" in lone.status()["degraded"]
    vault.fault = ""
    for key, person in ((secret, "ada"), (secret, "another"), (newcomer, "ada")):
        until(lone, key, person)
    lone.wait_well("key-root")
    assert "hvs." not in lone.log()
