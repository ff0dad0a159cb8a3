"""What the backend's API layer asks of input items."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from tests.fakes import codex_errors as errors
from tests.fakes.tokens import is_sealed

Fields = Mapping[str, Any]

_ITEM = frozenset({"type", "id", "status"})
KEYS: dict[str, frozenset[str]] = {
    "message": _ITEM | {"role", "content", "phase"},
    "function_call": _ITEM | {"call_id", "name", "arguments"},
    "function_call_output": _ITEM | {"call_id", "output"},
    "custom_tool_call": _ITEM | {"call_id", "name", "input"},
    "custom_tool_call_output": _ITEM | {"call_id", "output"},
    "local_shell_call": _ITEM | {"call_id", "action"},
    "local_shell_call_output": _ITEM | {"call_id", "output"},
    "tool_search_call": _ITEM | {"call_id", "execution", "arguments"},
    "tool_search_output": _ITEM | {"call_id", "execution", "tools"},
    "reasoning": _ITEM | {"summary", "content", "encrypted_content"},
    "web_search_call": _ITEM | {"action"},
    "image_generation_call": _ITEM
    | {"action", "background", "output_format", "quality", "result", "revised_prompt", "size"},
    "compaction": _ITEM | {"encrypted_content"},
    "compaction_trigger": frozenset({"type"}),
}
PARTS: dict[str, frozenset[str]] = {
    "input_text": frozenset({"type", "text"}),
    "input_image": frozenset({"type", "image_url", "detail"}),
    "input_file": frozenset({"type", "filename", "file_data", "file_url"}),
    "output_text": frozenset({"type", "text", "annotations", "logprobs"}),
    "refusal": frozenset({"type", "refusal"}),
}
PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "web_search_call": "ws",
    "image_generation_call": "ig",
}
ANSWERED = {
    "function_call": "function call",
    "custom_tool_call": "custom tool call",
    "local_shell_call": "local shell call",
    "tool_search_call": "tool search call",
}
"""Calls that need an output later in the input."""
OUTPUTS = {
    "function_call_output": "function_call",
    "custom_tool_call_output": "custom_tool_call",
    "local_shell_call_output": "local_shell_call",
    "tool_search_output": "tool_search_call",
}
_MAGIC = {
    "jpeg": (b"\xff\xd8\xff",),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "gif": (b"GIF87a", b"GIF89a"),
    "webp": (b"RIFF",),
}


def check_items(items: list[Any], account_id: str, modalities: list[str]) -> None:
    """Every item by itself, then calls against outputs. Raises Refused."""
    for index, item in enumerate(items):
        path = f"input[{index}]"
        if not isinstance(item, dict):
            errors.bad_type(path, "an object")
        _check_item(item, path, account_id)
        if item["type"] == "message":
            _check_message(item, path, modalities)
        elif item["type"] in OUTPUTS:
            _check_output(item, path, modalities)
    _check_pairs(items)


def _check_item(item: Fields, path: str, account_id: str) -> None:
    kind = item.get("type")
    if kind == "item_reference":
        _not_persisted(item.get("id"))
    if kind not in KEYS:
        errors.bad_value(f"{path}.type", kind, sorted(KEYS))
    for key in item.keys() - KEYS[kind]:
        errors.unknown_key(f"{path}.{key}")
    if item.get("status", "completed") not in ("in_progress", "completed", "incomplete"):
        errors.bad_value(f"{path}.status", item["status"], ["in_progress", "completed", "incomplete"])
    if "id" in item:
        _check_id(item, path)
    if "call_id" in KEYS[kind]:
        _check_call(item, path)
    if kind in ("reasoning", "compaction"):
        _check_sealed(item, path, account_id)
    elif kind == "web_search_call":
        action = item.get("action")
        if not isinstance(action, dict) or action.get("type") not in ("search", "open_page", "find_in_page"):
            errors.bad_value(f"{path}.action.type", action, ["search", "open_page", "find_in_page"])


def _check_id(item: Fields, path: str) -> None:
    value, kind = item["id"], item["type"]
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", value):
        errors.api(f"Invalid '{path}.id': '{value}'.", param=f"{path}.id", code="invalid_value")
    if len(value) > 64:
        errors.too_long(f"{path}.id", 64, len(value))
    prefix = PREFIXES.get(kind, "")
    if not value.startswith(prefix):
        message = f"Invalid '{path}.id': '{value}'. Expected an ID that begins with '{prefix}'."
        errors.api(message, param=f"{path}.id", code="invalid_value")


def _check_call(item: Fields, path: str) -> None:
    call_id = item.get("call_id")
    if not isinstance(call_id, str) or not call_id:
        errors.missing(f"{path}.call_id")
    if len(call_id) > 64:
        errors.too_long(f"{path}.call_id", 64, len(call_id))
    for key in ("name", "arguments", "input"):
        if key in KEYS[item["type"]] and item["type"] in ("function_call", "custom_tool_call"):
            if not isinstance(item.get(key), str):
                errors.bad_type(f"{path}.{key}", "a string")
    if "name" in item:
        check_name(item["name"], f"{path}.name")


def check_name(name: object, path: str) -> None:
    """A tool's name: 1 to 64 of letters, digits, underscore and hyphen."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z0-9_-]+", name):
        message = f"Invalid '{path}': string does not match pattern. Expected a string that matches '^[a-zA-Z0-9_-]+$'."
        errors.api(message, param=path, code="invalid_value")
    if len(name) > 64:
        errors.too_long(path, 64, len(name))


