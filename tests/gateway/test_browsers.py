"""What a browser is told with every answer, and which pages' scripts may read one."""

import pytest

from axon.gateway.safe_headers import PAGE, always
from tests.gateway.conftest import RunningAxon
from tests.gateway.flag_calls import FlagCalls

PAGE_THAT_MAY = "https://chat.example.com"
PAGE_THAT_MAY_NOT = "https://app.example.com"
"""It may ask for flags, which is another list."""


@pytest.fixture
def call(axon: RunningAxon) -> FlagCalls:
    return FlagCalls(axon)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models", 200),
        ("GET", "/healthz", 200),
        ("GET", "/status", 200),
        ("GET", "/v1/nothing-here", 404),
        ("POST", "/v1/responses", 400),
        ("DELETE", "/v1/models", 405),
        ("POST", "/ofrep/v1/evaluate/flags", 200),
    ],
)
def test_every_answer_is_taken_for_what_it_says_and_kept_by_nobody(
    call: FlagCalls, method: str, path: str, status: int
) -> None:
    answer = call(method, path, {} if method == "POST" else None)
    assert answer.status == status
    for name, value in always(tls=False):
        assert answer.headers[name.decode()] == value.decode()
    kept = answer.headers["cache-control"]
    assert kept == ("no-cache" if path.startswith("/ofrep") else "no-store")
    assert "strict-transport-security" not in answer.headers, "there is no TLS here"


def test_a_stream_and_a_refused_head_say_so_too(call: FlagCalls) -> None:
    turn = {"model": "fake-model", "input": "hello", "stream": True}
    with call._asked("POST", "/v1/responses", turn, None) as answer:
        assert answer.getheader("x-content-type-options") == "nosniff"
        assert answer.getheader("cache-control") == "no-cache"
        answer.read()
    headers = {f"x-{number}": "1" for number in range(200)}
    with call._asked("GET", "/v1/models", None, headers) as answer:
        assert answer.status == 431
        assert answer.getheader("x-content-type-options") == "nosniff"
        assert answer.getheader("cache-control") == "no-store"


def test_with_tls_a_browser_insists_on_it() -> None:
    assert (b"strict-transport-security", b"max-age=31536000") in always(tls=True)


def test_a_page_runs_nothing_and_stands_in_no_other_page() -> None:
    told = dict(PAGE)
    assert b"frame-ancestors 'none'" in told[b"content-security-policy"]
    assert told[b"content-security-policy"].startswith(b"default-src 'none'")
    assert told[b"x-frame-options"] == b"DENY" and told[b"referrer-policy"] == b"no-referrer"


def test_a_page_that_may_asks_with_all_that_an_sdk_sends(call: FlagCalls) -> None:
    asks = {
        "origin": PAGE_THAT_MAY,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-os",
    }
    told = FlagCalls(call.axon, "")("OPTIONS", "/v1/responses", None, asks)
    assert told.status == 204
    assert told.headers["access-control-allow-origin"] == PAGE_THAT_MAY
    assert told.headers["access-control-allow-headers"] == asks["access-control-request-headers"]
    assert "DELETE" in told.headers["access-control-allow-methods"]
    user_pass = call("POST", "/v1/user_passes", {"user": "ada"}).body["value"]
    turn = {"model": "fake-model", "input": "hello"}
    answer = FlagCalls(call.axon, user_pass)(
        "POST", "/v1/responses", turn, {"origin": PAGE_THAT_MAY}
    )
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == PAGE_THAT_MAY
    assert answer.headers["access-control-expose-headers"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/models", "/healthz", "/status"])
def test_no_other_page_reads_an_answer(call: FlagCalls, path: str) -> None:
    for origin in (PAGE_THAT_MAY_NOT, "null", ""):
        answer = call("GET", path, None, {"origin": origin})
        assert answer.status == 200
        assert not [name for name in answer.headers if name.startswith("access-control")]
    asks = {"origin": PAGE_THAT_MAY_NOT, "access-control-request-method": "POST"}
    assert call("OPTIONS", path, None, asks).status == 405


def test_names_that_are_none_are_not_repeated(call: FlagCalls) -> None:
    asks = {
        "origin": PAGE_THAT_MAY,
        "access-control-request-method": "POST",
        "access-control-request-headers": "x: y",
    }
    told = call("OPTIONS", "/v1/responses", None, asks)
    assert told.status == 204 and "access-control-allow-headers" not in told.headers
