"""The bounds on what a serving process remembers of conversations, chosen by settings."""

import os
import signal
from pathlib import Path

import openai
import pytest

from tests.gateway.conftest import start_axon, stop

MODEL = "fake-model"
NOTHING = {
    "AXON_CONVERSATIONS_OPENED_BYTES_MAX": "0",
    "AXON_CONVERSATIONS_REMEMBERED_TURNS_MAX": "0",
    "AXON_CONVERSATIONS_IDEMPOTENCY_KEYS_MAX": "1",
}


async def test_a_chain_goes_on_and_keys_are_refused_where_nothing_is_remembered(
    tmp_path: Path, upstream_address: str
) -> None:
    process, running = start_axon(tmp_path, upstream_address, environment=NOTHING)
    async with running.async_client() as client:
        first = await client.responses.create(model=MODEL, input="[[text:one]]")
        chained = await client.responses.create(
            model=MODEL, input="two [[echo]]", previous_response_id=first.id
        )
        os.kill(running.pids["projector"][0], signal.SIGSTOP)
        key = {"Idempotency-Key": "the one there is room for"}
        kept = await client.responses.create(model=MODEL, input="once", extra_headers=key)
        with pytest.raises(openai.InternalServerError) as refusal:
            await client.with_options(max_retries=0).responses.create(
                model=MODEL, input="x", extra_headers={"Idempotency-Key": "one more"}
            )
        assert await client.responses.create(model=MODEL, input="once", extra_headers=key) == kept
        os.kill(running.pids["projector"][0], signal.SIGCONT)
    stop(process)
    assert '"one"' in chained.output_text
    assert (refusal.value.status_code, refusal.value.code) == (503, "projection_behind")
