"""Input items as the Codex backend takes them: known keys only, no ids, roles it accepts, no item without its pair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lib.canonical.request import Item
from lib.errors import InvalidRequest
from lib.upstreams.tool_names import Names, short_call_id

# The backend refuses unknown keys, and ids that it did not store; what is not listed here passes untouched, because
# only a Codex client can have produced it.
_KEYS: dict[str, tuple[str, ...]] = {
    "function_call": ("type", "call_id", "name", "arguments", "namespace"),
    "function_call_output": ("type", "call_id", "output"),
    "custom_tool_call": ("type", "call_id", "name", "input", "namespace"),
    "custom_tool_call_output": ("type", "call_id", "output"),
    "reasoning": ("type", "summary", "content", "encrypted_content"),
}
_PART_KEYS = {
    "input_text": frozenset({"type", "text"}),
    "output_text": frozenset({"type", "text"}),
    "refusal": frozenset({"type", "refusal"}),
    "input_image": frozenset({"type", "image_url", "file_id", "detail"}),
    "input_file": frozenset({"type", "filename", "file_data", "file_url", "file_id"}),
}
_OUTPUTS = {
    "function_call": "function_call_output",
    "local_shell_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
}
_SEARCH_ACTIONS = ("search", "open_page", "find_in_page")


def shape_input(items: list[Item], names: Names, *, keep_system: bool) -> tuple[str, list[Item]]:
    """(instructions text lifted from leading system messages, items for the backend).

    keep_system: leave system texts in the input, as developer messages.
    """
    leading = 0 if keep_system else _leading_system(items)
    if leading == len(items):
        leading = 0  # an input of nothing but instructions would leave nothing to answer
    lifted = "\n\n".join(part["text"] for item in items[:leading] for part in item["content"])
    shaped = []
    answers = _answers(items)
    for index, item in enumerate(items[leading:], start=leading):
        kept = _shape_item(item, index, names)
        if kept is None:
            continue
        shaped.append(kept)
        output = _OUTPUTS.get(item["type"])
        if output is None:
            continue
        call_id = item.get("call_id")
        answers[call_id] = answers.get(call_id, 0) - 1
        if call_id is not None and answers[call_id] < 0:
            # A turn that its user interrupted: the backend refuses a call without an output.
            shaped.append({"type": output, "call_id": kept["call_id"], "output": "aborted"})
    return lifted, shaped


def _answers(items: list[Item]) -> dict[Any, int]:
    """Call id → how many outputs there are for it."""
    found: dict[Any, int] = {}
    for item in items:
        if item["type"].endswith("_output"):
            call_id = item.get("call_id")
            found[call_id] = found.get(call_id, 0) + 1
    return found


def mentions_json(items: Iterable[Item]) -> bool:
    """Whether any text of the input holds the word that `json_object` asks for."""
    return any("json" in text.lower() for item in items for text in _texts(item))


def _texts(item: Item) -> Iterable[str]:
    content = item.get("content") or item.get("output")
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def _leading_system(items: list[Item]) -> int:
    count = 0
    for item in items:
        is_system = item["type"] == "message" and item.get("role") in ("system", "developer")
        if not is_system or any(part.get("type") != "input_text" for part in item["content"]):
            break
        count += 1
    return count


def _shape_item(item: Item, index: int, names: Names) -> Item | None:
    kind = item["type"]
    if kind == "message":
        return _shape_message(item, index)
    keys = _KEYS.get(kind)
    if keys is None:
        return _shape_foreign(item)
    kept = {key: item[key] for key in keys if item.get(key) is not None}
    if kind == "reasoning":
        kept.setdefault("summary", [])
        return kept if "encrypted_content" in kept else None  # without it the backend looks for a stored item
    kept["call_id"] = short_call_id(kept["call_id"])
    if "name" in kept:
        kept["name"] = names.short(kept["name"])
    if isinstance(kept.get("output"), list):
        kept["output"] = [_shape_part(part, index, "output", i) for i, part in enumerate(kept["output"])]
    return kept


def _shape_message(item: Item, index: int) -> Item | None:
    role = "developer" if item["role"] == "system" else item["role"]
    content = [_shape_part(part, index, "content", i) for i, part in enumerate(item["content"])]
    kept = {"type": "message", "role": role, "content": content}
    if role == "assistant" and item.get("phase") is not None:
        kept["phase"] = item["phase"]
    return kept if content else None


def _shape_foreign(item: Item) -> Item | None:
    if item["type"] == "web_search_call":
        action = item.get("action")
        if isinstance(action, Mapping) and action.get("type") not in _SEARCH_ACTIONS:
            return None  # replayed from another vendor: the backend refuses its action
    return {name: value for name, value in item.items() if value is not None}  # as SDKs write a replayed item


def _shape_part(part: dict[str, Any], item: int, member: str, index: int) -> dict[str, Any]:
    kind = part.get("type", "")
    if kind == "input_audio":
        raise InvalidRequest(
            "Audio input is not supported by this model. Transcribe it first, or leave the part out.",
            param=f"input[{item}].{member}[{index}]",
            code="unsupported_value",
        )
    keys = _PART_KEYS.get(kind)
    if keys is None or (keys.issuperset(part) and None not in part.values()):
        return part
    return {key: value for key, value in part.items() if key in keys and value is not None}
