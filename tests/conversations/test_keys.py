"""Idempotency keys: claimed once, settled, found again in PostgreSQL, bounded in memory."""

import asyncio

import asyncpg
import msgspec
import pytest

from axon.app.embedded import EmbeddedServer
from axon.conversations import (
    HistoryUnavailable,
    IdempotencyKeys,
    KeyReused,
    KeysFull,
    RequestKey,
    recording,
)
from axon.conversations.keys import KEYS_LIVE_US, Claim, erase_keys, write_keys
from axon.records import Record, TurnAccepted, encode
from tests.conversations.scene import Process, message
from tests.records.examples import EXAMPLES

USER = 2**63 - 1
KEY = RequestKey(USER, b"k" * 16, b"b" * 16)
AT_ONCE = 50


@pytest.fixture
def keys(process: Process) -> IdempotencyKeys:
    return process.conversations.keys


def accepted(key: RequestKey, turn_id: str, at_us: int) -> TurnAccepted:
    """Return the record of a turn whose request had this key."""
    example = EXAMPLES[1]
    assert isinstance(example, TurnAccepted)
    head = msgspec.structs.replace(example.head, turn_id=turn_id, user=key.user, accepted_us=at_us)
    return msgspec.structs.replace(
        example, head=head, idempotency_mac=key.key_mac, body_mac=key.body_mac
    )


async def claimed(keys: IdempotencyKeys, key: RequestKey, instead_of: str = "") -> Claim:
    claim = await keys.claim(key, instead_of)
    assert isinstance(claim, Claim)
    return claim


async def test_of_many_at_once_one_claims_and_the_others_learn_what_it_made(
    keys: IdempotencyKeys,
) -> None:
    many = [asyncio.create_task(keys.claim(KEY)) for _ in range(AT_ONCE)]
    done, _ = await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
    [claim] = [one.result() for one in done]
    assert isinstance(claim, Claim)
    claim.settle("resp_1", 1)
    answers = await asyncio.gather(*many)
    assert [one for one in answers if one != claim] == ["resp_1"] * (AT_ONCE - 1)


async def test_a_released_claim_is_the_next_ones(keys: IdempotencyKeys) -> None:
    first = await claimed(keys, KEY)
    second = asyncio.create_task(keys.claim(KEY))
    await asyncio.sleep(0)
    first.release()
    assert isinstance(await second, Claim)


async def test_another_body_is_refused_while_it_is_claimed_and_after(
    keys: IdempotencyKeys,
) -> None:
    other = KEY._replace(body_mac=b"o" * 16)
    claim = await claimed(keys, KEY)
    with pytest.raises(KeyReused):
        await keys.claim(other)
    claim.settle("resp_1", 1)
    claim.release()  # changes nothing any more
    with pytest.raises(KeyReused):
        await keys.claim(other)


async def test_postgresql_remembers(process: Process, keys: IdempotencyKeys) -> None:
    connection = await asyncpg.connect(process.node.database)
    now_us = process.node.clock.now_us()
    try:
        old = KEY._replace(key_mac=b"o" * 16)
        await write_keys(connection, [accepted(old, "resp_0", now_us - KEYS_LIVE_US - 1)])
        await write_keys(connection, [accepted(KEY, "resp_1", now_us)])
        await write_keys(connection, [accepted(KEY, "resp_2", now_us - 1)])  # told late
        assert await keys.claim(KEY) == "resp_1"
        with pytest.raises(KeyReused):
            await keys.claim(KEY._replace(body_mac=b"o" * 16))
        (await claimed(keys, KEY, instead_of="resp_1")).release()
        assert isinstance(await keys.claim(old), Claim)  # too old
        await erase_keys(connection, USER)
        assert isinstance(await keys.claim(KEY), Claim)
    finally:
        await connection.close()


async def test_without_postgresql_a_new_key_cannot_be_proven(
    keys: IdempotencyKeys, postgres_server: EmbeddedServer
) -> None:
    (await claimed(keys, KEY)).settle("resp_1", 1)
    postgres_server.kill()
    assert await keys.claim(KEY) == "resp_1"
    new = KEY._replace(key_mac=b"n" * 16)
    for _ in range(2):  # and nothing stays claimed
        with pytest.raises(HistoryUnavailable):
            await keys.claim(new)


async def test_only_keys_that_postgresql_has_make_room(process: Process) -> None:
    projected = 0
    keys = IdempotencyKeys(process.postgres, lambda: projected, keys_max=2)
    for number in (1, 2):
        claim = await claimed(keys, KEY._replace(key_mac=bytes([number]) * 16))
        claim.settle(f"resp_{number}", number)
    third = KEY._replace(key_mac=b"3" * 16)
    with pytest.raises(KeysFull):
        await keys.claim(third)
    keys.note(accepted(KEY, "resp_4", 0), 4)  # what is journaled is known whatever the bound
    projected = 2
    assert isinstance(await keys.claim(third), Claim)


@pytest.mark.parametrize("what", ["items", "conversation"])
async def test_a_client_that_left_before_it_was_told_is_told_when_it_comes_again(
    process: Process, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    conversation = await process.conversation("hello")
    items = [message("user", "once")]
    owner = process.owner()

    async def make() -> object:
        if what == "items":
            added = await process.conversations.changing.append_items(
                owner, "key_test", conversation, items, KEY
            )
            return [item.item_id for item in added]
        made = await process.conversations.changing.create(owner, "key_test", {}, items, KEY)
        return made.conversation_id

    first = asyncio.ensure_future(make())

    def leaving(record: Record) -> tuple[int, bytes]:
        first.cancel()
        return encode(record)

    with monkeypatch.context() as patched:
        patched.setattr(recording, "encode", leaving)
        await asyncio.wait([first])
    made = await make()
    assert made == await make()
    said = b"".join([entry.payload for entry in process.journal.read(0)])
    assert said.count(KEY.key_mac) == 1
