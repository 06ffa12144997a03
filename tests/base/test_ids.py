import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.base import IDENTITY_BYTES, MARK_BYTES, IdMint, UnknownId, instance_mark, user_number
from axon.base.ids import _COUNTER_LIMIT

IDENTITY = bytes(range(IDENTITY_BYTES))
GOLDEN_NUMBER = 372779790375124272
GOLDEN_MARK = "e21b"
GOLDEN_ID = "conv_01a0c4506c7b00020301010101052c613e88c0fd30e45f9a08"

users = st.integers(0, 2**63 - 1)
prefixes = st.sampled_from(["resp", "conv", "msg", "fc", "key", "two_parts"])
orgs = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


class StepClock:
    """Gives the wall times it was told, then the last one for ever."""

    def __init__(self, *times_ms: int) -> None:
        self._times_ms = list(times_ms)

    def now_us(self) -> int:
        now_ms = self._times_ms[0] if len(self._times_ms) == 1 else self._times_ms.pop(0)
        return now_ms * 1000

    def monotonic(self) -> float:
        return 0.0


class CountedBytes:
    """Bytes that differ from call to call and are the same in every run."""

    def __init__(self, first: int = 0) -> None:
        self._next = first

    def bytes(self, count: int) -> bytes:
        self._next += 1
        return (self._next % 256).to_bytes(1, "big") * count


def mint(*times_ms: int, identity: bytes = IDENTITY, process: int = 0) -> IdMint:
    return IdMint(identity, StepClock(*(times_ms or (1_790_000_000_000,))), CountedBytes(process))


@given(prefixes, orgs, users)
def test_an_id_says_what_it_was_made_of(prefix: str, org_id: str, user: int) -> None:
    text = mint(1_790_000_000_123).mint(prefix, org_id, user)
    assert mint().read(text, prefix, org_id) == (prefix, 1_790_000_000_123, user, b"\1\1")


@given(st.lists(st.integers(1_700_000_000_000, 1_700_000_000_020), min_size=2, max_size=50), users)
def test_a_later_id_sorts_after_an_earlier_one_whatever_the_clock_does(
    times_ms: list[int], user: int
) -> None:
    one = mint(*times_ms)
    made = [one.mint("msg", "org_1", user) for _ in times_ms]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


