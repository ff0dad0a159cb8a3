from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lib.errors import InvalidRequest
from tests.upstreams.demo_requests import events, request, response, text


def test_formats_get_fitting_json() -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    wanted = {"format": {"type": "json_schema", "name": "s", "schema": schema}}
    assert msgspec.json.decode(text(request(text=wanted))) == {"ok": True}
    assert msgspec.json.decode(text(request(text={"format": {"type": "json_object"}})))["you_said"] == "Ahoy 🌊"


def test_a_malformed_schema_is_the_callers_fault() -> None:
    wanted = {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object", "properties": 7}}}
    with pytest.raises(InvalidRequest):
        events(request(text=wanted))


@pytest.mark.parametrize("stop", ["upstream", ["zzz", "upstream"]])
def test_stop_sequences_end_the_text(stop: Any) -> None:
    assert text(request(parameters={"stop": stop})) == "Hello from the demo "
    assert text(request(parameters={"stop": "Hello"})) == ""


def test_no_reasoning_unless_asked_or_when_the_budget_is_small() -> None:
    asked = {"effort": "high"}
    assert [item["type"] for item in response(request(reasoning=asked))["output"]] == ["reasoning", "message"]
    assert len(response(request(reasoning={"effort": "none", "summary": "auto"}))["output"]) == 1
    assert len(response(request(reasoning=asked, parameters={"max_output_tokens": 2}))["output"]) == 1
