from base64 import urlsafe_b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.accounts import (
    PASS_LIFETIME_S_MAX,
    Accounts,
    AccountsUnavailable,
    CreatedKey,
    InvalidCredential,
    NotPermitted,
    Principal,
)
from axon.accounts.credential import AUTHORIZATION_BYTES_MAX
from axon.accounts.passes import PassClaims, PassSigner
from axon.app.embedded import EmbeddedServer
from axon.base import MICROS_PER_SECOND, SystemRandomness, user_number
from axon.sealing import Keyring
from tests.accounts.scene import Office, Scene, bearer, queries

MINUTE_S = 60


async def back_end(scene: Scene, office: Office) -> tuple[Accounts, CreatedKey, Principal]:
    """Return a process and a chat product's key, which acts for users."""
    created = await office.key(acts_for_users=True)
    accounts = await scene.process()
    return accounts, created, await accounts.verify(bearer(created.secret))


async def test_a_pass_stands_for_one_person_and_has_no_permissions(
    scene: Scene, office: Office
) -> None:
    accounts, created, parent = await back_end(scene, office)
    user_pass = accounts.mint_user_pass(parent, "bob@example.org", MINUTE_S)
    assert user_pass.text.startswith("up-axon-")
    assert user_pass.expires_us == scene.clock.now_us() + MINUTE_S * MICROS_PER_SECOND
    principal = await accounts.verify(bearer(user_pass.text))
    assert principal == Principal(
        org_id=office.user.org_id,
        credential_id=created.key.credential_id,
        user=accounts.subject(parent, "bob@example.org"),
        acts_for_users=False,
        permissions=frozenset(),
        tier="gold",
        region="eu",
        pass_expires_us=user_pass.expires_us,
    )
    assert accounts.known(bearer(user_pass.text)) is principal
    assert "bob@" not in user_pass.text and "example" not in user_pass.text
    assert len(bearer(user_pass.text)) * 2 <= AUTHORIZATION_BYTES_MAX


async def test_another_process_knows_the_pass_without_a_query(scene: Scene, office: Office) -> None:
    accounts, _, parent = await back_end(scene, office)
    user_pass = accounts.mint_user_pass(parent, "bob", MINUTE_S)
    other = await scene.process()
    before = queries()
    assert (await other.verify(bearer(user_pass.text))).user == accounts.subject(parent, "bob")
    assert queries() == before


async def test_a_pass_of_a_key_made_a_moment_ago_is_looked_up(scene: Scene, office: Office) -> None:
    other = await scene.process()
    accounts, _, parent = await back_end(scene, office)
    user_pass = accounts.mint_user_pass(parent, "bob", MINUTE_S)
    before = queries()
    await other.verify(bearer(user_pass.text))
    assert queries() == before + 1


async def test_a_pass_expires(scene: Scene, office: Office) -> None:
    accounts, created, parent = await back_end(scene, office)
    user_pass = accounts.mint_user_pass(parent, "bob", MINUTE_S)
    fresh = accounts.mint_user_pass(parent, "carol", 2 * MINUTE_S)
    await accounts.verify(bearer(user_pass.text))
    scene.clock.turn(MINUTE_S)
    await accounts.refresh()
    assert accounts.known(bearer(user_pass.text)) is None
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(user_pass.text))
    await accounts.verify(bearer(fresh.text))
    await accounts.verify(bearer(created.secret))


async def test_an_expired_pass_is_refused_without_a_query(scene: Scene, office: Office) -> None:
    other = await scene.process()
    accounts, _, parent = await back_end(scene, office)
    user_pass = accounts.mint_user_pass(parent, "bob", MINUTE_S)
    scene.clock.turn(MINUTE_S)
    before = queries()
    with pytest.raises(InvalidCredential):
        await other.verify(bearer(user_pass.text))
    assert queries() == before


async def test_a_pass_dies_with_its_key(scene: Scene, office: Office) -> None:
    accounts, created, parent = await back_end(scene, office)
    user_pass = accounts.mint_user_pass(parent, "bob", MINUTE_S)
    other = await scene.process()
    for process in (accounts, other):
        await process.verify(bearer(user_pass.text))
    await office.admin.revoke_key(created.key.credential_id)
    for process in (accounts, other):
        await process.refresh()
        assert process.known(bearer(user_pass.text)) is None
        with pytest.raises(InvalidCredential):
            await process.verify(bearer(user_pass.text))


async def test_a_pass_ends_with_its_keys_time(scene: Scene, office: Office) -> None:
    soon_us = scene.clock.now_us() + 10 * MICROS_PER_SECOND
    created = await office.key(expires_us=soon_us, acts_for_users=True)
    accounts = await scene.process()
    parent = await accounts.verify(bearer(created.secret))
    user_pass = accounts.mint_user_pass(parent, "bob", MINUTE_S)
    await accounts.verify(bearer(user_pass.text))
    scene.clock.turn(10.0)
    await accounts.refresh()
    assert accounts.known(bearer(user_pass.text)) is None
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(user_pass.text))


