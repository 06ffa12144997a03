"""Flags of other vendors with what their own clients answer: written down, and asked again where
those clients are installed (tests/app/vendors_answers.py)."""

import json
from typing import Any, NamedTuple

from axon.app.flag_import import Imported, import_flags


def imported(vendor: str, document: Any) -> Imported:
    return import_flags(vendor, json.dumps(document).encode())


def feature(*strategies: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"features": [{"name": "f", "enabled": True, "strategies": list(strategies), **rest}]}


def of_rules(*rules: dict[str, Any], default: Any = "none") -> dict[str, Any]:
    return {"features": {"f": {"defaultValue": default, "rules": list(rules)}}}


RANDOM = {"name": "flexibleRollout", "parameters": {"rollout": "5", "stickiness": "random"}}
"""A strategy that cannot be kept."""


class Case(NamedTuple):
    """Somebody, and what the flags answer: null is no answer, so the caller's default."""

    context: dict[str, Any]
    """As the vendor has it, flat."""
    answers: dict[str, Any]


UNLEASH: dict[str, Any] = {
    "version": 2,
    "features": [
        {"name": "all", "enabled": True, "strategies": [{"name": "default"}]},
        {"name": "bare", "enabled": True, "strategies": []},
        {"name": "off", "enabled": False, "strategies": [{"name": "default"}]},
        {
            "name": "people",
            "enabled": True,
            "strategies": [
                {"name": "userWithId", "parameters": {"userIds": "ada, bob"}},
                {"name": "remoteAddress", "parameters": {"IPs": "10.0.0.1"}},
            ],
        },
        {
            "name": "rules",
            "enabled": True,
            "strategies": [
                {
                    "name": "flexibleRollout",
                    "parameters": {"rollout": "100", "stickiness": "default", "groupId": "rules"},
                    "constraints": [
                        {"contextName": "plan", "operator": "NOT_IN", "values": ["free"]},
                        {
                            "contextName": "mail",
                            "operator": "STR_ENDS_WITH",
                            "values": ["@axon.example", "@mill.example"],
                        },
                        {"contextName": "age", "operator": "NUM_GTE", "value": "18"},
                        {
                            "contextName": "version",
                            "operator": "SEMVER_LT",
                            "value": "2.0.0",
                            "inverted": True,
                        },
                        {
                            "contextName": "currentTime",
                            "operator": "DATE_AFTER",
                            "value": "2025-01-01T00:00:00.000Z",
                        },
                    ],
                }
            ],
        },
        {
            "name": "in-segment",
            "enabled": True,
            "strategies": [{"name": "default", "segments": [7]}],
            "dependencies": [{"feature": "people", "enabled": True}],
        },
        {
            "name": "color",
            "enabled": True,
            "strategies": [
                {
                    "name": "default",
                    "constraints": [{"contextName": "plan", "operator": "IN", "values": ["pro"]}],
                    "variants": [
                        {
                            "name": "gold",
                            "weight": 1000,
                            "stickiness": "default",
                            "payload": {"type": "string", "value": "#d4af37"},
                        }
                    ],
                },
                {
                    "name": "gradualRolloutUserId",
                    "parameters": {"percentage": "100", "groupId": "color"},
                },
            ],
            "variants": [
                {
                    "name": "red",
                    "weight": 1000,
                    "payload": {"type": "string", "value": "#f00"},
                },
                {
                    "name": "blue",
                    "weight": 0,
                    "payload": {"type": "string", "value": "#00f"},
                    "overrides": [{"contextName": "userId", "values": ["bob"]}],
                },
            ],
        },
    ],
    "segments": [
        {
            "id": 7,
            "name": "pros in the beta",
            "constraints": [
                {"contextName": "plan", "operator": "IN", "values": ["pro"]},
                {"contextName": "channel", "operator": "STR_CONTAINS", "values": ["beta"]},
            ],
        }
    ],
}

