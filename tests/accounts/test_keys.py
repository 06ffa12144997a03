import pytest

from axon.accounts import InvalidCredential, Principal
from axon.base import MICROS_PER_SECOND
from tests.accounts.scene import Office, Scene, bearer, queries


async def test_a_key_stands_for_its_user_and_is_known_from_then_on(
    scene: Scene, office: Office
) -> None:
    created = await office.key()
    accounts = await scene.process()
    assert accounts.known(bearer(created.secret)) is None
    principal = await accounts.verify(bearer(created.secret))
    assert principal == Principal(
        org_id=office.user.org_id,
        credential_id=created.key.credential_id,
        user=office.user.user,
        acts_for_users=False,
        permissions=frozenset({"auditor"}),
        tier="gold",
        region="eu",
    )
    assert accounts.known(bearer(created.secret)) is principal
    assert await accounts.verify(bearer(created.secret)) is principal


async def test_a_key_made_before_the_process_started_needs_no_look_up(
    scene: Scene, office: Office
) -> None:
    created = await office.key()
    accounts = await scene.process()
    before = queries()
    await accounts.verify(bearer(created.secret))
    assert queries() == before


async def test_a_key_made_a_moment_ago_is_looked_up(scene: Scene, office: Office) -> None:
    accounts = await scene.process()
    created = await office.key()
    before = queries()
    assert (await accounts.verify(bearer(created.secret))).user == office.user.user
    assert queries() == before + 1


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer sk-proj-something-of-another-house",
        b"Basic sk-axon-00",
        b"sk-axon-00",
        b"\xff\xfe Bearer",
        b"Bearer sk-axon-" + b"0" * 512,
        b"Bearer up-axon-",
        b"Bearer up-axon-.",
        b"Bearer up-axon-AAAA.AAAA",
        b"Bearer up-axon-\xff.\xff",
    ],
)
async def test_what_cannot_be_a_key_is_refused_without_a_query(
    scene: Scene, authorization: bytes
) -> None:
    accounts = await scene.process()
    before = queries()
    with pytest.raises(InvalidCredential):
        await accounts.verify(authorization)
    assert queries() == before
    assert accounts.known(authorization) is None


async def test_an_almost_right_key_is_refused(scene: Scene, office: Office) -> None:
    created = await office.key()
    accounts = await scene.process()
    await accounts.verify(bearer(created.secret))
    for wrong in (created.secret[:-1], created.secret + "0", created.secret.upper()):
        with pytest.raises(InvalidCredential):
            await accounts.verify(bearer(wrong))


async def test_the_scheme_is_read_in_any_case(scene: Scene, office: Office) -> None:
    created = await office.key()
    accounts = await scene.process()
    principal = await accounts.verify(b"bearer  " + created.secret.encode())
    assert principal.user == office.user.user


async def test_an_expired_key_is_refused(scene: Scene, office: Office) -> None:
    accounts = await scene.process()
    created = await office.key(expires_us=scene.clock.now_us())
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(created.secret))


async def test_a_remembered_key_expires(scene: Scene, office: Office) -> None:
    created = await office.key(expires_us=scene.clock.now_us() + 10 * MICROS_PER_SECOND)
    lasting = await office.key()
    accounts = await scene.process()
    await accounts.verify(bearer(created.secret))
    await accounts.verify(bearer(lasting.secret))
    scene.clock.turn(9.0)
    await accounts.refresh()
    assert accounts.known(bearer(created.secret))
    scene.clock.turn(1.0)
    await accounts.refresh()
    assert accounts.known(bearer(created.secret)) is None
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(created.secret))
    before = queries()
    await accounts.verify(bearer(lasting.secret))
    assert queries() == before


async def test_no_more_headers_than_cache_max_are_remembered(scene: Scene, office: Office) -> None:
    secrets = [(await office.key()).secret for _ in range(5)]
    accounts = await scene.process(scene.options(cache_max=3))
    for secret in secrets:
        await accounts.verify(bearer(secret))
    remembered = [secret for secret in secrets if accounts.known(bearer(secret))]
    assert remembered == secrets[-3:]
    await accounts.verify(bearer(secrets[0]))