@given(st.integers(0, 3), users)
def test_order_and_uniqueness_survive_the_counters_end(steps: int, user: int) -> None:
    one = mint(1_790_000_000_000)
    one._counter = _COUNTER_LIMIT - 1 - steps
    made = [one.mint("msg", "org_1", user) for _ in range(8)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_two_processes_never_make_the_same_id() -> None:
    first, second = mint(process=0), mint(process=1)
    ids = [one.mint("msg", "org_1", 7) for one in (first, second) for _ in range(1000)]
    assert len(set(ids)) == len(ids)


def marked(name: str, process: int = 0) -> IdMint:
    clock = StepClock(1_790_000_000_000)
    return IdMint(IDENTITY, clock, CountedBytes(process), instance_mark(name))


@given(prefixes, st.text(max_size=40), users)
def test_an_id_names_the_process_that_made_it(prefix: str, name: str, user: int) -> None:
    text = marked(name).mint(prefix, "org_1", user)
    assert mint().read(text, prefix, "org_1").mark == instance_mark(name)


@given(prefixes, users)
def test_an_id_made_beside_another_has_its_owner(prefix: str, user: int) -> None:
    one, other = marked("one"), marked("other", process=1)
    beside = one.mint("conv", "org_1", user)
    made = [other.mint(prefix, "org_1", user, beside=beside) for _ in range(2)]
    assert [mint().read(text, prefix, "org_1").mark for text in made] == [instance_mark("one")] * 2
    assert len({*made, one.mint(prefix, "org_1", user)}) == 3
    assert mint().read(other.mint(prefix, "org_1", user), prefix, "org_1").mark == instance_mark(
        "other"
    )


def test_two_starts_of_one_process_never_make_the_same_id() -> None:
    first, second = marked("serving"), marked("serving", process=1)
    ids = [one.mint("msg", "org_1", 7) for one in (first, second) for _ in range(1000)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("length", [1, MARK_BYTES + 1])
def test_a_short_or_long_mark_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="2 bytes"):
        IdMint(IDENTITY, StepClock(0), CountedBytes(), bytes(length))


@given(orgs, orgs, users)
def test_another_organizations_id_does_not_exist(org_id: str, other: str, user: int) -> None:
    text = mint().mint("conv", org_id, user)
    if org_id == other:
        assert mint().read(text, "conv", other).user == user
    else:
        with pytest.raises(UnknownId):
            mint().read(text, "conv", other)


def test_an_id_of_another_installation_does_not_exist() -> None:
    text = mint(identity=bytes(IDENTITY_BYTES)).mint("conv", "org_1", 7)
    with pytest.raises(UnknownId):
        mint().read(text, "conv", "org_1")


def test_an_id_of_another_kind_does_not_exist() -> None:
    text = mint().mint("conv", "org_1", 7)
    for wrong in (text, text.replace("conv", "resp")):
        with pytest.raises(UnknownId):
            mint().read(wrong, "resp", "org_1")


@given(users, st.integers(0, 49), st.sampled_from("0123456789abcdef"))
def test_no_digit_of_an_id_can_change(user: int, place: int, digit: str) -> None:
    text = mint().mint("conv", "org_1", user)
    start = len("conv_") + place
    changed = text[:start] + digit + text[start + 1 :]
    if changed == text:
        return
    with pytest.raises(UnknownId):
        mint().read(changed, "conv", "org_1")


@given(st.text() | st.text("0123456789abcdef", min_size=50, max_size=50).map("conv_".__add__))
def test_made_up_text_is_no_id(text: str) -> None:
    with pytest.raises(UnknownId):
        mint().read(text, "conv", "org_1")


def test_an_id_has_one_spelling() -> None:
    text = mint().mint("conv", "org_1", 0xABCDEF)
    body = text.removeprefix("conv_")
    spaced = body[:48] + " " + body[48:]
    for respelled in (f"conv_{body.upper()}", f" {text}", f"{text} ", f"conv_{spaced}", body):
        with pytest.raises(UnknownId):
            mint().read(respelled, "conv", "org_1")


@pytest.mark.parametrize("length", [0, IDENTITY_BYTES - 1, IDENTITY_BYTES + 1])
def test_a_short_or_long_identity_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        mint(identity=bytes(length))


@given(orgs, st.text(st.characters(codec="utf-8")))
def test_a_person_has_one_number_of_63_bits(org_id: str, name: str) -> None:
    number = user_number(IDENTITY, org_id, name)
    assert number == user_number(IDENTITY, org_id, name)
    assert 0 <= number < 2**63
    assert mint().read(mint().mint("conv", org_id, number), "conv", org_id).user == number


@given(st.tuples(orgs, orgs), st.tuples(orgs, orgs))
def test_people_and_organizations_have_numbers_of_their_own(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    same = user_number(IDENTITY, *one) == user_number(IDENTITY, *other)
    assert same == (one == other)


def test_numbers_depend_on_the_identity() -> None:
    assert user_number(IDENTITY, "org_1", "bob") != user_number(bytes(32), "org_1", "bob")


def test_the_format_is_final() -> None:
    """Ids and numbers are stored; a change here loses everybody's conversations."""
    assert user_number(IDENTITY, "org_1", "bob") == GOLDEN_NUMBER
    assert mint(1_790_000_000_123).mint("conv", "org_1", GOLDEN_NUMBER) == GOLDEN_ID
    assert instance_mark("serving").hex() == GOLDEN_MARK
    assert mint().read(GOLDEN_ID, "conv", "org_1").created_ms == 1_790_000_000_123
