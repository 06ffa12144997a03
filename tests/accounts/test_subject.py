from axon.base import user_number
from tests.accounts.scene import Office, Scene, bearer


async def test_a_key_that_acts_for_users_names_the_person(scene: Scene, office: Office) -> None:
    accounts = await scene.process()
    principal = await accounts.verify(bearer((await office.key(acts_for_users=True)).secret))
    number = user_number(scene.keyring.identity, office.user.org_id, "bob")
    assert accounts.subject(principal, "bob") == number
    assert accounts.subject(principal, "carol") != number


async def test_without_a_name_the_subject_is_the_keys_own_user(
    scene: Scene, office: Office
) -> None:
    accounts = await scene.process()
    principal = await accounts.verify(bearer((await office.key(acts_for_users=True)).secret))
    assert accounts.subject(principal, None) == office.user.user
    assert accounts.subject(principal, "") == office.user.user


async def test_the_name_is_ignored_when_the_key_may_not_act_for_users(
    scene: Scene, office: Office
) -> None:
    accounts = await scene.process()
    principal = await accounts.verify(bearer((await office.key()).secret))
    assert accounts.subject(principal, "bob") == office.user.user


async def test_a_pass_is_for_its_own_person_whatever_the_request_names(
    scene: Scene, office: Office
) -> None:
    accounts = await scene.process()
    parent = await accounts.verify(bearer((await office.key(acts_for_users=True)).secret))
    user_pass = accounts.mint_user_pass(parent, "bob", 60)
    principal = await accounts.verify(bearer(user_pass.text))
    assert accounts.subject(principal, "carol") == accounts.subject(parent, "bob")


async def test_one_name_is_two_people_in_two_organizations(scene: Scene, office: Office) -> None:
    accounts = await scene.process()
    first = await accounts.verify(bearer((await office.key(acts_for_users=True)).secret))
    await office.admin.register_key("sk-axon-globex", "globex", "alice")
    second = await accounts.verify(b"Bearer sk-axon-globex")
    assert accounts.subject(first, "bob") != accounts.subject(second, "bob")


async def test_a_named_user_is_reached_by_its_name(scene: Scene, office: Office) -> None:
    accounts = await scene.process()
    principal = await accounts.verify(bearer((await office.key(acts_for_users=True)).secret))
    assert accounts.subject(principal, "alice") == office.user.user
