from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lib.types import Trace
from lib.web.emf import DIMENSIONS, with_metrics
from lib.web.logs import configure, log_problem, log_request


def traced(**fields: Any) -> Trace:
    given = {
        "method": "GET",
        "path": "/v1/models/whatever-a-caller-made-up",
        "endpoint": "/v1/models/{id}",
        "dialect": "chat",
        "upstream": "codex",
        "accounts": ["a1-3f9c2b"],
        "status": 200,
        "first_byte_at": 100.5,
        "output_tokens": 7,
    }
    return Trace("r", 100.0, **{**given, **fields})


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in capsys.readouterr().err.splitlines()]


def test_the_line_of_a_request_is_a_metric(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "emf")
    log_request(traced(), now=102.0)
    [line] = lines(capsys)
    assert (line["event"], line["request_id"], line["duration_s"], line["ttfb_s"]) == ("request.done", "r", 2.0, 0.5)
    assert [line[name] for name in DIMENSIONS] == ["/v1/models/{id}", "chat", "codex", "2xx"]
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "chat2api"
    assert directive["Dimensions"] == [list(DIMENSIONS), []]
    assert {each["Name"] for each in directive["Metrics"]} == {
        "duration_s",
        "ttfb_s",
        "output_tokens",
        "attempts",
        "errors",
    }
    assert all(isinstance(line[each["Name"]], int | float) for each in directive["Metrics"])
    assert line["_aws"]["Timestamp"] > 1_600_000_000_000


def test_other_lines_are_plain_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "emf")
    log_problem("PROXY", "must be an address")
    [line] = lines(capsys)
    assert line == {
        "event": "settings.problem",
        "level": "warning",
        "variable": "PROXY",
        "problem": "must be an address",
    }


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({}, 0),
        ({"status": 502, "error": "upstream_error"}, 1),
        ({"status": 200, "error": "upstream_stalled"}, 1),
        ({"status": 401, "error": "invalid_api_key"}, 0),
        ({"status": 499, "error": "client_closed"}, 0),
    ],
)
def test_only_failures_of_the_gateway_and_its_upstreams_are_errors(fields: dict[str, Any], errors: int) -> None:
    assert with_metrics({}, traced(**fields), at=1.0)["errors"] == errors


def test_dimensions_are_never_empty_and_never_what_a_caller_wrote() -> None:
    made = with_metrics({}, traced(endpoint="", dialect="", upstream="", status=404, path="/x"), at=1.0)
    assert [made[name] for name in DIMENSIONS] == ["none", "none", "none", "4xx"]


def test_counts_that_are_no_numbers_are_no_metrics() -> None:
    made = with_metrics({"input_tokens": "many", "output_tokens": True}, traced(), at=1.0)
    names = [each["Name"] for each in made["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    assert names == ["errors"]