async def test_a_pass_lives_a_day_at_most(scene: Scene, office: Office) -> None:
    accounts, _, parent = await back_end(scene, office)
    user_pass = accounts.mint_user_pass(parent, "bob", 10 * PASS_LIFETIME_S_MAX)
    longest_us = PASS_LIFETIME_S_MAX * MICROS_PER_SECOND
    assert user_pass.expires_us == scene.clock.now_us() + longest_us


async def test_neither_a_plain_key_nor_a_pass_mints_passes(scene: Scene, office: Office) -> None:
    accounts, _, parent = await back_end(scene, office)
    plain = await accounts.verify(bearer((await office.key()).secret))
    user_pass = accounts.mint_user_pass(parent, "bob", MINUTE_S)
    for principal in (plain, await accounts.verify(bearer(user_pass.text))):
        with pytest.raises(NotPermitted):
            accounts.mint_user_pass(principal, "bob", MINUTE_S)


async def test_passes_of_a_key_that_may_no_longer_act_for_users_are_refused(
    scene: Scene, office: Office
) -> None:
    accounts, created, parent = await back_end(scene, office)
    user_pass = accounts.mint_user_pass(parent, "bob", MINUTE_S)
    async with office.postgres.connection(10) as connection:
        await connection.execute("UPDATE accounts.version SET number = number + 1")
        await connection.execute(
            "UPDATE accounts.credentials SET acts_for_users = false,"
            " version = (SELECT number FROM accounts.version)"
        )
    await accounts.refresh()
    assert not (await accounts.verify(bearer(created.secret))).acts_for_users
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(user_pass.text))


async def test_a_pass_signed_for_another_organization_than_its_keys_is_refused(
    scene: Scene, office: Office
) -> None:
    accounts, created, _ = await back_end(scene, office)
    stranger = await office.admin.create_org("globex")
    claims = PassClaims(
        org_id=stranger.org_id,
        credential_id=created.key.credential_id,
        user=1,
        expires_us=scene.clock.now_us() + MICROS_PER_SECOND,
    )
    user_pass = PassSigner(scene.keyring).sign(claims)
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(user_pass.text))


async def test_a_pass_of_another_installation_is_refused_without_a_query(
    scene: Scene, office: Office
) -> None:
    accounts, created, parent = await back_end(scene, office)
    foreign = Keyring.open(scene.folder / "foreign.json", SystemRandomness())
    claims = PassClaims(
        org_id=parent.org_id,
        credential_id=created.key.credential_id,
        user=1,
        expires_us=scene.clock.now_us() + MICROS_PER_SECOND,
    )
    before = queries()
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(PassSigner(foreign).sign(claims).text))
    assert queries() == before


async def test_claims_cannot_be_changed_under_a_signature(scene: Scene, office: Office) -> None:
    accounts, _, parent = await back_end(scene, office)
    user_pass = accounts.mint_user_pass(parent, "bob", MINUTE_S)
    _, _, signature = user_pass.text.partition(".")
    claims = PassClaims(
        org_id=parent.org_id,
        credential_id=parent.credential_id,
        user=user_number(scene.keyring.identity, parent.org_id, "alice"),
        expires_us=user_pass.expires_us,
    )
    body = urlsafe_b64encode(msgspec.msgpack.encode(claims)).rstrip(b"=").decode()
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(f"up-axon-{body}.{signature}"))


async def test_a_pass_whose_key_is_unknown_cannot_be_told_in_an_outage(
    scene: Scene, office: Office, postgres_server: EmbeddedServer
) -> None:
    other = await scene.process(scene.options("other.json"))
    accounts, _, parent = await back_end(scene, office)
    user_pass = accounts.mint_user_pass(parent, "bob", MINUTE_S)
    postgres_server.kill()
    await accounts.verify(bearer(user_pass.text))
    with pytest.raises(AccountsUnavailable):
        await other.verify(bearer(user_pass.text))
    with pytest.raises(InvalidCredential):
        await other.verify(bearer(user_pass.text[:-1]))


class FixedKeyring(Keyring):
    """The same secrets each time, and no file."""

    def __init__(self) -> None:
        pass

    def derive(self, purpose: str) -> bytes:
        return purpose.encode().ljust(32, b"\0")


CLAIMS = PassClaims(org_id="org_1", credential_id="key_1", user=2**63 - 1, expires_us=1)
SIGNED = PassSigner(FixedKeyring()).sign(CLAIMS).text.encode()


def test_a_signed_pass_reads_back() -> None:
    assert PassSigner(FixedKeyring()).read(SIGNED) == CLAIMS


@given(
    st.integers(len("up-axon-"), len(SIGNED) - 1),
    st.integers(1, 255),
)
def test_no_byte_of_a_pass_can_change(place: int, change: int) -> None:
    changed = bytearray(SIGNED)
    changed[place] ^= change
    with pytest.raises(InvalidCredential):
        PassSigner(FixedKeyring()).read(bytes(changed))


@given(st.binary())
def test_nothing_but_a_signed_pass_is_one(text: bytes) -> None:
    with pytest.raises(InvalidCredential):
        PassSigner(FixedKeyring()).read(b"up-axon-" + text)
