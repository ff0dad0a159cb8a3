"""Input items of a Responses request, checked and brought into canonical form.

Clients send items in more shapes than the API documents: messages without a type, plain strings for content, parts in
the spelling of Chat Completions, assistant text replayed as `input_text`. All of these have one meaning and become the
canonical spelling. Everything else in an item (`id`, `status`, `phase`, `encrypted_content`) stays as it is, and so do
items of types that are not listed here: replayed items exceed any list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lib.canonical.request import Item
from lib.dialects.fields import Check, identifier, missing, object_, one_of, shown, string, wrong_value
from lib.dialects.image_urls import check_image_url, check_web_url
from lib.errors import InvalidRequest

_ID = identifier(1024)
_NAME = identifier(256)
_ROLE = one_of("user", "assistant", "system", "developer")
_CONTENT = Check("a string or an array of content parts", (str, list))
_FOREIGN: Mapping[str, Check] = {
    "content": _CONTENT,
    "output": Check("a string, an array or an object", (str, list, dict)),  # a screenshot is an object
}
_OUTPUTS = {
    "function_call_output": "function call",
    "custom_tool_call_output": "custom tool call",
    "local_shell_call_output": "local shell call",
    "tool_search_output": "tool search call",
}
"""Item types that answer a call, with the words for the call in messages."""


def parse_input(value: str | list[Any], asked: dict[str, str], past: Sequence[Item] = ()) -> list[Item]:
    """The canonical items of `input`. `past`: canonical items before them. Raises InvalidRequest, which names the item.

    References to reasoning are left out and noted in `asked`: clients send them with every step of a tool loop, and
    the answer is merely a little poorer without.
    """
    if type(value) is str and value:
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    calls = {item["call_id"] for item in past if _is_call(item)}
    items = []
    for index, item in enumerate(value):
        if _is_thought(item):
            asked["item_reference"] = "item_reference"
        else:
            items.append(_item(item, f"input[{index}]", calls))
    if not items:
        raise wrong_value("input", "a text or at least one item", value)
    return items


def _is_thought(item: Any) -> bool:
    """Whether this refers to a reasoning item of an earlier response."""
    if type(item) is not dict or item.get("type", "item_reference") != "item_reference":
        return False
    if "role" in item or "content" in item:  # a message without its type
        return False
    found = item.get("id")
    return type(found) is str and found.startswith("rs_")


def _is_call(item: Item) -> bool:
    return isinstance(item.get("call_id"), str) and not item["type"].endswith("_output")


def _item(item: Any, param: str, calls: set[str]) -> Item:
    """One item; `calls` holds the call ids met so far and learns this one's."""
    object_(item, param)
    kind = _kind(item, param)
    read = _READERS.get(kind)
    found: Item = _read_foreign(item, param) if read is None else read(item, param)
    call_id = found.get("call_id")
    if call_id is None:
        return found
    _ID(call_id, f"{param}.call_id")
    if kind in _OUTPUTS:
        if call_id not in calls:
            raise InvalidRequest(
                f"No tool call found for {_OUTPUTS[kind]} output with call_id {call_id}.",
                param="input",
                code="invalid_value",
            )
    elif not kind.endswith("_output"):
        calls.add(call_id)
    return found


def _kind(item: Item, param: str) -> str:
    kind = item.get("type")
    if kind is not None:
        return str(string(kind, f"{param}.type"))
    if "role" in item or "content" in item:
        return "message"
    if type(item.get("id")) is str:
        return "item_reference"
    raise missing(f"{param}.type")


def _required(item: Item, name: str, param: str, check: Check) -> Any:
    value = item.get(name)
    if value is None:
        raise missing(f"{param}.{name}")
    return check(value, f"{param}.{name}")


def _read_message(item: Item, param: str) -> Item:
    role = _required(item, "role", param, string)
    if role in ("tool", "function"):
        raise InvalidRequest(
            f"Invalid value for '{param}.role': {shown(role)} is a role of Chat Completions. Send a "
            "'function_call_output' item with the call's 'call_id' instead.",
            param=f"{param}.role",
            code="invalid_value",
        )
    _ROLE(role, f"{param}.role")
    content = _required(item, "content", param, _CONTENT)
    readers = _ASSISTANT_PARTS if role == "assistant" else _INPUT_PARTS
    if type(content) is str:
        parts = [{"type": "output_text" if role == "assistant" else "input_text", "text": content}]
    else:
        parts = _parts(content, f"{param}.content", readers)
    if not parts and role != "assistant":
        raise wrong_value(f"{param}.content", "at least one content part", content)
    return {**item, "type": "message", "content": parts}


