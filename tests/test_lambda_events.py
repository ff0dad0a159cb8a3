from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lib.errors import InvalidRequest, PayloadTooLarge
from lib.lambda_events import MAX_ANSWER_BYTES, error_answer, too_large, with_body_bytes
from tests.fakes.lambda_events import FRONT_DOORS, seen_by_client


def answer(body: str) -> dict[str, Any]:
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": body, "isBase64Encoded": False}


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ({}, b""),
        ({"body": None, "isBase64Encoded": False}, b""),
        ({"body": "", "isBase64Encoded": True}, b""),
        ({"body": '{"a":"ü"}'}, '{"a":"ü"}'.encode()),
        ({"body": base64.b64encode(b"\x00\xff").decode(), "isBase64Encoded": True}, b"\x00\xff"),
    ],
)
def test_body_becomes_bytes(event: dict[str, Any], body: bytes) -> None:
    readable = with_body_bytes(event | {"path": "/"})
    assert readable == {"path": "/", "body": body, "isBase64Encoded": False}


@pytest.mark.parametrize("body", ["a", "a===", "eyJ9!", "e y J 9", "eyJ9\n", "é", "\ud800", 7])
def test_damaged_base64_is_refused(body: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        with_body_bytes({"body": body, "isBase64Encoded": True})
    assert caught.value.code == "invalid_body"


def test_lone_surrogate_in_a_body_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        with_body_bytes({"body": '{"text":"\ud800"}'})
    assert "surrogate" in caught.value.message


@pytest.mark.parametrize("door", FRONT_DOORS)
def test_error_is_readable_behind_every_front_door(door: str) -> None:
    event = FRONT_DOORS[door]("GET", "/ping")
    seen = seen_by_client(door, error_answer(event, InvalidRequest("No.", code="nope"), "req_1"))
    assert seen.status == 400
    assert seen.json() == {
        "error": {"message": "No.", "type": "invalid_request_error", "param": None, "code": "nope"},
    }
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["x-request-id"] == "req_1"
    assert seen.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("character", ["a", '"', "\n", "\x01", "é", "\u2028", "😀"])
def test_answer_at_the_limit_passes_and_one_more_character_does_not(character: str) -> None:
    room = MAX_ANSWER_BYTES - len(json.dumps(answer("")))
    fitting = character * (room // (len(json.dumps(character)) - 2))
    assert too_large(answer(fitting)) is None
    error = too_large(answer(fitting + character))
    assert isinstance(error, PayloadTooLarge)
    assert error.code == "response_too_large"
    assert "stream" in error.message
