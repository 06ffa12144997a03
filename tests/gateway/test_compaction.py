"""A summary takes the place of a long history; the originals stay."""

import uuid
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.gateway.conftest import RunningAxon
from tests.promises.reading import shown_to_the_model

MODEL = "fake-model"
TURNS = 6
LONG = "word " * 400
COMPACTED: Any = [{"type": "compaction", "compact_threshold": 2000}]


def new_name() -> str:
    return f"name{uuid.uuid4().hex}"


async def long_conversation(client: AsyncOpenAI, name: str) -> str:
    """Return a conversation of some thousand tokens."""
    conversation = await client.conversations.create(
        items=[{"type": "message", "role": "developer", "content": f"{name} is polite"}]
    )
    for number in range(TURNS):
        await client.responses.create(
            model=MODEL,
            input=f"{name} fact {number} {LONG} [[text:noted {number}]]",
            conversation=conversation.id,
        )
    return conversation.id


async def test_a_history_that_grew_too_long_is_summarised(axon: RunningAxon) -> None:
    name = new_name()
    async with axon.async_client() as client:
        conversation = await long_conversation(client, name)
        response: Any = await client.responses.create(
            model=MODEL,
            input=f"{name} last [[text:answered]]",
            conversation=conversation,
            context_management=COMPACTED,
        )
        after = await client.responses.create(
            model=MODEL,
            input=f"{name} later [[text:answered too]]",
            conversation=conversation,
            context_management=COMPACTED,
        )
        items = [
            item
            async for item in client.conversations.items.list(conversation, order="asc", limit=100)
        ]
    assert [item.type for item in response.output] == ["compaction", "message"]
    assert response.output_text == "answered"
    assert [item.type for item in after.output] == ["message"]
    kinds = [item.type for item in items]
    assert kinds == ["message"] * (1 + 2 * TURNS + 1) + ["compaction"] + ["message"] * 3
    [told] = shown_to_the_model(axon.upstream, f"{name} last")
    [later] = shown_to_the_model(axon.upstream, f"{name} later")
    assert [role for role, _ in told] == ["system", "system", "user"]
    assert "Summary of the conversation so far" in told[0][1]
    assert told[1] == ("system", f"{name} is polite")
    assert [role for role, _ in later] == ["system", "system", "user", "assistant", "user"]
    assert later[0] == told[0]


async def test_the_events_of_a_summarised_turn_tell_of_its_summary(axon: RunningAxon) -> None:
    name = new_name()
    async with axon.async_client() as client:
        conversation = await long_conversation(client, name)
        stream = await client.responses.create(
            model=MODEL,
            input="go on",
            conversation=conversation,
            context_management=COMPACTED,
            stream=True,
        )
        events: list[Any] = [event async for event in stream]
    kinds = [event.type for event in events]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert kinds[2:4] == ["response.output_item.added", "response.output_item.done"]
    assert events[2].item.type == "compaction"
    assert events[-1].response.output[0] == events[2].item


async def test_without_being_asked_nothing_is_summarised(axon: RunningAxon) -> None:
    name = new_name()
    async with axon.async_client() as client:
        conversation = await long_conversation(client, name)
        response = await client.responses.create(
            model=MODEL, input=f"{name} last", conversation=conversation
        )
    assert [item.type for item in response.output] == ["message"]
    [told] = shown_to_the_model(axon.upstream, f"{name} last")
    assert len(told) == 1 + 2 * TURNS + 1


async def test_a_compacted_input_is_an_input(axon: RunningAxon) -> None:
    name = new_name()
    async with axon.async_client() as client:
        first = await client.responses.create(model=MODEL, input=f"{name} likes tea")
        compacted: Any = await client.responses.compact(
            model=MODEL,
            previous_response_id=first.id,
            input=[{"role": "user", "content": "and milk"}],
        )
        await client.responses.create(
            model=MODEL,
            input=[
                *(item.to_dict(warnings=False) for item in compacted.output),
                {"role": "user", "content": f"{name} drinks?"},
            ],
        )
    assert compacted.object == "response.compaction"
    assert [item.type for item in compacted.output] == ["message", "message", "compaction"]
    assert compacted.usage.total_tokens > 0
    [told] = shown_to_the_model(axon.upstream, f"{name} drinks?")
    assert "Summary of the conversation so far" in told[0][1]
    assert [role for role, _ in told] == ["system", "user", "user", "user"]


@pytest.mark.parametrize("content", ["", "not base64!", "aGVsbG8=", "A" * 400])
async def test_a_summary_of_nobodys_is_refused(axon: RunningAxon, content: str) -> None:
    items: Any = [
        {"type": "compaction", "encrypted_content": content},
        {"role": "user", "content": "hi"},
    ]
    async with axon.async_client() as client:
        with pytest.raises(openai.BadRequestError, match="encrypted_content"):
            await client.responses.create(model=MODEL, input=items)


async def test_nothing_cannot_be_compacted(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        with pytest.raises(openai.BadRequestError, match="nothing to compact"):
            await client.responses.compact(model=MODEL)


@pytest.mark.parametrize(
    "wanted",
    [[{"type": "forgetting"}], [{"type": "compaction", "compact_threshold": 1}], "compaction"],
)
async def test_unknown_context_management_is_refused(axon: RunningAxon, wanted: Any) -> None:
    async with axon.async_client() as client:
        with pytest.raises(openai.BadRequestError, match="context_management"):
            await client.responses.create(model=MODEL, input="hi", context_management=wanted)
