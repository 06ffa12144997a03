import pytest

from axon.inference import Proxies, UpstreamAddressInvalid
from axon.inference.http.target import locate


@pytest.mark.parametrize(
    ("base_url", "path", "root"),
    [
        ("http://host:9000", "/v1", ""),
        ("http://host:9000/", "/v1", ""),
        ("http://host:9000/v1", "/v1", ""),
        ("http://host:9000/v1/", "/v1", ""),
        ("http://host/api/openai", "/api/openai", "/api/openai"),
        ("http://host/llm/v1", "/llm/v1", "/llm"),
    ],
)
def test_a_bare_origin_means_its_v1(base_url: str, path: str, root: str) -> None:
    target = locate(base_url, "", "", Proxies())
    assert (target.path, target.root) == (path, root)


def test_a_head_names_the_host_and_the_key() -> None:
    target = locate("http://[::1]:8001", "sk-1", "", Proxies())
    assert target.host == "::1"
    assert target.head("POST", "/v1/x") == (
        b"POST /v1/x HTTP/1.1\r\nhost: [::1]:8001\r\ncontent-type: application/json\r\n"
        b"user-agent: axon\r\nauthorization: Bearer sk-1\r\ncontent-length: "
    )
    assert b"host: example.org\r\n" in locate("http://example.org", "", "", Proxies()).head(
        "GET", "/"
    )


@pytest.mark.parametrize(
    "base_url",
    [
        "ftp://host",
        "host:80",
        "http://",
        "http://u:p@host",
        "http://h/?a=1",
        "http://h/#a",
        "http://h:x",
    ],
)
def test_any_other_address_is_refused(base_url: str) -> None:
    with pytest.raises(UpstreamAddressInvalid):
        locate(base_url, "", "", Proxies())


@pytest.mark.parametrize("key", ["a\r\nx: y", "\u00fc"])
def test_a_key_that_is_no_header_is_refused(key: str) -> None:
    with pytest.raises(UpstreamAddressInvalid):
        locate("http://host", key, "", Proxies())


def test_a_proxy_is_used_unless_the_host_is_excepted() -> None:
    proxies = Proxies(http="http://proxy:3128", none_for=("localhost", ".example.org"))
    proxied = locate("http://model.test/v1", "", "", proxies)
    assert proxied.proxy == ("proxy", 3128)
    assert proxied.head("POST", "/v1/x").startswith(b"POST http://model.test:80/v1/x HTTP/1.1\r\n")
    for host in ("localhost", "example.org", "gpu.example.org"):
        assert locate(f"http://{host}", "", "", proxies).proxy is None
    assert locate("https://model.test", "", "", proxies).proxy is None
    assert locate("http://x", "", "", Proxies(http="http://p", none_for=("*",))).proxy is None
