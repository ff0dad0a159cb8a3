"""What the backend's API layer asks of tools, of the tool choice and of strict JSON schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from tests.fakes import codex_errors as errors
from tests.fakes.codex_items import check_image, check_name

Fields = Mapping[str, Any]

KEYS: dict[str, frozenset[str]] = {
    "function": frozenset({"type", "name", "description", "parameters", "strict"}),
    "custom": frozenset({"type", "name", "description", "format"}),
    "web_search": frozenset(
        {"type", "external_web_access", "filters", "user_location", "search_context_size", "search_content_types"}
    ),
    "image_generation": frozenset(
        {
            *("type", "action", "size", "quality", "background", "output_format", "output_compression", "moderation"),
            *("partial_images", "input_image_mask", "input_fidelity", "model"),
        }
    ),
    "local_shell": frozenset({"type"}),
    "tool_search": frozenset({"type", "execution", "description", "parameters"}),
    "namespace": frozenset({"type", "name", "description", "tools"}),
}


def check_tools(body: Fields, model: Fields, plan: str) -> None:
    """`tools`, `tool_choice` and `parallel_tool_calls` of a request. Raises Refused."""
    if "tools" not in body:
        for name in body.keys() & {"tool_choice", "parallel_tool_calls"}:
            errors.api(f"'{name}' is only allowed when 'tools' are specified.", param=name, code="invalid_value")
        return
    tools = body["tools"]
    if not isinstance(tools, list) or not tools:
        errors.api("Invalid 'tools': expected a non-empty array.", param="tools", code="empty_array")
    for index, tool in enumerate(tools):
        _check_tool(tool, f"tools[{index}]", model, plan)
    if not isinstance(body.get("parallel_tool_calls", True), bool):
        errors.bad_type("parallel_tool_calls", "a boolean")
    _check_choice(body.get("tool_choice", "auto"), tools)


def _check_tool(tool: Any, path: str, model: Fields, plan: str) -> None:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind not in KEYS:
        errors.api(f"Unsupported tool type: {kind}", param=f"{path}.type", code="invalid_value")
    for key in tool.keys() - KEYS[kind]:
        errors.unknown_key(f"{path}.{key}")
    if kind in ("function", "custom", "namespace"):
        _check_label(tool, path)
    if kind == "function":
        _check_function(tool, path)
    elif kind == "custom":
        _check_format(tool.get("format", {"type": "text"}), f"{path}.format")
    elif kind == "web_search" and "search_content_types" in tool and "image" not in model["input_modalities"]:
        errors.unknown_key(f"{path}.search_content_types")
    elif kind == "image_generation":
        _check_image_tool(tool, path, model, plan)
    elif kind == "namespace":
        for number, inner in enumerate(tool.get("tools", [])):
            _check_tool(inner, f"{path}.tools[{number}]", model, plan)


def _check_label(tool: Fields, path: str) -> None:
    if "name" not in tool:
        errors.missing(f"{path}.name")
    check_name(tool["name"], f"{path}.name")
    if not isinstance(tool.get("description", ""), str):
        errors.bad_type(f"{path}.description", "a string")


def _check_function(tool: Fields, path: str) -> None:
    if not isinstance(tool.get("strict"), bool):
        # The backend takes an omitted `strict` for true and patches the schema, after which answers die at random.
        errors.missing(f"{path}.strict")
    parameters = tool.get("parameters")
    if not isinstance(parameters, dict) or parameters.get("type") != "object":
        found = parameters.get("type") if isinstance(parameters, dict) else None
        found = "None" if found is None else found
        _bad_schema(tool["name"], path, f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{found}\"'.")
    if "properties" not in parameters:
        _bad_schema(tool["name"], path, "In context=(), object schema missing properties.")
    if tool["strict"]:
        problem = strict_problem(parameters)
        if problem:
            _bad_schema(tool["name"], path, problem)


def _bad_schema(name: str, path: str, problem: str) -> NoReturn:
    message = f"Invalid schema for function '{name}': {problem}"
    errors.api(message, param=f"{path}.parameters", code="invalid_function_parameters")


def _check_format(format: Any, path: str) -> None:
    if not isinstance(format, dict):
        errors.bad_type(path, "an object")
    if format == {"type": "text"}:
        return
    if format.get("type") != "grammar" or format.keys() != {"type", "syntax", "definition"}:
        errors.bad_value(path, format, ["text", "grammar"])
    if format["syntax"] not in ("lark", "regex"):
        errors.bad_value(f"{path}.syntax", format["syntax"], ["lark", "regex"])


def _check_image_tool(tool: Fields, path: str, model: Fields, plan: str) -> None:
    if plan == "free" or "image" not in model["input_modalities"]:
        errors.api("Tool 'image_generation' is not supported.", param=f"{path}.type", code="invalid_value")
    partials = tool.get("partial_images", 0)
    if not isinstance(partials, int) or not 0 <= partials <= 3:
        errors.bad_value(f"{path}.partial_images", partials, ["0", "1", "2", "3"])
    if tool.get("action", "auto") not in ("auto", "generate", "edit"):
        errors.bad_value(f"{path}.action", tool["action"], ["auto", "generate", "edit"])
    if "input_image_mask" in tool:
        check_image(tool["input_image_mask"].get("image_url"), f"{path}.input_image_mask.image_url")


def _check_choice(choice: Any, tools: list[Fields]) -> None:
    if choice in ("auto", "none", "required"):
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "allowed_tools":
        if choice.get("mode") not in ("auto", "required") or not choice.get("tools"):
            errors.bad_value("tool_choice.mode", choice.get("mode"), ["auto", "required"])
        for chosen in choice["tools"]:
            _check_chosen(chosen, tools)
    else:
        _check_chosen(choice, tools)


def _check_chosen(choice: Any, tools: list[Fields]) -> None:
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind not in KEYS:
        errors.bad_value("tool_choice", choice, ["none", "auto", "required"])
    named = kind in ("function", "custom")
    for key in choice.keys() - ({"type", "name"} if named else {"type"}):
        errors.unknown_key(f"tool_choice.{key}")
    if not any(tool["type"] == kind and (not named or tool["name"] == choice.get("name")) for tool in tools):
        errors.api(f"Tool choice '{choice.get('name', kind)}' not found in 'tools' parameter.", param="tool_choice")


def strict_problem(schema: Any, context: tuple[str, ...] = ()) -> str | None:
    """Why a schema is outside the strict subset: every object closed, every property required, no free maps."""
    if not isinstance(schema, dict):
        return f"In context={context}, schema must be an object."
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            return f"In context={context}, 'additionalProperties' is required to be supplied and to be false."
        absent = properties.keys() - set(schema.get("required", []))
        if absent:
            return (
                f"In context={context}, 'required' is required to be supplied and to be an array including every key "
                f"in properties. Missing '{min(absent)}'."
            )
    for place, inner in _inner(schema):
        problem = strict_problem(inner, (*context, *place))
        if problem:
            return problem
    return None


def _inner(schema: Fields) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    for key in ("properties", "$defs", "definitions"):
        found += [((key, name), inner) for name, inner in schema.get(key, {}).items()]
    found += [(("anyOf", str(number)), inner) for number, inner in enumerate(schema.get("anyOf", []))]
    if "items" in schema:
        found.append((("items",), schema["items"]))
    return found
