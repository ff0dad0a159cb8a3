from __future__ import annotations

from lib.web.openapi_answers import ANSWERS
from lib.web.openapi_operations import OPERATIONS, Operation, Stream
from lib.web.openapi_requests import REQUESTS


def test_every_schema_that_is_named_exists_and_every_one_is_used_by_somebody() -> None:
    for operation in OPERATIONS.values():
        assert operation.answer is None or operation.answer in ANSWERS
        assert operation.stream is None or operation.stream.event in ANSWERS
        assert {schema for schema, _ in operation.requests.values()} <= set(REQUESTS)


def test_a_body_is_there_where_something_is_sent() -> None:
    for (method, path), operation in OPERATIONS.items():
        assert bool(operation.requests) == (method == "POST" and not path.endswith("/cancel")), path
        assert all(examples for _, examples in operation.requests.values()), path


def test_answers_are_listed_by_content_type() -> None:
    operation = Operation("Sound", "Pong", stream=Stream("SpeechEvent", "data: x"), others={"audio/wav": {}})
    answers = operation.answers()
    assert list(answers) == ["application/json", "audio/wav", "text/event-stream"]
    assert answers["text/event-stream"]["example"] == "data: x"
    assert operation.members() == {"tags": ["Sound"]}


def test_an_answers_example_stands_beside_its_schema() -> None:
    answers = Operation("Health", "Pong", example={"message": "pong"}).answers()
    assert answers["application/json"] == {
        "schema": {"$ref": "#/components/schemas/Pong"},
        "example": {"message": "pong"},
    }


def test_examples_have_plain_names_in_the_document() -> None:
    [media] = OPERATIONS["POST", "/v1/chat/completions"].members()["requestBody"]["content"].values()
    assert "streamed-with-usage" in media["examples"]
