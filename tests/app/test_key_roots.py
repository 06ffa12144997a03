"""The root that the settings name, with tokens and credentials that others renew."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from axon.app.key_roots import key_roots
from axon.app.settings import KeysSettings
from axon.base import SystemClock, SystemRandomness
from axon.sealing import KeyContext, Keyring, KeyringRefused, KeyRootRefused
from tests.sealing.root_servers import CREDENTIALS, FakeKms, FakeVault

RANDOM = SystemRandomness()
PLACE = KeyContext("eu", "org_1", "okek_1")
SECRET = bytes(32)


@pytest.fixture
def kms_url() -> Iterator[str]:
    with FakeKms().serving() as url:
        yield url


async def test_credentials_in_a_file_are_read_for_each_call(
    keyring: Keyring, kms_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "aws.json"
    settings = KeysSettings(
        root="aws-kms",
        aws_region="eu-central-1",
        aws_url=kms_url,
        aws_credentials_path=str(path),
    )
    roots, gate = key_roots(settings, keyring, SystemClock(), RANDOM)
    assert gate is not None
    lent = {
        "Version": 1,
        "AccessKeyId": CREDENTIALS.access_key_id,
        "SecretAccessKey": "ended",
        "SessionToken": CREDENTIALS.session_token,
    }
    for content, why in (
        (None, "No such file"),
        ("{}", "does not hold credentials"),
        (json.dumps(lent), "InvalidSignatureException"),
    ):
        if content is not None:
            path.write_text(content)
        gate._probe_at = None
        with pytest.raises(KeyRootRefused, match=why) as refused:
            await roots.wrapping.wrap(SECRET, PLACE)
        assert "ended" not in str(refused.value)
    path.write_text(json.dumps(lent | {"SecretAccessKey": CREDENTIALS.secret_access_key}))
    gate._probe_at = None
    wrapped = await roots.wrapping.wrap(SECRET, PLACE)
    assert await roots.unwrap(wrapped, PLACE) == SECRET


async def test_what_the_keyring_or_another_root_wrapped_opens_under_either(
    keyring: Keyring, kms_url: str
) -> None:
    vault = FakeVault()
    with vault.serving() as url:
        both = KeysSettings(
            vault_url=url,
            vault_token=vault.token,
            vault_namespace="team",
            aws_region="eu-central-1",
            aws_url=kms_url,
            aws_access_key_id=CREDENTIALS.access_key_id,
            aws_secret_access_key=CREDENTIALS.secret_access_key,
            aws_session_token=CREDENTIALS.session_token,
        )
        local, gate = key_roots(both, keyring, SystemClock(), RANDOM)
        assert gate is None
        wrapped = [await one.wrap(SECRET, PLACE) for one in local._all]
        assert sorted(one.root for one in wrapped) == [
            "aws-kms:alias/axon", "local", "vault:transit/axon",
        ]  # fmt: skip
        assert [await local.unwrap(one, PLACE) for one in wrapped] == [SECRET] * 3
        for one in wrapped:
            assert (await local.moved(one, PLACE, PLACE)).root == "local"


def test_a_file_of_authorities_that_is_not_there_is_named(keyring: Keyring) -> None:
    settings = KeysSettings(root="vault", vault_url="https://vault", ca_path="/nowhere.pem")
    with pytest.raises(KeyringRefused, match=r"/nowhere\.pem"):
        key_roots(settings, keyring, SystemClock(), RANDOM)
