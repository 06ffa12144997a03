import asyncio

import pytest

from axon.accounts import AccountsUnavailable, InvalidCredential
from axon.accounts.credential import Credential
from axon.accounts.held import REFUSED_MAX, REFUSED_S, RefusedKeys
from axon.accounts.lookups import LOOKUP_BATCH_MAX, LOOKUPS_WAITING_MAX, Lookups
from axon.base import TaskOwner
from tests.accounts.scene import Office, Scene, bearer, queries

KEY = b"\x01" * 32


def credential(mac: bytes = KEY, name: str = "key_1") -> Credential:
    return Credential(
        credential_id=name,
        mac=mac,
        org_id="org_1",
        user=1,
        acts_for_users=False,
        permissions=(),
        tier="gold",
        region="eu",
        expires_us=0,
        revoked_us=0,
        version=1,
    )


class Desk:
    """Answers look-ups when the test opens the gate, and notes what it was asked."""

    def __init__(self, *known: Credential) -> None:
        self.known = known
        self.asked: list[list[bytes | str]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None
        self.failures: list[BaseException] = []
        self.tasks = TaskOwner(lambda _name, error: self.failures.append(error))
        self.lookups = Lookups(self.fetch, self.tasks)

    async def fetch(self, keys: list[bytes | str]) -> list[Credential]:
        self.asked.append(keys)
        await self.gate.wait()
        if self.error:
            raise self.error
        return [one for one in self.known if one.mac in keys or one.credential_id in keys]


def ask(desk: Desk, *keys: bytes | str) -> list[asyncio.Task[Credential | None]]:
    return [asyncio.create_task(desk.lookups.find(key)) for key in keys]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_many_questions_about_one_key_are_one_query() -> None:
    desk = Desk(credential())
    questions = ask(desk, *[KEY] * 50)
    desk.gate.set()
    assert await asyncio.gather(*questions) == [credential()] * 50
    assert desk.asked == [[KEY]]


async def test_a_question_about_a_key_that_is_being_asked_joins_it() -> None:
    desk = Desk(credential())
    first = ask(desk, KEY)
    await settle()
    second = ask(desk, KEY)
    await settle()
    desk.gate.set()
    assert await asyncio.gather(*first, *second) == [credential()] * 2
    assert desk.asked == [[KEY]]


async def test_one_query_runs_at_a_time_and_the_next_takes_all_who_came() -> None:
    desk = Desk(credential())
    questions = ask(desk, "key_1")
    await settle()
    others: list[bytes | str] = [number.to_bytes(32, "big") for number in range(100)]
    questions += ask(desk, *others)
    await settle()
    assert desk.asked == [["key_1"]]
    desk.gate.set()
    assert await asyncio.gather(*questions) == [credential()] + [None] * 100
    assert desk.asked == [["key_1"], others]


async def test_a_query_and_the_waiting_room_are_bounded() -> None:
    desk = Desk()
    questions = ask(desk, *[f"key_{number}" for number in range(LOOKUPS_WAITING_MAX)])
    await settle()
    with pytest.raises(AccountsUnavailable):
        await asyncio.wait_for(desk.lookups.find("one too many"), 30)
    assert not any(question.done() for question in questions)
    desk.gate.set()
    await asyncio.gather(*questions)
    assert [len(keys) for keys in desk.asked] == [LOOKUP_BATCH_MAX] * 2


async def test_in_an_outage_everybody_is_told_at_once_and_the_next_is_asked_anew() -> None:
    desk = Desk(credential())
    questions = ask(desk, *[f"key_{number}" for number in range(LOOKUP_BATCH_MAX + 1)])
    await settle()
    desk.error = AccountsUnavailable()
    desk.gate.set()
    answers = await asyncio.gather(*questions, return_exceptions=True)
    assert {type(answer) for answer in answers} == {AccountsUnavailable}
    assert len(desk.asked) == 1
    desk.error = None
    assert await desk.lookups.find("key_1") == credential()
    assert desk.failures == []


async def test_an_unforeseen_error_reaches_the_owner_and_leaves_nobody_waiting() -> None:
    desk = Desk(credential())
    questions = ask(desk, *[f"key_{number}" for number in range(LOOKUP_BATCH_MAX + 1)])
    desk.error = ValueError("a bug")
    desk.gate.set()
    answers = await asyncio.gather(*questions, return_exceptions=True)
    assert {type(answer) for answer in answers} == {AccountsUnavailable}
    assert desk.failures == [desk.error]
    desk.error = None
    assert await desk.lookups.find("key_1") == credential()


async def test_one_who_is_cancelled_takes_nobody_along() -> None:
    desk = Desk(credential())
    leaving, staying = ask(desk, KEY, KEY)
    await settle()
    leaving.cancel()
    await settle()
    assert leaving.cancelled()
    desk.gate.set()
    assert await staying == credential()


async def test_a_flood_of_made_up_keys_is_a_handful_of_queries(
    scene: Scene, office: Office
) -> None:
    accounts = await scene.process()
    before = queries()
    answers = await asyncio.gather(
        *(accounts.verify(b"Bearer sk-axon-%d" % n) for n in range(LOOKUPS_WAITING_MAX)),
        return_exceptions=True,
    )
    assert {type(answer) for answer in answers} == {InvalidCredential}
    assert queries() - before == LOOKUPS_WAITING_MAX / LOOKUP_BATCH_MAX


async def test_a_wrong_key_tried_again_is_refused_without_a_query_for_a_while(
    scene: Scene, office: Office
) -> None:
    accounts = await scene.process()
    before = queries()
    for _ in range(3):
        with pytest.raises(InvalidCredential):
            await accounts.verify(b"Bearer sk-axon-wrong")
    assert queries() == before + 1
    scene.clock.turn(REFUSED_S)
    with pytest.raises(InvalidCredential):
        await accounts.verify(b"Bearer sk-axon-wrong")
    assert queries() == before + 2


async def test_a_refused_key_counts_as_soon_as_a_poll_has_seen_it_made(
    scene: Scene, office: Office
) -> None:
    accounts = await scene.process()
    with pytest.raises(InvalidCredential):
        await accounts.verify(b"Bearer sk-axon-early")
    await office.admin.register_key("sk-axon-early", "acme", "alice")
    await accounts.refresh()
    assert (await accounts.verify(bearer("sk-axon-early"))).user == office.user.user


def test_refused_keys_are_bounded_and_the_oldest_go_first() -> None:
    refused = RefusedKeys()
    for number in range(REFUSED_MAX + 1):
        refused.add(str(number), now=0.0)
    assert len(refused) == REFUSED_MAX
    assert not refused.holds("0", now=0.0)
    assert refused.holds("1", now=REFUSED_S / 2)
    assert not refused.holds("1", now=REFUSED_S)
    refused.add("1", now=REFUSED_S)
    assert refused.holds("1", now=REFUSED_S)
    assert len(refused) == REFUSED_MAX