ANSWERS_OF_UNLEASH = [
    Case(
        {},
        {
            "all": True,
            "bare": True,
            "off": None,
            "people": False,
            "rules": False,
            "in-segment": None,
            "color": None,
        },
    ),
    Case({"userId": "ada"}, {"people": True, "in-segment": False, "color": "#f00"}),
    Case(
        {"userId": "bob", "plan": "pro", "channel": "the beta"},
        {"people": True, "in-segment": True, "color": "#d4af37"},
    ),
    Case({"userId": "bob", "plan": "team"}, {"in-segment": False, "color": "#00f"}),
    Case({"userId": "cy", "remoteAddress": "10.0.0.1"}, {"people": True, "color": "#f00"}),
    Case({"userId": "cy", "remoteAddress": "10.0.0.2"}, {"people": False, "in-segment": None}),
    Case(
        {"plan": "pro", "mail": "cy@mill.example", "age": "18", "version": "2.0.0"},
        {"rules": True, "color": "#d4af37"},
    ),
    Case({"mail": "cy@mill.example", "age": "18"}, {"rules": True}),
    Case({"plan": "free", "mail": "cy@mill.example", "age": "18"}, {"rules": False}),
    Case({"mail": "cy@hill.example", "age": "18"}, {"rules": False}),
    Case({"mail": "cy@mill.example", "age": "nine"}, {"rules": False}),
    Case({"mail": "cy@mill.example"}, {"rules": False}),
    Case({"mail": "cy@mill.example", "age": "18", "version": "1.9.9"}, {"rules": False}),
]

GROWTHBOOK: dict[str, Any] = {
    "features": {
        "plain": {"defaultValue": "hello"},
        "nothing": {"defaultValue": None},
        "staff": {
            "defaultValue": False,
            "rules": [
                {"condition": {"id": {"$in": ["ada", "bob"]}}, "force": True},
                {"condition": {"$or": [{"mail.domain": "axon"}, {"team": "core"}]}, "force": True},
            ],
        },
        "limits": {
            "defaultValue": 10,
            "rules": [
                {
                    "condition": {
                        "age": {"$gte": 18, "$lt": 65},
                        "tags": {"$in": ["gold"]},
                        "$not": {"country": {"$in": ["aq", "xx"]}},
                    },
                    "force": 50,
                },
                {"condition": {"app": {"$vgt": "1.9.0"}, "beta": {"$exists": True}}, "force": 20},
                {"condition": {"$nor": [{"since": {"$lt": "2026"}}, {"x": None}]}, "force": 30},
            ],
        },
        "words": {
            "defaultValue": {"greeting": "hi"},
            "rules": [
                {"parentConditions": [{"id": "staff", "condition": {"value": True}, "gate": True}]},
                {
                    "condition": {"team": {"$notInGroup": "makers"}},
                    "variations": [{"greeting": "hi"}, {"greeting": "good day"}],
                    "weights": [0, 1],
                    "key": "words-1",
                },
            ],
        },
        "held": {
            "defaultValue": "default",
            "rules": [
                {
                    "key": "holdout",
                    "variations": ["held", "not"],
                    "weights": [0, 1],
                    "meta": [{"key": "0"}, {"key": "1", "passthrough": True}],
                },
                {"variations": ["a", "b"], "weights": [1, 0], "hashAttribute": "device"},
                {"force": "nobody", "coverage": 0},
                {"variations": ["only"]},
                {"force": "last", "condition": {"id": "cy"}},
            ],
        },
    },
    "savedGroups": {"makers": ["core", "infra"]},
}

ANSWERS_OF_GROWTHBOOK = [
    Case(
        {},
        {
            "plain": "hello",
            "nothing": None,
            "staff": False,
            "limits": 10,
            "words": None,
            "held": "default",
        },
    ),
    Case({"id": "ada"}, {"staff": True, "words": {"greeting": "good day"}, "held": "default"}),
    Case({"id": "cy", "mail": {"domain": "axon"}}, {"staff": True, "held": "last"}),
    Case({"id": "cy", "team": "core"}, {"staff": True, "words": {"greeting": "hi"}}),
    Case({"team": "core"}, {"staff": True, "words": {"greeting": "hi"}}),
    Case({"id": "dee", "team": "art"}, {"staff": False, "words": None}),
    Case({"device": "d1", "id": "cy"}, {"held": "a"}),
    Case({"device": ["d1"], "id": "cy"}, {"held": "last"}),
    Case({"age": 18, "tags": ["gold", "old"]}, {"limits": 50}),
    Case({"age": 18, "tags": "gold"}, {"limits": 50}),
    Case({"age": "18", "tags": "gold"}, {"limits": 10}),
    Case({"age": 65, "tags": "gold"}, {"limits": 10}),
    Case({"age": 18, "tags": ["gold"], "country": "aq"}, {"limits": 10}),
    Case({"app": "1.10.0", "beta": False}, {"limits": 20}),
    Case({"app": "1.9.0", "beta": True}, {"limits": 10}),
    Case({"app": "1.10.0"}, {"limits": 10}),
    Case({"since": "2026-02", "x": 1}, {"limits": 30}),
    Case({"since": "2025-12", "x": 1}, {"limits": 10}),
    Case({"since": 2020, "x": 1}, {"limits": 30}),
]
