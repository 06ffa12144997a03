"""Where webhooks may never be sent, however it is spelled."""

import pytest

from axon.alerts import Allowed, UnusableUrl
from axon.alerts.guard import addresses_of, may_be_reached, target_of
from tests.alerts.receiver import LOOPBACK

NOTHING = Allowed()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "192.88.99.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:0:0:0:0:80ff:fffe",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "nonsense",
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not may_be_reached(address, NOTHING)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::808:808"]
)
def test_a_public_address_may_be_reached(address: str) -> None:
    assert may_be_reached(address, NOTHING)


def test_a_setting_allows_a_network_and_no_more() -> None:
    assert may_be_reached("127.0.0.1", LOOPBACK)
    assert may_be_reached("::ffff:127.0.0.1", LOOPBACK)
    assert not may_be_reached("10.0.0.1", LOOPBACK)
    assert not may_be_reached("::1", LOOPBACK)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]"]
)
async def test_other_spellings_of_this_machine_are_refused(host: str) -> None:
    with pytest.raises(UnusableUrl):
        await addresses_of(target_of(f"https://{host}/", NOTHING), NOTHING)


async def test_a_name_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UnusableUrl, match="not known"):
        await addresses_of(target_of("https://nobody.invalid/", NOTHING), NOTHING)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:word@example.com/",
        "https://@example.com/",
        "https://example.com/#part",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://[::1/",
        "https://exa mple.com/",
        "https://example.com/\r\nx: y",
        "https://exämple.com/",
        "https://example.com/" + "a" * 2048,
        "",
    ],
)
def test_an_url_that_is_not_plain_https_is_refused(url: str) -> None:
    with pytest.raises(UnusableUrl):
        target_of(url, NOTHING)


def test_http_is_allowed_by_a_setting_only() -> None:
    target = target_of("http://example.com/x?y=1", Allowed(http=True))
    assert (target.host, target.port, target.path) == ("example.com", 80, "/x?y=1")
    assert not target.tls
    assert target_of("https://example.com:8443", NOTHING).authority == "example.com:8443"
    assert target_of("https://[2606::1]/", NOTHING).authority == "[2606::1]"
