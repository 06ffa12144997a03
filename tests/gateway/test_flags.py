"""`/v1/flags`: changes, their history, errors that name the place, and who may."""

import pytest

from tests.gateway.conftest import RunningAxon
from tests.gateway.flag_calls import FlagCalls, flag, fresh, person


@pytest.fixture
def call(axon: RunningAxon) -> FlagCalls:
    return FlagCalls(axon)


def test_a_flag_is_made_changed_archived_and_rolled_back(call: FlagCalls) -> None:
    key = fresh("tone")
    assert call("GET", f"/v1/flags/{key}").status == 404
    made = call.put(key, flag("on"), why="a try", version=0)
    assert made.status == 200 and made.body["versions"] == {key: 1}
    assert call.put(key, flag("off"), why="too loud").body["versions"] == {key: 2}
    shown = call("GET", f"/v1/flags/{key}").body
    assert (shown["version"], shown["archived"], shown["origin"]) == (2, False, "api")
    assert shown["definition"] == flag("off")
    assert call("DELETE", f"/v1/flags/{key}?why=done&version=2").body["versions"] == {key: 3}
    assert call.evaluate(key).status == 404
    listed = {one["key"] for one in call("GET", "/v1/flags").body["data"]}
    everything = {one["key"] for one in call("GET", "/v1/flags?archived=true").body["data"]}
    assert key not in listed and key in everything
    rolled = call("POST", f"/v1/flags/{key}/rollback", {"why": "no", "version": 1})
    assert rolled.body["versions"] == {key: 4}
    assert call.evaluate(key).body["value"] == "yes"
    page = call("GET", f"/v1/flags/{key}/history?limit=3").body
    assert [one["action"] for one in page["data"]] == ["rolled_back", "archived", "edited"]
    edited = page["data"][2]
    assert (edited["why"], edited["before"], edited["after"]) == (
        *("too loud", flag("on"), flag("off")),
    )
    assert edited["by"].startswith("key_") and page["has_more"]
    rest = call("GET", f"/v1/flags/{key}/history?after={page['last_id']}").body
    assert [one["action"] for one in rest["data"]] == ["created"] and not rest["has_more"]


def test_a_document_is_taken_whole_or_not_at_all(call: FlagCalls) -> None:
    one, other = fresh("one"), fresh("other")
    rule = fresh("vip")
    document = {
        "flags": {
            one: flag("off", targeting={"if": [{"$ref": rule}, "on", "off"]}),
            other: flag("on"),
        },
        "$evaluators": {rule: {"==": [{"var": "plan"}, "pro"]}},
        "metadata": {"team": "red"},
        "why": "a release",
    }
    assert call("POST", "/v1/flags", document).status == 200
    assert call.evaluate(one, plan="pro").body["variant"] == "on"
    assert call.evaluate(one, plan="free").body["variant"] == "off"
    assert call.evaluate(one).body["metadata"]["team"] == "red"
    assert call("GET", f"/v1/flags/${rule}").body["version"] == 1
    broken = {"flags": {other: flag("off"), one: flag("on", targeting={"nonsense": []})}}
    refused = call("POST", "/v1/flags", broken)
    assert refused.status == 400
    error = refused.body["error"]
    assert error["code"] == "invalid_flag"
    assert error["param"].startswith(f'$.flags["{one}"].targeting')
    assert call.evaluate(other).body["variant"] == "on"
    gone = call("DELETE", f"/v1/flags/${rule}")  # a flag still needs it
    assert gone.status == 400 and one in gone.body["error"]["param"]


def test_what_cannot_be_is_refused_with_the_place(call: FlagCalls) -> None:
    key = fresh("wrong")
    assert call.put(key, 5).status == 400
    assert call.put(key, {"state": "ON"}).body["error"]["param"] == f'$.flags["{key}"].state'
    assert call.put(key, flag(), version=3).body["error"]["code"] == "flag_changed"
    assert call.put("a%2Fb", flag()).status == 404
    assert call.put("a%20b", flag()).status == 404
    assert call.put(key, flag(), why="x" * 1001).body["error"]["code"] == "invalid_value"
    assert call.put(key, flag(), at="2026-12-01T09:00:00").body["error"]["param"] == "at"
    assert call("DELETE", f"/v1/flags/{key}").status == 404
    assert call("POST", f"/v1/flags/{key}/rollback", {}).status == 404
    assert call("DELETE", "/v1/flag_schedules/fls_none").status == 404
    assert call("GET", "/v1/flags?archived=perhaps").status == 400
    assert call("PATCH", f"/v1/flags/{key}").status == 405
    twice = b'{"flags": {"x": {"state": "ENABLED", "state": "DISABLED"}}}'
    assert "twice" in call("POST", "/v1/flags", twice).body["error"]["message"]


def test_a_change_for_later_is_shown_and_called_off(call: FlagCalls) -> None:
    key = fresh("later")
    call.put(key, flag("on"))
    planned = call.put(key, flag("off"), at="2099-12-01T09:00:00+01:00", why="at night").body
    assert planned["versions"] == {} and call.evaluate(key).body["variant"] == "on"
    (waiting,) = call("GET", f"/v1/flags/{key}").body["scheduled"]
    assert (waiting["id"], waiting["why"]) == (planned["schedule_id"], "at night")
    assert waiting["at"] == 4_099_795_200 and waiting["wanted"] == {key: flag("off")}
    assert call("DELETE", f"/v1/flag_schedules/{waiting['id']}").status == 200
    assert call("GET", f"/v1/flags/{key}").body["scheduled"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/flags"),
        ("POST", "/v1/flags"),
        ("GET", "/v1/flags/x"),
        ("PUT", "/v1/flags/x"),
        ("DELETE", "/v1/flags/x"),
        ("GET", "/v1/flags/x/history"),
        ("POST", "/v1/flags/x/rollback"),
        ("DELETE", "/v1/flag_schedules/x"),
    ],
)
def test_who_has_not_the_permission_neither_sees_nor_changes_flags(
    axon: RunningAxon, method: str, path: str, stranger: FlagCalls
) -> None:
    assert stranger(method, path, {} if method in ("POST", "PUT") else None).status == 403
    passes = FlagCalls(axon)("POST", "/v1/user_passes", {"user": "ada"})
    holder = FlagCalls(axon, passes.body["value"])
    assert holder(method, path, {} if method in ("POST", "PUT") else None).status == 403


def test_the_permission_is_enough(axon: RunningAxon) -> None:
    key = fresh("permitted")
    assert person(axon, "flags").put(key, flag("on")).status == 200


@pytest.fixture(scope="module")
def stranger(axon: RunningAxon) -> FlagCalls:
    return person(axon)
