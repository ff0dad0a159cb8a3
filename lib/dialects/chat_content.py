"""The content of chat messages → canonical content parts.

Content is a string or a list of parts. Besides the parts of Chat Completions (`text`, `image_url`, `input_audio`,
`file`, `refusal`) those of Responses (`input_text`, `output_text`, `input_image`, `input_file`) are taken, because
clients that replay histories mix the two. Keys that only other services know (`cache_control`, …) are left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lib.dialects.fields import missing, one_of, string, wrong_type, wrong_value
from lib.dialects.image_urls import check_image_url, check_web_url
from lib.errors import InvalidRequest

Part = dict[str, Any]
_DETAIL = one_of("auto", "low", "high", "original")
_CONTENT = "a string or an array of content parts"
_THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_text"})
"""Parts in which other gateways replay reasoning; there is no way to hand it on."""


def input_parts(content: Any, param: str) -> list[Part]:
    """The parts of a message that is put to the model."""
    if type(content) is str:
        return [{"type": "input_text", "text": content}]
    parts = _each(content, param)
    if not parts:
        raise InvalidRequest(f"Invalid '{param}': an empty array; send at least one part.", param=param, code="empty")
    return [_part(_INPUT, part, f"{param}[{index}]") for index, part in enumerate(parts)]


def assistant_parts(content: Any, param: str) -> list[Part]:
    """The parts of a message of the model; none for null, an empty string or an empty list."""
    if content is None or content == "":
        return []
    if type(content) is str:
        return [{"type": "output_text", "text": content}]
    return [
        _part(_ASSISTANT, part, f"{param}[{index}]")
        for index, part in enumerate(_each(content, param))
        if not (type(part) is dict and type(part.get("type")) is str and part["type"] in _THOUGHTS)
    ]


def output_of(content: Any, param: str) -> str | list[Part]:
    """A tool's output: a string as it is, a list as parts. Tools that return nothing send null or an empty list."""
    if content is None:
        return ""
    if type(content) is str:
        return content
    parts = _each(content, param)
    return [_part(_INPUT, part, f"{param}[{index}]") for index, part in enumerate(parts)] or ""


def _each(content: Any, param: str) -> list[Any]:
    if type(content) is not list:
        raise wrong_type(param, _CONTENT, content)
    return content


def _part(kinds: Mapping[str, Callable[[Part, str], Part]], part: Any, param: str) -> Part:
    if type(part) is not dict:
        raise wrong_type(param, "an object", part)
    kind = part.get("type")
    if kind is None:
        raise missing(f"{param}.type")
    make = kinds.get(string(kind, f"{param}.type"))
    if make is None:
        expected = "one of " + ", ".join(f"'{name}'" for name in kinds)
        raise wrong_value(f"{param}.type", expected, kind)
    return make(part, param)


def _member(part: Part, name: str, param: str) -> str:
    value = part.get(name)
    if type(value) is str:
        return value
    if value is None:
        raise missing(f"{param}.{name}")
    raise wrong_type(f"{param}.{name}", "a string", value)


def _input_text(part: Part, param: str) -> Part:
    return {"type": "input_text", "text": _member(part, "text", param)}


def _output_text(part: Part, param: str) -> Part:
    return {"type": "output_text", "text": _member(part, "text", param)}


def _refusal(part: Part, param: str) -> Part:
    return {"type": "refusal", "refusal": _member(part, "refusal", param)}


def _image(part: Part, param: str) -> Part:
    """`image_url` is an object, or the bare URL as many clients send it; `input_image` may name a file instead."""
    image = part.get("image_url")
    if image is None and type(part.get("file_id")) is str:
        found: Part = {"type": "input_image", "file_id": part["file_id"]}
    else:
        url = image.get("url") if type(image) is dict else image
        if url is None:
            raise missing(f"{param}.image_url")
        check_image_url(url, f"{param}.image_url")
        found = {"type": "input_image", "image_url": url}
    detail = image.get("detail") if type(image) is dict else None
    if detail is None:
        detail = part.get("detail")
    if detail is not None:
        found["detail"] = _DETAIL(detail, f"{param}.image_url.detail")
    return found


def _audio(part: Part, param: str) -> Part:
    audio = part.get("input_audio")
    if type(audio) is not dict:
        raise wrong_type(f"{param}.input_audio", "an object", audio)
    where = f"{param}.input_audio"
    return {
        "type": "input_audio",
        "input_audio": {"data": _member(audio, "data", where), "format": _member(audio, "format", where)},
    }


def _file(part: Part, param: str) -> Part:
    """`file` nests its members, `input_file` has them beside the type."""
    param, file = (f"{param}.file", part.get("file")) if part["type"] == "file" else (param, part)
    if type(file) is not dict:
        raise wrong_type(param, "an object", file)
    found: Part = {"type": "input_file"}
    for name in ("filename", "file_data", "file_id", "file_url"):
        if file.get(name) is not None:
            found[name] = _member(file, name, param)
    if "file_url" in found:
        check_web_url(found["file_url"], f"{param}.file_url")
    if not (found.get("file_data") or found.get("file_id") or found.get("file_url")):
        raise missing(f"{param}.file_data")
    return found


_INPUT: Mapping[str, Callable[[Part, str], Part]] = {
    "text": _input_text,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "input_text": _input_text,
    "output_text": _input_text,
    "input_image": _image,
    "input_file": _file,
}
_ASSISTANT: Mapping[str, Callable[[Part, str], Part]] = {
    "text": _output_text,
    "refusal": _refusal,
    "input_text": _output_text,
    "output_text": _output_text,
}
