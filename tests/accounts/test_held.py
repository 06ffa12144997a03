import msgspec

from axon.accounts.credential import Credential
from axon.accounts.held import HeldCredentials


def credential(number: int, version: int = 1, mac: bytes | None = None) -> Credential:
    return Credential(
        credential_id=f"key_{number}",
        mac=mac or number.to_bytes(32, "big"),
        org_id="org_1",
        user=number,
        acts_for_users=False,
        permissions=("auditor",),
        tier="gold",
        region="eu",
        expires_us=0,
        revoked_us=0,
        version=version,
    )


def test_a_credential_is_found_by_its_hmac_and_by_its_id() -> None:
    held = HeldCredentials(10)
    one = held.put(credential(1))
    assert held.find(one.mac) is one
    assert held.find("key_1") is one
    assert held.find("key_2") is None
    assert held.find(b"\0" * 32) is None


def test_the_newer_version_stays() -> None:
    held = HeldCredentials(10)
    new = held.put(credential(1, version=5))
    assert held.put(credential(1, version=4)) is new
    newer = credential(1, version=6, mac=b"\xff" * 32)
    assert held.put(newer) is newer
    assert held.find(new.mac) is None
    assert held.find(newer.mac) is newer
    assert len(held) == 1


def test_no_more_than_entries_max_are_held_and_the_oldest_goes() -> None:
    held = HeldCredentials(3)
    for number in range(5):
        held.put(credential(number))
    held.put(credential(4, version=2))
    assert [one.credential_id for one in held.all()] == ["key_2", "key_3", "key_4"]
    assert held.find(credential(1).mac) is None
    held.clear()
    assert len(held) == 0


def test_when_a_credential_is_live() -> None:
    assert credential(1).is_live(now_us=10**18)
    ends = msgspec.structs.replace(credential(1), expires_us=100)
    assert ends.is_live(now_us=99)
    assert not ends.is_live(now_us=100)
    assert not msgspec.structs.replace(credential(1), revoked_us=1).is_live(now_us=0)
