"""Who sees what: other organizations, other people, revoked keys, passes."""

import asyncio
from collections.abc import Callable

import openai
import pytest
from openai import OpenAI

from tests.gateway.commands import axon_command
from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"
REVOKED_TRIES_MAX = 40
"""Requests, 25 ms apart, within which a revocation must have reached the process."""


@pytest.fixture(scope="module")
def acme_key(axon: RunningAxon) -> str:
    """A key of another organization, without the permission to act for others."""
    axon_command(axon, "orgs", "create", "acme")
    axon_command(axon, "users", "create", "ada", "--org", "acme")
    made = axon_command(axon, "keys", "create", "--org", "acme", "--user", "ada", "--name", "a")
    return str(made["secret"])


def hidden_from(client: OpenAI, conversation_id: str, response_id: str, item_id: str) -> None:
    """Demand that none of these exists for the client, on any route."""
    message = {"type": "message", "role": "user", "content": "x"}
    calls: list[Callable[[], object]] = [
        lambda: client.conversations.retrieve(conversation_id),
        lambda: client.conversations.update(conversation_id, metadata={}),
        lambda: client.conversations.delete(conversation_id),
        lambda: client.conversations.items.list(conversation_id),
        lambda: client.conversations.items.create(conversation_id, items=[message]),  # type: ignore[list-item]
        lambda: client.conversations.items.retrieve(item_id, conversation_id=conversation_id),
        lambda: client.conversations.items.delete(item_id, conversation_id=conversation_id),
        lambda: client.responses.retrieve(response_id),
        lambda: client.responses.delete(response_id),
        lambda: client.responses.create(model=MODEL, input="x", conversation=conversation_id),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError):
            call()
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input="x", previous_response_id=response_id)
    assert caught.value.code == "previous_response_not_found"


def test_another_organization_sees_nothing(
    axon: RunningAxon, client: OpenAI, acme_key: str
) -> None:
    conversation = client.conversations.create()
    made = client.responses.create(
        model=MODEL, input="[[text:secret]]", conversation=conversation.id
    )
    with OpenAI(base_url=axon.base_url, api_key=acme_key, max_retries=0) as stranger:
        hidden_from(stranger, conversation.id, made.id, str(made.output[0].id))
    assert len(client.conversations.items.list(conversation.id).data) == 2


def test_a_pass_sees_one_person_only(axon: RunningAxon, client: OpenAI) -> None:
    body = {"user": "zoe"}
    minted: dict[str, str] = client.post("/user_passes", cast_to=dict, body=body)
    with OpenAI(base_url=axon.base_url, api_key=minted["value"], max_retries=0) as zoe:
        mine = zoe.conversations.create()
        zoe.responses.create(model=MODEL, input="[[text:hi]]", conversation=mine.id)
        assert len(zoe.conversations.items.list(mine.id).data) == 2
        other = client.conversations.create(extra_body={"safety_identifier": "yan"})
        made = client.responses.create(
            model=MODEL,
            input="[[text:x]]",
            conversation=other.id,
            safety_identifier="yan",
        )
        hidden_from(zoe, other.id, made.id, str(made.output[0].id))
    assert client.conversations.retrieve(mine.id).id == mine.id  # the key acts for all its users
    with pytest.raises(openai.NotFoundError):
        client.responses.create(
            model=MODEL, input="x", conversation=mine.id, safety_identifier="yan"
        )


def test_a_key_that_may_not_act_for_others_mints_no_pass(axon: RunningAxon, acme_key: str) -> None:
    with OpenAI(base_url=axon.base_url, api_key=acme_key, max_retries=0) as ada:
        with pytest.raises(openai.PermissionDeniedError):
            ada.post("/user_passes", cast_to=object, body={"user": "zoe"})
        ada.responses.create(model=MODEL, input="[[text:x]]", safety_identifier="zoe")


async def ask_again_and_again(client: openai.AsyncOpenAI) -> None:
    for _ in range(REVOKED_TRIES_MAX):
        await client.models.list()
        await asyncio.sleep(0.025)


async def test_a_revoked_key_is_refused(axon: RunningAxon) -> None:
    made = await asyncio.to_thread(axon_command, axon, "keys", "create", "--name", "short-lived")
    async with axon.async_client().copy(api_key=made["secret"]) as client:
        await client.models.list()
        key_id = made["key"]["credential_id"]
        await asyncio.to_thread(axon_command, axon, "keys", "revoke", key_id)
        with pytest.raises(openai.AuthenticationError) as caught:
            await ask_again_and_again(client)
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("key", ["sk-axon-" + "0" * 48, "nonsense", "up-axon-nonsense"])
def test_a_wrong_key_is_401(axon: RunningAxon, key: str) -> None:
    stranger = OpenAI(base_url=axon.base_url, api_key=key, max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError) as caught:
        stranger.models.list()
    assert caught.value.code == "invalid_api_key"
    assert key not in str(caught.value.response.json())
