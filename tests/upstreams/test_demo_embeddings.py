from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from openai.types import CreateEmbeddingResponse

from lib.upstreams.demo_embeddings import vector
from tests.upstreams.demo_forwarding import asked, forwarded, refused, sdk

PATH = "/embeddings"


def cosine(one: str, other: str, dimensions: int = 256) -> float:
    return sum(a * b for a, b in zip(vector(one, dimensions), vector(other, dimensions), strict=True))


def test_the_sdk_reads_both_encodings_alike() -> None:
    texts = ["the cat sat on the mat", "Ahoy 🌊"]
    with sdk() as client:
        default = client.embeddings.create(model="m", input=texts)
        raw = client.embeddings.with_raw_response.create(model="m", input=texts, encoding_format="float")
    floats = CreateEmbeddingResponse.model_validate_json(raw.content, strict=True)
    assert [each.index for each in floats.data] == [0, 1]
    assert [len(each.embedding) for each in default.data] == [256, 256]
    for one, other in zip(default.data, floats.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding)
    assert floats.usage.prompt_tokens == floats.usage.total_tokens == 8
    assert floats.model == "m"


@pytest.mark.parametrize("text", ["a", "the cat sat", "  ", "🌊", [1, 2, 3], [0], "\ud800"])
@pytest.mark.parametrize("dimensions", [1, 3, 256, 3072])
def test_every_vector_has_the_length_one(text: Any, dimensions: int) -> None:
    found = vector(text, dimensions)
    assert len(found) == dimensions
    assert sum(value * value for value in found) == pytest.approx(1, abs=1e-5)
    assert found == vector(text, dimensions)


def test_similar_texts_are_nearer() -> None:
    question = "How do I reset my password?"
    near, far = "I forgot my password, how can it be reset", "The recipe needs two eggs and flour"
    assert cosine(question, near) > cosine(question, far) + 0.2
    assert abs(cosine(question, far, dimensions=16)) < 0.5, "places are shared, signs tell the texts apart"
    assert cosine("colour", "colours") > cosine("colour", "engine") + 0.3
    assert cosine("Straße", "STRASSE") == pytest.approx(1, abs=1e-5)


def test_dimensions_are_honoured() -> None:
    with sdk() as client:
        assert len(client.embeddings.create(model="m", input="a", dimensions=1024).data[0].embedding) == 1024


@pytest.mark.parametrize(("input", "count"), [([1, 2, 3], 1), ([[1, 2], [3]], 2), (["a", "b"], 2), ("a", 1)])
def test_all_kinds_of_input_are_taken(input: Any, count: int) -> None:
    body = msgspec.json.decode(asked(PATH, model="m", input=input)[1])
    assert len(body["data"]) == count
    assert len({tuple(each["embedding"]) for each in body["data"]}) == count


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": ""}, "input", "empty_string"),
        ({"input": ["a", ""]}, "input", "empty_string"),
        ({"input": []}, "input", "empty_array"),
        ({"input": {"text": "a"}}, "input", "invalid_type"),
        ({"input": [1, "a"]}, "input", "invalid_type"),
        ({"input": [True]}, "input", "invalid_type"),
        ({"input": [[]]}, "input", "invalid_type"),
        ({"input": [-1]}, "input", "invalid_type"),
        ({"input": ["a"] * 2049}, "input", "array_above_max_length"),
        ({"input": "a " * 8193}, "input", "context_length_exceeded"),
        ({"input": " " * 1_000_000}, "input", "context_length_exceeded"),
        ({"input": [1] * 8193}, "input", "context_length_exceeded"),
        ({"input": ["a " * 8000] * 40}, "input", "context_length_exceeded"),
        ({"dimensions": 0}, "dimensions", "integer_below_min_value"),
        ({"dimensions": 3073}, "dimensions", "integer_above_max_value"),
        ({"dimensions": "3"}, "dimensions", "invalid_type"),
        ({"encoding_format": "hex"}, "encoding_format", "invalid_value"),
    ],
)
def test_what_the_api_refuses_is_refused(members: dict[str, Any], param: str, code: str) -> None:
    error = refused(PATH, **{"model": "m", "input": "a", **members})
    assert (error.status, error.param, error.code) == (400, param, code)


def test_the_largest_input_takes_little_time_and_comes_in_pieces() -> None:
    text = "".join(f"word{number} " for number in range(8000))
    content = msgspec.json.encode({"input": [text] * 5, "encoding_format": "base64", "dimensions": 3072})
    began = time.process_time()
    _, pieces = forwarded(PATH, content)
    assert time.process_time() - began < 3
    assert len(pieces) == 6