def _check_sealed(item: Fields, path: str, account_id: str) -> None:
    value = item.get("encrypted_content")
    if value is None:
        if "id" in item:
            _not_persisted(item["id"])
        errors.missing(f"{path}.encrypted_content")
    if item["type"] == "reasoning" and not isinstance(item.get("summary"), list):
        errors.missing(f"{path}.summary")
    if not is_sealed(value, account_id):
        short = f"{str(value)[:4]}...{str(value)[-3:]}"
        message = f"The encrypted content {short} could not be verified."
        errors.api(message, code="invalid_encrypted_content")


def _not_persisted(item_id: object) -> None:
    message = (
        f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. "
        "Try again with `store` set to true, or remove this item from your input."
    )
    errors.api(message, param="input", status=404)


def _check_message(item: Fields, path: str, modalities: list[str]) -> None:
    role = item.get("role")
    if role not in ("user", "assistant", "developer"):
        errors.bad_value(f"{path}.role", role, ["user", "assistant", "developer"])
    if "phase" in item and (role != "assistant" or item["phase"] not in ("commentary", "final_answer")):
        errors.bad_value(f"{path}.phase", item["phase"], ["commentary", "final_answer"])
    if not isinstance(item.get("content"), list):
        errors.bad_type(f"{path}.content", "a list of parts")
    allowed = ["output_text", "refusal"] if role == "assistant" else ["input_text", "input_image", "input_file"]
    for number, part in enumerate(item["content"]):
        _check_part(part, f"{path}.content[{number}]", allowed, modalities)


def _check_output(item: Fields, path: str, modalities: list[str]) -> None:
    if item["type"] == "tool_search_output":
        return
    output = item.get("output")
    if isinstance(output, list):
        for number, part in enumerate(output):
            _check_part(part, f"{path}.output[{number}]", ["input_text", "input_image", "input_file"], modalities)
    elif not isinstance(output, str):
        errors.bad_type(f"{path}.output", "a string or a list of parts")


def _check_part(part: Any, path: str, allowed: list[str], modalities: list[str]) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind not in allowed:
        errors.bad_value(path, kind, allowed)
    for key in part.keys() - PARTS[kind]:
        errors.unknown_key(f"{path}.{key}")
    if kind in ("input_text", "output_text") and not isinstance(part.get("text"), str):
        errors.bad_type(f"{path}.text", "a string")
    if kind == "refusal" and not isinstance(part.get("refusal"), str):
        errors.bad_type(f"{path}.refusal", "a string")
    if kind == "input_image":
        if "image" not in modalities:
            errors.bad_value(path, kind, ["input_text"])
        if part.get("detail", "auto") not in ("auto", "low", "high", "original"):
            errors.bad_value(f"{path}.detail", part["detail"], ["auto", "low", "high", "original"])
        check_image(part.get("image_url"), f"{path}.image_url")
    if kind == "input_file":
        _check_file(part, path)


def check_image(url: object, path: str) -> None:
    """An http(s) URL is taken as text; a data URL must hold the picture that it says."""
    if not isinstance(url, str):
        errors.bad_type(path, "an image URL, but got an object")
    if re.match(r"https?://[^\s/]+", url):
        return
    head, _, data = url.partition(",")
    kind = re.fullmatch(r"data:image/(jpeg|png|gif|webp);base64", head)
    try:
        content = base64.b64decode(data, validate=True)
    except binascii.Error:
        content = b""
    if kind is None or not content.startswith(_MAGIC[kind[1]]) or (kind[1] == "webp" and content[8:12] != b"WEBP"):
        message = (
            "The image data you provided does not represent a valid image. Please check your input and try again with "
            "one of the supported image formats: ['image/jpeg', 'image/png', 'image/gif', 'image/webp']."
        )
        errors.api(message, param=path, code="invalid_value")


def _check_file(part: Fields, path: str) -> None:
    data, url = part.get("file_data"), part.get("file_url")
    if (data is None) == (url is None):
        errors.missing(f"{path}.file_data")
    if data is not None and not re.match(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/=]+$", str(data)):
        errors.api(f"Invalid '{path}.file_data'.", param=f"{path}.file_data", code="invalid_value")
    if data is not None and not isinstance(part.get("filename"), str):
        errors.missing(f"{path}.filename")


def _check_pairs(items: list[Fields]) -> None:
    open_calls: dict[tuple[str, str], None] = {}
    seen: set[tuple[str, str]] = set()
    for item in items:
        kind = item["type"]
        if kind in ANSWERED:
            open_calls[kind, item["call_id"]] = None
            seen.add((kind, item["call_id"]))
        elif kind in OUTPUTS:
            key = (OUTPUTS[kind], item["call_id"])
            if key not in seen:
                name = ANSWERED[OUTPUTS[kind]]
                message = f"No tool call found for {name} output with call_id {item['call_id']}."
                errors.api(message, param="input")
            open_calls.pop(key, None)
    for kind, call_id in open_calls:
        errors.api(f"No tool output found for {ANSWERED[kind]} {call_id}.", param="input")
