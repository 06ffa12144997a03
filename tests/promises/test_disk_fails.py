"""A disk that refuses to sync: no false acknowledgement, the process ends, a restart serves."""

import asyncio
import json
import os
import shutil
import signal

import openai
import pytest

from tests.gateway.conftest import RunningAxon
from tests.promises.reading import read_conversation_async

MODEL = "fake-model"
STRACE = shutil.which("strace")
TURNS_BEFORE_FAULT = 20
TRIES_MAX = 400


def serving_pid(axon: RunningAxon) -> int:
    """Return the serving process as it is now, 0 while there is none."""
    pids: dict[str, list[int]] = json.loads((axon.data / "up.json").read_text())["pids"]
    return pids.get("serving", [0])[0]


@pytest.mark.failure("journal-disk", "refusing")
@pytest.mark.skipif(STRACE is None, reason="strace, which injects the fault, is not installed")
async def test_fsync_fails_under_load(own_axon: RunningAxon) -> None:
    acknowledged: list[tuple[str, int]] = []
    before = serving_pid(own_axon)
    async with own_axon.async_client() as client:
        conversations = [(await client.conversations.create()).id for _ in range(8)]
        warm = asyncio.Event()
        failed = asyncio.Event()

        async def chat(conversation_id: str) -> None:
            number = 0
            while not failed.is_set():
                try:
                    await client.responses.create(
                        model=MODEL,
                        input=f"question {number} [[text:answer {number}]]",
                        conversation=conversation_id,
                    )
                except (openai.APIStatusError, openai.APIConnectionError):
                    failed.set()
                    return
                acknowledged.append((conversation_id, number))
                number += 1
                if len(acknowledged) >= TURNS_BEFORE_FAULT:
                    warm.set()

        chats = asyncio.gather(*(chat(made) for made in conversations))
        await warm.wait()
        command = [str(STRACE), "-f", "-p", str(before), "-e", "trace=fdatasync"]
        command += ["-e", "inject=fdatasync:error=EIO", "-o", "/dev/null"]
        quiet = asyncio.subprocess.DEVNULL
        strace = await asyncio.create_subprocess_exec(*command, stderr=quiet)
        await chats
        await strace.wait()  # it ends with the process it traces
        for _ in range(TRIES_MAX):
            if serving_pid(own_axon) not in (before, 0):
                break
            await asyncio.sleep(0.05)
        assert serving_pid(own_axon) not in (before, 0)
        await client.with_options(max_retries=5).models.list()
        for conversation_id in conversations:
            read = await read_conversation_async(client, conversation_id)
            texts = [message.text for message in read]
            assert texts[1::2] == [text.split("[[text:")[1][:-2] for text in texts[::2]]
            mine = [number for made, number in acknowledged if made == conversation_id]
            said = [int(text.split()[1]) for text in texts[1::2]]
            assert said[: len(mine)] == mine  # an unacknowledged one may follow, none may lack
    with pytest.raises(ProcessLookupError):
        os.kill(before, signal.SIGCONT)
