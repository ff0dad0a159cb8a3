"""Schemas of requests, read out of the tables of the dialects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lib.dialects import chat_request, images_request, messages_request, responses_request
from lib.dialects.fields import Table
from lib.dialects.forward import ENDPOINTS
from lib.errors import InvalidRequest
from lib.scoped_keys import Limits
from lib.web import openapi_requests as requests
from lib.web.minting import limits_of
from lib.web.openapi_shapes import Schema

TABLES = [
    ("ChatRequest", chat_request.FIELDS, requests.CHAT_MEMBERS),
    ("ResponsesRequest", responses_request.FIELDS, requests.RESPONSES_MEMBERS),
    ("MessagesRequest", messages_request.FIELDS, requests.MESSAGES_MEMBERS),
    ("ImageRequest", images_request.GENERATION, {}),
    ("ImageEditRequest", images_request.EDIT, requests.EDIT_MEMBERS),
]


@pytest.mark.parametrize(("name", "rows", "members"), TABLES)
def test_every_parameter_of_the_table_is_there_with_its_treatment(
    name: str, rows: Table, members: Mapping[str, Schema]
) -> None:
    schema = requests.REQUESTS[name]
    assert set(schema["properties"]) == set(rows)
    assert set(members) <= set(rows)
    assert schema["required"] == [row.name for row in rows.values() if row.required]
    for row in rows.values():
        described = schema["properties"][row.name]
        assert described["x-treatment"] == row.treatment.value
        assert row.reason in described["description"]


def test_types_bounds_and_choices_are_those_of_the_checks() -> None:
    found = requests.REQUESTS["ChatRequest"]["properties"]
    heat, effort, stop = found["temperature"], found["reasoning_effort"], found["stop"]
    assert (heat["type"], heat["minimum"], heat["maximum"]) == (["number", "null"], 0, 2)
    assert effort["enum"][0] == "none"
    assert effort["enum"][-1] is None
    assert (stop["type"], stop["maxItems"]) == (["string", "array", "null"], 4)
    assert "Without effect: `1`." in heat["description"]
    assert found["n"]["description"].startswith("Refused: there is one choice.")
    assert found["messages"]["type"] == "array"


def test_token_counts_need_no_limit_of_tokens() -> None:
    counted = requests.REQUESTS["CountTokensRequest"]
    assert counted["required"] == ["messages"]
    assert "max_tokens" not in counted["properties"]


@pytest.mark.parametrize("path", ENDPOINTS)
def test_forwarded_bodies_need_what_the_gateway_checks(path: str) -> None:
    endpoint = ENDPOINTS[path]
    schema = requests.forwarded_schema(endpoint)
    assert set(endpoint.required) <= set(schema["required"])
    assert ("model" in schema["required"]) == endpoint.needs_model
    assert ("file" in schema["required"]) == endpoint.takes_form
    assert set(schema["required"]) <= set(schema["properties"])


@pytest.mark.parametrize(
    ("member", "good", "bad"),
    [
        ("models", [["*"], ["a" * 200, "gpt-5*"]], [[], [""], ["a" * 201], ["a,b"], ["a b"], "gpt", [1]]),
        ("endpoints", [["chat", "/v1/audio/*"]], [[], [""], "chat"]),
        ("days", [0.5, 3650], [0, -1, 3651, "1"]),
        ("expires_at", [2**48], [-1, 2**48 + 1, 0.5, "0"]),
        ("not_before", [0, 2**48], [-1, 2**48 + 1, 0.5]),
        ("label", ["a", "é" * 64], ["", "a" * 65, 1]),
        ("requests_per_minute", [1, 100_000], [0, 100_001, 1.5]),
    ],
)
def test_a_new_keys_limits_are_described_as_they_are_checked(member: str, good: list[Any], bad: list[Any]) -> None:
    schema = Draft202012Validator(dict(requests.REQUESTS["KeyRequest"]))
    for value in [*good, None]:
        schema.validate({member: value})
        limits_of({member: value}, 0)
    for value in bad:
        assert not schema.is_valid({member: value}), value
        with pytest.raises(InvalidRequest):
            limits_of({member: value}, 0)


def test_a_new_keys_limits_are_all_described() -> None:
    assert set(requests.KEY_MEMBERS) == {*Limits.__struct_fields__, "days"}
    with pytest.raises(InvalidRequest, match=", ".join(requests.KEY_MEMBERS)):
        limits_of({"unheard-of": 1}, 0)


def test_further_members_are_those_of_forwarded_endpoints() -> None:
    assert set(requests.FORWARDED_MEMBERS) == set(ENDPOINTS)