def _read_call(text: str) -> Callable[[Item, str], Item]:
    """For calls, whose input is the member `text`."""

    def read(item: Item, param: str) -> Item:
        for name, check in (("call_id", _ID), ("name", _NAME), (text, string)):
            _required(item, name, param, check)
        return item

    return read


def _read_output(item: Item, param: str) -> Item:
    _required(item, "call_id", param, _ID)
    output = _required(item, "output", param, _CONTENT)
    if type(output) is str:
        return item
    return {**item, "output": _parts(output, f"{param}.output", _INPUT_PARTS)}


def _read_foreign(item: Item, param: str) -> Item:
    """An item of a type that is not known here: only what nobody could walk is refused."""
    for name, check in _FOREIGN.items():
        if item.get(name) is not None:
            check(item[name], f"{param}.{name}")
    return item


def _read_reference(item: Item, param: str) -> Item:
    raise InvalidRequest(
        f"'{param}' refers to an item of an earlier response, and this gateway looks up none. Send the item itself, "
        "with the whole conversation in 'input' (in the AI SDK: set the provider option store to false).",
        param=param,
        code="unsupported_value",
    )


_READERS: Mapping[str, Callable[[Item, str], Item]] = {
    "message": _read_message,
    "function_call": _read_call("arguments"),
    "custom_tool_call": _read_call("input"),
    "function_call_output": _read_output,
    "custom_tool_call_output": _read_output,
    "item_reference": _read_reference,
}


# --- Content parts --------------------------------------------------------------------------------------------------

_PartReader = Callable[[Item, str], Item]


def _parts(parts: list[Any], param: str, readers: Mapping[str, _PartReader]) -> list[Item]:
    found = []
    for index, part in enumerate(parts):
        where = f"{param}[{index}]"
        object_(part, where)
        kind = _required(part, "type", where, string)
        read = readers.get(kind)
        if read is None:
            raise wrong_value(f"{where}.type", "one of " + ", ".join(f"'{name}'" for name in readers), kind)
        found.append(read(part, where))
    return found


def _read_input_text(part: Item, param: str) -> Item:
    text = _required(part, "text", param, string)
    # Members of another type of part (annotations, logprobs) have no place in this one.
    return part if part["type"] == "input_text" else {"type": "input_text", "text": text}


def _read_output_text(part: Item, param: str) -> Item:
    text = _required(part, "text", param, string)
    return part if part["type"] == "output_text" else {"type": "output_text", "text": text}


def _read_refusal(part: Item, param: str) -> Item:
    _required(part, "refusal", param, string)
    return part


def _read_image(part: Item, param: str) -> Item:
    """`image_url` is a string here; Chat Completions has it as an object with `url` and `detail`."""
    found = {**part, "type": "input_image"}
    url = found.get("image_url")
    where = f"{param}.image_url"
    if type(url) is dict:
        nested = object_(url, where)
        found["image_url"] = url = _required(nested, "url", where, string)
        where += ".url"
        if nested.get("detail") is not None:
            found["detail"] = nested["detail"]
    if found.get("detail") is not None:
        string(found["detail"], f"{param}.detail")
    if url is not None:
        check_image_url(url, where)
    elif found.get("file_id") is not None:
        string(found["file_id"], f"{param}.file_id")
    else:
        raise missing(where)
    return found


def _read_file(part: Item, param: str) -> Item:
    """Chat Completions has the members one level deeper, in `file`."""
    found = {**part, "type": "input_file"}
    if part["type"] == "file":
        nested = object_(found.pop("file", None), f"{param}.file")
        found = {**found, **nested, "type": "input_file"}
    given = [name for name in ("file_data", "file_url", "file_id") if found.get(name) is not None]
    for name in given:
        string(found[name], f"{param}.{name}")
    if not given:
        raise missing(f"{param}.file_data")
    if found.get("filename") is not None:
        string(found["filename"], f"{param}.filename")
    if found.get("file_url") is not None:
        check_web_url(found["file_url"], f"{param}.file_url")
    return found


def _read_audio(part: Item, param: str) -> Item:
    audio = _required(part, "input_audio", param, object_)
    for name in ("data", "format"):
        _required(audio, name, f"{param}.input_audio", string)
    return part


_INPUT_PARTS: Mapping[str, _PartReader] = {
    "input_text": _read_input_text,
    "input_image": _read_image,
    "input_file": _read_file,
    "input_audio": _read_audio,
    "text": _read_input_text,
    "output_text": _read_input_text,
    "image_url": _read_image,
    "file": _read_file,
}
_ASSISTANT_PARTS: Mapping[str, _PartReader] = {
    "output_text": _read_output_text,
    "refusal": _read_refusal,
    "input_text": _read_output_text,
    "text": _read_output_text,
}
