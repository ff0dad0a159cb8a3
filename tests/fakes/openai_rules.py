"""What the real OpenAI API refuses, as checks: each raises Refused with an error in OpenAI's shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from tests.fakes.codex_errors import Refused, error_body

Body = Mapping[str, Any]

_SHARED = {
    *("model", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "temperature", "top_p"),
    *("top_logprobs", "metadata", "store", "user", "service_tier", "safety_identifier", "prompt_cache_key"),
    *("prompt_cache_retention", "prompt_cache_options", "moderation"),
}
CHAT = _SHARED | {
    *("messages", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "max_tokens", "n", "seed"),
    *("max_completion_tokens", "prediction", "reasoning_effort", "response_format", "stop", "verbosity"),
    *("modalities", "audio", "web_search_options", "functions", "function_call"),
}
RESPONSES = _SHARED | {
    *("input", "instructions", "max_output_tokens", "max_tool_calls", "reasoning", "text", "include", "truncation"),
    *("background", "previous_response_id", "conversation", "prompt", "context_management", "client_metadata"),
}
_MESSAGE = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "tool_calls", "audio"},
    "tool": {"role", "content", "tool_call_id"},
}
_PARTS = {
    "system": {"text"},
    "developer": {"text"},
    "user": {"text", "image_url", "input_audio", "file"},
    "assistant": {"text", "refusal"},
    "tool": {"text"},
}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def refuse(
    message: str, *, param: str | None = None, code: str | None = None, status: int = 400, **headers: str
) -> NoReturn:
    raise Refused(status, error_body(message, param=param, code=code), headers)


def json_object(content_type: str, body: bytes) -> Any:
    if content_type.partition(";")[0].strip() != "application/json":
        refuse(f"Unsupported content type: '{content_type}'.", status=415, code="unsupported_content_type")
    try:
        decoded = msgspec.json.decode(body)
    except msgspec.DecodeError:
        refuse("We could not parse the JSON body of your request.")
    if not isinstance(decoded, dict):
        refuse("The body must be a JSON object.")
    return decoded


def check_top(body: Body, known: set[str]) -> None:
    for name, value in body.items():
        if name not in known:
            refuse(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        if value is None:
            refuse(f"Invalid type for '{name}': null.", param=name, code="invalid_type")
    if body.get("stream_options") is not None and body.get("stream") is not True:
        refuse("The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options")
    for name in ("tool_choice", "parallel_tool_calls"):
        if name in body and not body.get("tools"):
            refuse(f"'{name}' is only allowed when 'tools' are specified.", param=name)


def check_chat(body: Body) -> None:
    check_top(body, CHAT)
    if "max_tokens" in body and "max_completion_tokens" in body:
        refuse("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    if "top_logprobs" in body and body.get("logprobs") is not True:
        refuse("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", param="top_logprobs")
    _check_chat_tools(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        refuse("Invalid 'messages': empty array.", param="messages", code="empty_array")
    waiting: list[str] = []
    for index, message in enumerate(messages):
        waiting = _check_message(message, f"messages[{index}]", waiting)
    if waiting:
        _unanswered(waiting)


def _check_message(message: Any, param: str, waiting: list[str]) -> list[str]:
    """The ids of calls that must be answered next."""
    role = message.get("role")
    if role not in _MESSAGE or not _MESSAGE[role].issuperset(message):
        refuse(f"Unknown role or member in '{param}': {sorted(message)}.", param=param, code="unknown_parameter")
    _check_content(message, role, param)
    if role == "tool":
        if message.get("tool_call_id") not in waiting:
            refuse(
                f"Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                f"'tool_calls' ({param}).",
                param=f"{param}.role",
            )
        return [each for each in waiting if each != message["tool_call_id"]]
    if waiting:
        _unanswered(waiting)
    return _check_calls(message.get("tool_calls"), param)


def _check_calls(calls: Any, param: str) -> list[str]:
    if calls is None:
        return []
    if not calls:
        refuse(f"Invalid '{param}.tool_calls': empty array.", param=f"{param}.tool_calls", code="empty_array")
    for call in calls:
        if set(call) != {"id", "type", "function"} or set(call["function"]) != {"name", "arguments"}:
            refuse(f"A call in '{param}' has missing or unknown members.", param=param)
        if not 0 < len(call["id"]) <= 40:
            refuse("string too long. Expected a string with maximum length 40.", code="string_above_max_length")
        _check_name(call["function"]["name"], param)
        if not isinstance(call["function"]["arguments"], str):
            refuse("Arguments must be a string.", param=param, code="invalid_type")
    return [call["id"] for call in calls]


def _unanswered(waiting: list[str]) -> NoReturn:
    refuse(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(waiting)}",
        param="messages",
    )


def _check_content(message: Body, role: str, param: str) -> None:
    content = message.get("content")
    if content is None:
        if role != "assistant" or not (message.get("tool_calls") or message.get("refusal")):
            refuse(f"Invalid value for '{param}.content': expected a string, got null.", param=f"{param}.content")
        return
    if isinstance(content, str):
        return
    if not content:
        refuse(f"Invalid '{param}.content': empty array.", param=f"{param}.content", code="empty_array")
    for part in content:
        kind = part.get("type")
        if kind not in _PARTS[role] or not isinstance(part.get(kind), str if kind in ("text", "refusal") else dict):
            refuse(f"Invalid part '{kind}' in '{param}.content'.", param=f"{param}.content", code="invalid_value")
        if set(part) != {"type", kind}:
            refuse(f"Unknown members in a part of '{param}.content'.", code="unknown_parameter")


def _check_chat_tools(body: Body) -> None:
    for index, tool in enumerate(body.get("tools", [])):
        param = f"tools[{index}]"
        if tool.get("type") not in ("function", "custom"):
            refuse(f"Invalid value: '{tool.get('type')}'.", param=f"{param}.type", code="invalid_value")
        function = tool.get("function")
        if not isinstance(function, dict):
            refuse(f"Missing required parameter: '{param}.function'.", param=f"{param}.function")
        if not {"name", "description", "parameters", "strict"}.issuperset(function):
            refuse(f"Unknown members in '{param}.function'.", param=param, code="unknown_parameter")
        _check_name(function.get("name"), f"{param}.function.name")
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and not isinstance(choice.get("function"), dict):
        refuse("Missing required parameter: 'tool_choice.function'.", param="tool_choice.function")


def check_addresses(value: Any) -> None:
    """For servers that read pictures from the web and take no data in their place."""
    if isinstance(value, str):
        if value[:10].lower() == "data:image":
            refuse("Only http(s) image URLs are supported.", code="invalid_image_url")
    elif isinstance(value, dict):
        for each in value.values():
            check_addresses(each)
    elif isinstance(value, list):
        for each in value:
            check_addresses(each)


def check_responses(body: Body) -> None:
    check_top(body, RESPONSES)
    for index, tool in enumerate(body.get("tools", [])):
        if "type" not in tool:
            refuse(f"Missing required parameter: 'tools[{index}].type'.", param=f"tools[{index}].type")
        if tool["type"] in ("function", "custom"):
            _check_name(tool.get("name"), f"tools[{index}].name")
    if not isinstance(body.get("input"), list | str) or not body["input"]:
        refuse("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    calls: dict[str, bool] = {}
    for index, item in enumerate(items_of(body)):
        _check_item(item, f"input[{index}]", calls, stored=body.get("store", True))
    for call_id, is_answered in calls.items():
        if not is_answered:
            refuse(f"No tool output found for function call {call_id}.", param="input")


def items_of(body: Body) -> list[Any]:
    """The input of a request to Responses as items."""
    given = body["input"]
    return [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given


def _check_item(item: Body, param: str, calls: dict[str, bool], *, stored: bool) -> None:
    kind = item.get("type", "message")
    for name, value in item.items():
        if value is None:
            refuse(f"Invalid type for '{param}.{name}': null.", param=f"{param}.{name}", code="invalid_type")
    if kind == "reasoning" and "encrypted_content" not in item and "id" in item and not stored:
        refuse(f"Item with id '{item['id']}' not found. Items are not persisted when `store` is set to false.")
    if kind in ("function_call", "custom_tool_call"):
        _check_name(item.get("name"), f"{param}.name")
        calls[item["call_id"]] = False
    elif kind in ("function_call_output", "custom_tool_call_output"):
        if item["call_id"] not in calls:
            refuse(f"No tool call found for function call output with call_id {item['call_id']}.", param="input")
        calls[item["call_id"]] = True
    if len(item.get("call_id", "")) > 64:
        refuse("string too long. Expected a string with maximum length 64.", param=f"{param}.call_id")


def _check_name(name: Any, param: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        refuse(
            f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
            param=param,
            code="invalid_value",
        )
