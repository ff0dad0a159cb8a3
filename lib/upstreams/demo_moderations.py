"""`/moderations` of the demo upstream: the shape of an answer without a judgement.

Nothing is ever flagged and every score is zero, because a list of words would judge wrongly and look as if it did not.
"""

from __future__ import annotations

from typing import Any

from lib.errors import InvalidRequest
from lib.upstreams.demo_fields import Made, Members, json_answer, missing, wrong_type, wrong_value

MAX_INPUTS = 2048

_TEXT_ONLY = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening"),
    *("illicit", "illicit/violent", "sexual/minors"),
)
_TEXT_AND_IMAGES = (
    *("self-harm", "self-harm/intent", "self-harm/instructions"),
    *("sexual", "violence", "violence/graphic"),
)
CATEGORIES = tuple(sorted((*_TEXT_ONLY, *_TEXT_AND_IMAGES)))

_PARTS = {"text": "text", "image_url": "image"}
"""Type of a part → the type of input that it is."""


def moderations(content: bytes, *, answer_id: str) -> Made:
    """One result for each input; parts of one multimodal input have one in common. Raises InvalidRequest."""
    members = Members.of_json(content)
    model = members.model()
    results = [_result(types) for types in _inputs(members)]
    return json_answer({"id": f"modr-{answer_id}", "model": model, "results": results}, members)


def _inputs(members: Members) -> list[frozenset[str]]:
    """Which types of input each of the inputs has."""
    value = members.take("input")
    if value is None:
        raise missing("input")
    text = frozenset(["text"])
    if isinstance(value, str):
        return [text]
    if not isinstance(value, list):
        raise wrong_type("input", "a string, or an array of strings or parts", value)
    if not value:
        raise wrong_value("input", "at least one input", value, code="empty_array")
    if len(value) > MAX_INPUTS:
        raise InvalidRequest(
            f"Invalid 'input': expected at most {MAX_INPUTS} inputs, but got {len(value)}.",
            param="input",
            code="array_above_max_length",
        )
    if all(isinstance(each, str) for each in value):
        return [text] * len(value)
    return [frozenset(_part_type(part, f"input[{at}]") for at, part in enumerate(value))]


def _part_type(part: Any, param: str) -> str:
    if not isinstance(part, dict):
        raise wrong_type(param, "an object with a type", part)
    kind = part.get("type")
    if kind not in ("text", "image_url"):
        raise wrong_value(f"{param}.type", "one of 'text', 'image_url'", kind)
    body = part.get(kind)
    if kind == "image_url":
        body, kind_param = (body.get("url") if isinstance(body, dict) else body), f"{param}.image_url.url"
    else:
        kind_param = f"{param}.text"
    if body is None:
        raise missing(kind_param)
    if not isinstance(body, str):
        raise wrong_type(kind_param, "a string", body)
    return _PARTS[kind]


def _result(types: frozenset[str]) -> dict[str, Any]:
    return {
        "flagged": False,
        "categories": dict.fromkeys(CATEGORIES, False),
        "category_scores": dict.fromkeys(CATEGORIES, 0.0),
        "category_applied_input_types": {category: _applied(category, types) for category in CATEGORIES},
    }


def _applied(category: str, types: frozenset[str]) -> list[str]:
    able = ("text",) if category in _TEXT_ONLY else ("text", "image")
    return [each for each in able if each in types]
