"""The document itself: valid OpenAPI 3.1, whole, and with something to say about every route."""

import json
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from axon.gateway import openapi_document, routes
from axon.gateway.openapi_answers import ANSWERS, NO_CONTENT, STREAMS
from axon.gateway.openapi_bodies import BODIES

DRAFT = "https://json-schema.org/draft/2020-12/schema"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(openapi_document())
    return made


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    jsonschema_rs.validate(OPENAPI_31, document)
    without = {name: value for name, value in document.items() if name != "info"}
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(OPENAPI_31, without)


def test_every_schema_is_one_and_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({**schema, "$schema": DRAFT})
    text = json.dumps(document)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"], name


def test_every_route_is_in_it_and_says_what_it_does(document: dict[str, Any]) -> None:
    found = operations(document)
    assert len(found) == len(routes())
    for (method, path), operation in found.items():
        assert operation["summary"].endswith("."), f"{method} {path}"
        if operation["operationId"].replace("_send", ".send", 1) in NO_CONTENT:
            assert "content" not in operation["responses"]["204"], f"{method} {path}"
        else:
            assert operation["responses"]["200"]["content"], f"{method} {path}"
    names = [operation["operationId"] for operation in found.values()]
    assert len(set(names)) == len(names)


def test_the_tables_name_no_operation_that_is_gone(document: dict[str, Any]) -> None:
    there = {operation["operationId"] for operation in operations(document).values()}
    for table in (ANSWERS, BODIES, STREAMS):
        assert {name.replace(".", "_") for name in table} <= there


def test_every_body_has_an_example_that_fits_its_schema(document: dict[str, Any]) -> None:
    seen = 0
    for operation in operations(document).values():
        if "requestBody" not in operation:
            continue
        media = operation["requestBody"]["content"]["application/json"]
        schema = {**media["schema"], "components": document["components"]}
        assert media["example"]
        jsonschema_rs.validate(schema, media["example"])
        seen += 1
    assert seen == len(BODIES)
