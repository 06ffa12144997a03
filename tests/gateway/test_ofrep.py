"""OFREP 0.3.0: single and bulk, ETag, the stream of changes, errors and what a person may see."""

import pytest

from tests.gateway.conftest import RunningAxon
from tests.gateway.flag_calls import FlagCalls, flag, fresh, person


@pytest.fixture
def call(axon: RunningAxon) -> FlagCalls:
    return FlagCalls(axon)


def test_one_flag_says_what_and_why(call: FlagCalls) -> None:
    key = fresh("single")
    call.put(key, flag("on", metadata={"team": "red"}))
    answer = call.evaluate(key, targetingKey="ada")
    assert answer.status == 200
    assert answer.body == {
        "key": key,
        "reason": "STATIC",
        "variant": "on",
        "value": "yes",
        "metadata": {"team": "red", "axon.version": 1},
    }
    call.put(key, flag("on", state="DISABLED"))
    off = call.evaluate(key)
    assert off.status == 200 and off.body["reason"] == "DISABLED"
    assert "value" not in off.body and off.body["variant"] == ""


def test_errors_are_those_of_the_protocol(axon: RunningAxon, call: FlagCalls) -> None:
    key = fresh("held-out")
    held_out = {"axon.holdout": "some", "axon.holdout_percent": 10}
    assert call.put(key, flag("on", metadata=held_out)).status == 200
    path = f"/ofrep/v1/evaluate/flags/{key}"
    assert call.evaluate(key).body["errorCode"] == "TARGETING_KEY_MISSING"
    assert call.evaluate(key).status == 400
    missing = call.evaluate(fresh("none"))
    assert (missing.status, missing.body["errorCode"]) == (404, "FLAG_NOT_FOUND")
    for body, code in ((b"{", "PARSE_ERROR"), (b'{"context": 5}', "INVALID_CONTEXT")):
        refused = call("POST", path, body)
        assert (refused.status, refused.body["errorCode"]) == (400, code)
        assert refused.body["errorDetails"]
        assert call("POST", "/ofrep/v1/evaluate/flags", body).body["errorCode"] == code
    assert call("POST", path, b"").body["errorCode"] == "TARGETING_KEY_MISSING"
    assert call.evaluate(key, targetingKey=5).body["errorCode"] == "INVALID_CONTEXT"
    wrong = FlagCalls(axon, "sk-axon-wrong").evaluate(key)
    assert wrong.status == 401 and wrong.body["errorDetails"]
    other = FlagCalls(axon, "")("POST", path, {}, {"x-api-key": axon.api_key})
    assert other.status == 400  # the key is known, and the person is missing
    assert call("GET", path).status == 405


def test_a_client_that_has_it_already_is_told_so(call: FlagCalls) -> None:
    key = fresh("bulk")
    call.put(key, flag("on"))
    first = call.evaluate_all(targetingKey="ada")
    assert first.status == 200
    said = {one["key"]: one for one in first.body["flags"]}
    assert said[key]["value"] == "yes"
    tag = first.headers["etag"]
    same = call.evaluate_all(tag, targetingKey="ada")
    assert (same.status, same.body, same.headers["etag"]) == (304, None, tag)
    assert call.evaluate_all(f'"other", W/{tag}', targetingKey="ada").status == 304
    call.put(key, flag("off"))
    again = call.evaluate_all(tag, targetingKey="ada")
    assert again.status == 200 and again.headers["etag"] != tag


def test_a_change_is_told_over_the_stream_whose_url_an_answer_has(
    axon: RunningAxon, call: FlagCalls
) -> None:
    key = fresh("streamed")
    call.put(key, flag("on"))
    (stream,) = call.evaluate_all(targetingKey="ada").body["eventStreams"]
    assert stream["type"] == "sse" and stream["inactivityDelaySec"] > 0
    uri = stream["endpoint"]["requestUri"]
    again = call.evaluate_all(targetingKey="bob").body["eventStreams"][0]
    assert again["endpoint"]["requestUri"] == uri  # or every client would connect anew
    anybody = FlagCalls(axon, "")  # an EventSource sends no key
    with anybody.stream(uri) as events:
        first = events.event()
        assert first["type"] == "refetchEvaluation"
        number = call.put(key, flag("off")).body["number"]
        told = events.event()
        assert told["etag"] == f'"{number}"'
        fresh_answer = call.evaluate_all(query=f"?flagConfigEtag=%22{number}%22")
        assert {one["key"]: one.get("variant") for one in fresh_answer.body["flags"]}[key] == "off"


@pytest.mark.parametrize("query", ["", "?token=", "?token=0123456789abcdef", "?token=%FF"])
def test_nobody_listens_without_the_url(axon: RunningAxon, query: str) -> None:
    answer = FlagCalls(axon, "")("GET", f"/ofrep/v1/events{query}")
    assert answer.status == 401
    assert "token" in answer.body["errorDetails"]


def test_a_person_sees_what_is_meant_for_clients_and_speaks_for_nobody_else(
    axon: RunningAxon, call: FlagCalls
) -> None:
    hidden, shown = fresh("hidden"), fresh("shown")
    ada = {"if": [{"==": [{"var": "targetingKey"}, "ada"]}, "on", "off"]}
    metadata = {"client_side": True, "axon.experiment": "secret"}
    call.put(hidden, flag("on"))
    call.put(shown, flag("off", targeting=ada, metadata=metadata))
    assert call.evaluate(shown, targetingKey="ada").body["variant"] == "on"
    someone = person(axon)
    assert someone.evaluate(hidden).body["errorCode"] == "FLAG_NOT_FOUND"
    said = someone.evaluate(shown, targetingKey="ada").body  # a claim
    assert said["variant"] == "off"
    assert said["metadata"] == {"client_side": True}
    keys = {one["key"] for one in someone.evaluate_all().body["flags"]}
    assert shown in keys and hidden not in keys


def test_where_somebody_is_the_server_says(axon: RunningAxon, call: FlagCalls) -> None:
    key = fresh("regional")
    rule = {"if": [{"==": [{"var": "region"}, "eu"]}, "on", "off"]}
    call.put(key, flag("off", targeting=rule))
    assert call.evaluate(key, region="eu").body["variant"] == "off"


@pytest.mark.parametrize("origin", ["https://app.example.com", "https://other.example.com"])
def test_a_page_that_may_asks_from_its_own_origin(call: FlagCalls, origin: str) -> None:
    asks = {"origin": origin, "access-control-request-method": "POST"}
    path = "/ofrep/v1/evaluate/flags"
    told = FlagCalls(call.axon, "")("OPTIONS", path, None, asks)  # a browser sends no key with it
    assert told.status == 204
    assert told.headers["access-control-allow-origin"] == origin
    assert "if-none-match" in told.headers["access-control-allow-headers"]
    answer = call("POST", path, {}, {"origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["vary"] == "origin"
    refused = FlagCalls(call.axon, "")("POST", path, {}, {"origin": origin})
    assert refused.status == 401 and refused.headers["access-control-allow-origin"] == origin


@pytest.mark.parametrize("path", ["/ofrep/v1/evaluate/flags", "/v1/models"])
def test_no_other_page_reads_an_answer(call: FlagCalls, path: str) -> None:
    origin = "https://evil.example.com" if path.startswith("/ofrep") else "https://app.example.com"
    asks = {"origin": origin, "access-control-request-method": "POST"}
    assert call("OPTIONS", path, None, asks).status == 405
    method = "POST" if path.startswith("/ofrep") else "GET"
    answer = call(method, path, {} if method == "POST" else None, {"origin": origin})
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
