"""One running Axon that hides values from its engine, and has levels of safety."""

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from openai import OpenAI

from axon.journal import JournalReader
from axon.records import TurnCompleted, TurnInterrupted, Verdict, decode
from tests.gateway.conftest import RunningAxon, start_axon, start_upstream, stop
from tests.gateway.flag_calls import FlagCalls, fresh
from tests.privacy.moderation import Moderation, moderating
from tests.privacy.trace_keeper import TraceKeeper, keeping_traces
from tests.turns.flagged import turn_flag

MODEL = "fake-model"

_SETTINGS = """
[traces]
endpoint = "{traces}"
ratio = 1.0
[privacy]
engine_input = true
[privacy.patterns]
customer = "ACME-[0-9]{{6}}"
[safety]
url = "{url}"
timeout_ms = 30000
[safety.levels.blocked]
input = "block"
output = "block"
[safety.levels.cut]
input = "redact"
output = "redact"
[safety.levels.noted]
input = "flag"
output = "flag"
endpoint = true
[safety.levels.asked]
input = "block"
output = "block"
endpoint = true
[safety.levels.strict]
input = "block"
output = "block"
endpoint = true
fail = "closed"
"""

ENTRIES_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """The installation, the SDK, and what stands around it."""

    axon: RunningAxon
    client: OpenAI
    moderation: Moderation
    traces: TraceKeeper

    def told(self) -> Any:
        """Return what the engine was told last."""
        return self.all_told()[-1]

    def all_told(self) -> list[Any]:
        """Return all that the engine was told."""
        with urllib.request.urlopen(f"{self.axon.upstream}/ledger", timeout=60) as answer:
            return [one["body"] for one in json.load(answer) if "completions" in one["path"]]

    def chat(self, text: str, model: str = MODEL, **members: Any) -> Any:
        messages: Any = [{"role": "user", "content": text}]
        return self.client.chat.completions.create(model=model, messages=messages, **members)

    def streamed(self, text: str, **members: Any) -> tuple[str, str | None]:
        """Return what a streamed chat completion said, piece by piece, and why it ended."""
        said, reason = "", None
        for chunk in self.chat(text, stream=True, **members):
            for choice in chunk.choices:
                said += choice.delta.content or ""
                reason = choice.finish_reason or reason
        return said, reason

    def verdicts(self) -> list[Verdict]:
        """Return what safety found in the turn that ended last."""
        return max(self.ended(), key=lambda record: record.completed_us).verdicts

    def ended(self) -> list[TurnCompleted | TurnInterrupted]:
        """Return the records of turns that ended."""
        ended = []
        for folder in (self.axon.data / "journal").iterdir():
            if not folder.is_dir():
                continue
            for entry in JournalReader(folder).read(0, ENTRIES_MAX, 1 << 30):
                record = decode(entry.kind, entry.payload)
                if isinstance(record, TurnCompleted | TurnInterrupted):
                    ended.append(record)
        return ended


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    upstream, address = start_upstream()
    with upstream, moderating() as moderation, keeping_traces() as traces:
        config = folder / "axon.toml"
        config.write_text(_SETTINGS.format(url=moderation.url, traces=traces.endpoint))
        process, running = start_axon(folder / "data", address, "--config", str(config))
        with running.sync_client() as client:
            yield Guarded(axon=running, client=client, moderation=moderation, traces=traces)
        stop(process)
        upstream.kill()


@pytest.fixture
def guarded(installation: Guarded) -> Guarded:
    """The installation, without a level of safety."""
    installation.moderation.asked.clear()
    return installation


@pytest.fixture
def level(guarded: Guarded, request: pytest.FixtureRequest) -> Iterator[str]:
    """The level of safety of every turn of this test, chosen by a flag."""
    calls, key = FlagCalls(guarded.axon), fresh("safety")
    answer = calls.put(key, turn_flag({"safety": request.param}))
    assert answer.status == 200, answer.body
    yield request.param
    assert calls("DELETE", f"/v1/flags/{key}").status == 200
