"""Every example of the document against its schema. That they also work is seen in `test_openapi.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from jsonschema import ValidationError

from lib.web import openapi_examples
from lib.web.openapi_operations import EVENTS, OPERATIONS
from tests.web.documented import Demo, data_of, demo, events_of


@dataclass(frozen=True)
class Example:
    where: str
    media: dict[str, Any]
    """The schema, beside which it stands."""
    value: Any
    is_stream: bool


@pytest.fixture(scope="module")
def gateway() -> Iterator[Demo]:
    with demo() as found:
        yield found


def examples(node: Any, where: str = "") -> Iterator[Example]:
    """All of a document, wherever they stand beside a schema."""
    if isinstance(node, list):
        for each in node:
            yield from examples(each, where)
    elif isinstance(node, dict):
        if "schema" in node:
            values = [each["value"] for each in node.get("examples", {}).values()]
            values += [node["example"]] if "example" in node else []
            yield from (Example(where, node, value, where.endswith(EVENTS)) for value in values)
        for name, inner in node.items():
            if name not in ("example", "examples", "schemas"):
                yield from examples(inner, f"{where} {name}")


def test_every_example_fits_its_schema(gateway: Demo) -> None:
    found = list(examples(gateway.document))
    for each in found:
        if each.is_stream:
            events = events_of(each.value.encode())
            assert events, each.where
            for event in events:
                gateway.fits(data_of(each.media), event)
        else:
            gateway.fits(each.media["schema"], each.value)
    operations = OPERATIONS.values()
    requests = sum(len(given) for operation in operations for _, given in operation.requests.values())
    answers = sum((operation.stream is not None) + (operation.example is not None) for operation in operations)
    assert len(found) == requests + answers


def test_every_example_of_the_module_is_in_the_document() -> None:
    given = [value for name, value in vars(openapi_examples).items() if name.isupper() and not name.startswith("_")]
    used = [shown for operation in OPERATIONS.values() for _, shown in operation.requests.values()]
    used += [each for operation in OPERATIONS.values() if (each := operation.example) is not None]
    streams = {operation.stream.example for operation in OPERATIONS.values() if operation.stream is not None}
    assert all(value in streams if isinstance(value, str) else value in used for value in given)


def test_an_example_that_does_not_fit_would_be_seen(gateway: Demo) -> None:
    wrong = {"now": "soon"}
    [found] = examples({"content": {"schema": {"$ref": "#/components/schemas/Status"}, "example": wrong}})
    with pytest.raises(ValidationError):
        gateway.fits(found.media["schema"], found.value)
