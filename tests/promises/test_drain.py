"""Ctrl-C while a turn runs: the turn is finished first, and everything is there afterwards."""

import asyncio
import signal

import pytest

from tests.gateway.conftest import start_axon
from tests.promises.reading import read_conversation

MODEL = "fake-model"
STOP_TIMEOUT_S = 60


async def test_a_running_turn_is_finished_before_the_server_stops(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str
) -> None:
    data = tmp_path_factory.mktemp("drain")
    process, axon = start_axon(data, upstream_address)
    with process:
        async with axon.async_client() as client:
            conversation = await client.conversations.create()
            stream = await client.responses.create(
                model=MODEL,
                input="[[text:to the very end]][[chunks:10]][[delay_ms:100]]",
                conversation=conversation.id,
                stream=True,
            )
            kinds: list[str] = []
            async for event in stream:
                if event.type == "response.output_text.delta" and kinds[-1] != event.type:
                    process.send_signal(signal.SIGINT)
                kinds.append(event.type)
        assert kinds[-1] == "response.completed"
        assert await asyncio.to_thread(process.wait, STOP_TIMEOUT_S) == 0
    process, axon = start_axon(data, upstream_address)
    with process, axon.sync_client() as again:
        texts = [message.text for message in read_conversation(again, conversation.id)]
        assert texts[1] == "to the very end"
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_TIMEOUT_S) == 0
