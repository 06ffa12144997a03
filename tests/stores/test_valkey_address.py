from pathlib import Path

import pytest

from axon.stores import BadAddress
from axon.stores.valkey_address import DEFAULT_PORT, read_address
from tests.stores.tls_proxy import make_certificate


def test_reads_every_part() -> None:
    address = read_address("redis://axon:s%2Fcret@valkey.internal:7000/3")
    assert (address.host, address.port, address.path) == ("valkey.internal", 7000, "")
    assert (address.username, address.password, address.database) == ("axon", "s/cret", 3)
    assert address.tls is None


def test_fills_in_the_usual() -> None:
    address = read_address("redis://")
    assert (address.host, address.port, address.database) == ("localhost", DEFAULT_PORT, 0)
    assert (address.username, address.password) == ("", "")
    assert read_address("redis://:pass@host").password == "pass"


def test_reads_a_unix_socket() -> None:
    address = read_address("unix:///run/a%20b/valkey.sock?db=2&username=axon&password=p%26w")
    assert (address.path, address.host, address.database) == ("/run/a b/valkey.sock", "", 2)
    assert (address.username, address.password) == ("axon", "p&w")


def test_reads_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    options = f"ssl_ca_certs={certificate}&ssl_certfile={certificate}&ssl_keyfile={key}"
    address = read_address(f"rediss://host?{options}")
    assert address.tls is not None and address.tls.check_hostname
    assert read_address("rediss://host").tls is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "host:6379",
        "redis://host:port",
        "redis://host/zero",
        "redis://host?timeout=3",
        "rediss://host?ssl_ca_certs=/missing.pem",
    ],
)
def test_refuses_what_it_does_not_know(url: str) -> None:
    with pytest.raises(BadAddress):
        read_address(url)


def test_never_shows_the_password() -> None:
    with pytest.raises(BadAddress) as caught:
        read_address("redis://user:secret@host:port")
    assert "secret" not in str(caught.value)
