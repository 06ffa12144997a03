"""Stored chat completions: what a reader gets before, while and after PostgreSQL has them."""

import pytest
from msgspec.structs import replace

from axon.app.embedded import EmbeddedServer
from axon.conversations import ChatFilter, HistoryUnavailable, TurnNotFound
from axon.conversations.chat_completions import TAIL_COMPLETIONS_MAX
from axon.records import SealedItem, SubjectErased, TurnCompleted, TurnHead
from axon.sealing import item_context, seal
from tests.conversations.scene import KEY, ORG, RANDOMNESS, Node, Process, apply, query

OWNER = 7
EVERY = ChatFilter(after=None, model=None, metadata={}, limit=100, order="asc")


async def completed(
    process: Process, text: str, metadata: dict[str, str], *, stored: bool = True, user: int = OWNER
) -> TurnCompleted:
    """Return the record of a chat completion that was asked `text` and answered it."""
    turn_id = process.mint.mint("chatcmpl", ORG, user)
    head = TurnHead(
        turn_id=turn_id,
        org_id=ORG,
        user=user,
        credential_id=KEY,
        conversation_id="",
        sequence=0,
        fence=0,
        surface="chat",
        model="small",
        accepted_us=process.node.clock.now_us(),
        implicit=True,
        stored=stored,
        metadata=metadata,
    )
    key = await process.keys.current(ORG, user)
    blobs = [
        seal(key, item_context(ORG, user, "", turn_id, item), text.encode(), RANDOMNESS)
        for item in ("request", "answer")
    ]
    turn, _ = await process.completed(head, "")
    request = SealedItem("request", "chat_request", "user", 1, blobs[0])
    return replace(turn, input=[request], output=[], answer=blobs[1])


async def make(process: Process, text: str, user: int = OWNER, **metadata: str) -> str:
    record = await completed(process, text, metadata, user=user)
    await process.append(record)
    return record.head.turn_id


async def listed(process: Process, wanted: ChatFilter = EVERY, user: int = OWNER) -> list[str]:
    page = await process.conversations.chat_completions.page(process.owner(user), wanted)
    return [one.request.decode() for one in page.completions]


async def test_they_read_alike_before_and_after_the_projection(process: Process) -> None:
    chats = process.conversations.chat_completions
    made = [await make(process, text, n=text) for text in ("a", "b")]
    await process.project()
    made += [await make(process, text, n=text) for text in ("c", "d")]
    await chats.update_metadata(process.owner(), KEY, made[0], {"n": "new"})
    await process.conversations.changing.forget_turn(process.owner(), KEY, made[1])
    await process.conversations.changing.forget_turn(process.owner(), KEY, made[2])
    for _ in range(2):
        assert await listed(process) == ["a", "d"]
        assert await listed(process, EVERY._replace(order="desc", limit=1)) == ["d"]
        assert await listed(process, EVERY._replace(metadata={"n": "new"})) == ["a"]
        assert await listed(process, EVERY._replace(metadata={"n": "a"})) == []
        assert await listed(process, EVERY._replace(model="large")) == []
        assert await listed(process, EVERY._replace(after=made[0])) == ["d"]
        found = await chats.find(process.owner(), made[0])
        assert (found.metadata, found.request, found.answer) == ({"n": "new"}, b"a", b"a")
        for gone in made[1:3]:
            with pytest.raises(TurnNotFound):
                await chats.find(process.owner(), gone)
        await process.project()


async def test_a_page_says_whether_there_are_more(process: Process) -> None:
    for place, text in enumerate("abcd"):
        await make(process, text)
        if place == 1:
            await process.project()
    chats = process.conversations.chat_completions
    page = await chats.page(process.owner(), EVERY._replace(limit=3))
    assert (len(page.completions), page.has_more) == (3, True)
    page = await chats.page(process.owner(), EVERY._replace(limit=4))
    assert (len(page.completions), page.has_more) == (4, False)


async def test_only_stored_ones_of_the_person_are_there(process: Process) -> None:
    mine = await make(process, "mine")
    await make(process, "theirs", user=8)
    await process.append(await completed(process, "not stored", {}, stored=False))
    for _ in range(2):
        assert await listed(process) == ["mine"]
        assert await listed(process, user=8) == ["theirs"]
        with pytest.raises(TurnNotFound):
            await process.conversations.chat_completions.find(process.owner(8), mine)
        await process.project()


async def test_records_told_twice_change_nothing(process: Process) -> None:
    kept = await make(process, "kept", n="1")
    gone = await make(process, "gone")
    chats = process.conversations.chat_completions
    await chats.update_metadata(process.owner(), KEY, kept, {"n": "2"})
    await process.conversations.changing.forget_turn(process.owner(), KEY, gone)
    await process.project()
    await apply(process.node.database, await process.records())
    assert await listed(process) == ["kept"]
    assert (await chats.find(process.owner(), kept)).metadata == {"n": "2"}


async def test_a_successor_has_them_from_the_journal(node: Node) -> None:
    process = await node.process()
    made = await make(process, "text", n="1")
    await process.conversations.chat_completions.update_metadata(
        process.owner(), KEY, made, {"n": "2"}
    )
    await process.close()
    successor = await node.process()
    found = await successor.conversations.chat_completions.find(successor.owner(), made)
    assert (found.metadata, found.answer) == ({"n": "2"}, b"text")
    await successor.close()


async def test_an_erased_person_leaves_nothing(process: Process) -> None:
    await make(process, "secret", topic="private")
    erased = SubjectErased(
        change_id="chg_1",
        org_id=ORG,
        user=OWNER,
        credential_id=KEY,
        at_us=process.node.clock.now_us(),
        reason="asked",
    )
    await process.append(erased)
    await process.project()
    assert await query(process.node.database, "SELECT * FROM conversations.chat_completions") == []


async def test_a_forgotten_one_leaves_no_content(process: Process) -> None:
    made = await make(process, "secret", topic="private")
    await process.project()
    await process.conversations.changing.forget_turn(process.owner(), KEY, made)
    await process.project()
    database = process.node.database
    assert await query(database, "SELECT * FROM conversations.chat_completions") == []
    [[answer]] = await query(database, "SELECT answer FROM conversations.turns")
    assert answer is None


async def test_without_postgres_the_newest_are_found_and_none_are_listed(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    made = await make(process, "new")
    postgres_server.stop()
    found = await process.conversations.chat_completions.find(process.owner(), made)
    assert found.request == b"new"
    with pytest.raises(HistoryUnavailable):
        await listed(process)


async def test_a_projection_far_behind_is_not_read_from_the_journal(process: Process) -> None:
    chat = process.conversations.tail.chat
    record = await completed(process, "many", {})
    location = await process.append(record)
    for number in range(TAIL_COMPLETIONS_MAX):
        head = replace(record.head, turn_id=f"chatcmpl_{number:05}")
        chat.note(replace(record, head=head), location)
    with pytest.raises(HistoryUnavailable):
        await listed(process)
    chat.prune(location.sequence)
    assert chat.ids(OWNER) == []
