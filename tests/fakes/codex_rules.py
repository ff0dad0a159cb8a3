"""What the Codex backend asks of a request: headers of an honest client, the edge's rules, the API layer's rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tests.fakes import codex_errors as errors
from tests.fakes import codex_models as models
from tests.fakes.codex_items import check_items
from tests.fakes.codex_tools import check_tools, strict_problem
from tests.fakes.tokens import turn_state

Fields = dict[str, Any]

ALLOWED = frozenset(
    {
        *("model", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "store"),
        *("stream", "stream_options", "include", "service_tier", "prompt_cache_key", "text", "client_metadata"),
        "access_programs",
    }
)
COMPACT = frozenset(
    {"model", "instructions", "input", "parallel_tool_calls", "reasoning", "service_tier", "prompt_cache_key"}
)
INCLUDE = frozenset(
    {
        *("code_interpreter_call.outputs", "computer_call_output.output.image_url", "file_search_call.results"),
        *("message.input_image.image_url", "message.output_text.logprobs", "reasoning.encrypted_content"),
        "web_search_call.action.sources",
    }
)
FIRST_PARTY = frozenset(
    {
        *("codex_cli_rs", "codex-tui", "codex_vscode", "codex_exec", "codex_sdk_ts", "codex_atlas"),
        *("codex_chatgpt_desktop", "codex desktop"),
    }
)
_LEAKED = re.compile(
    r"cookie|forwarded|x-forwarded-.*|x-real-ip|true-client-ip|cf-.*|openai-organization|openai-project|x-stainless-.*"
    r"|x-api-key|x-openai-internal-codex-responses-lite"
)
_IMITATION = re.compile(r"^codex[ _-]|mozilla|chrome/|safari/|applewebkit", re.IGNORECASE)
_UNNAMED = re.compile(r"^(python-httpx|python-requests|aiohttp|python/|openai)", re.IGNORECASE)


def violations(headers: Mapping[str, str], path: str, account_id: str | None) -> list[str]:
    """What an honest and careful client would not send. `headers`: lower-case names."""
    found = [f"header {name} must not reach the upstream" for name in headers if _LEAKED.fullmatch(name)]
    agent = headers.get("user-agent", "")
    if _IMITATION.search(agent):
        found.append(f"User-Agent imitates another client: {agent}")
    elif not agent or _UNNAMED.search(agent):
        found.append(f"User-Agent does not name the client: {agent!r}")
    if headers.get("originator", "").lower() in FIRST_PARTY:
        found.append(f"originator imitates another client: {headers['originator']}")
    state = headers.get("x-codex-turn-state")
    if state is not None and state != turn_state(account_id or ""):
        found.append("x-codex-turn-state of another account")
    wanted = "text/event-stream" if path.endswith("/responses") else "application/json"
    if "/codex/" in path and wanted not in headers.get("accept", ""):
        found.append(f"Accept must name {wanted}: {headers.get('accept')!r}")
    return found


def json_body(content_type: str, body: bytes) -> Fields:
    """The decoded body. Raises Refused."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        errors.edge("Content-Type must be application/json", 415)
    try:
        decoded = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        errors.edge(f"JSON decode error: {error}")
    if not isinstance(decoded, dict):
        errors.edge("Body must be an object")
    return decoded


def check_responses(body: Fields, *, account_id: str, plan: str, version: models.Version | None) -> None:
    """`POST /responses`, in the order of the edge, then of the API layer. Raises Refused."""
    model = _edge(body, plan, version)
    _no_nulls(body)
    check_items(body["input"], account_id, model["input_modalities"])
    check_tools(body, model, plan)
    _check_reasoning(body.get("reasoning", {}), model)
    _check_text(body, model)
    _check_small(body)


def check_compact(body: Fields, *, account_id: str, plan: str, version: models.Version | None) -> None:
    """`POST /responses/compact`. Raises Refused."""
    for name in sorted(body.keys() - COMPACT):
        errors.edge(f"Unsupported parameter: {name}")
    if body.get("parallel_tool_calls") is not False:
        errors.edge("Parallel tool calls must be set to false")
    model = _edge({**body, "store": False, "stream": True}, plan, version)
    _no_nulls(body)
    check_items(body["input"], account_id, model["input_modalities"])
    _check_reasoning(body.get("reasoning", {}), model)


def _edge(body: Fields, plan: str, version: models.Version | None) -> Fields:
    for name in sorted(body.keys() - ALLOWED):
        errors.edge(f"Unsupported parameter: {name}")
    if body.get("stream_options", _DELIVERY) != _DELIVERY:
        errors.edge("Unsupported parameter: stream_options")
    if body.get("instructions") is None:
        errors.edge("Instructions are required")
    if body.get("store") is not False:
        errors.edge("Store must be set to false")
    if body.get("stream") is not True:
        errors.edge("Stream must be set to true")
    if not isinstance(body.get("input"), list):
        errors.edge("Input must be a list")
    if any(isinstance(item, dict) and item.get("role") == "system" for item in body["input"]):
        errors.edge("System messages are not allowed")
    if body.get("service_tier", "priority") != "priority":
        errors.edge(f"Unsupported service_tier: {body['service_tier']}")
    return _model(body.get("model"), plan, version)


_DELIVERY = {"reasoning_summary_delivery": "sequential_cutoff"}


def _model(slug: object, plan: str, version: models.Version | None) -> Fields:
    model = models.find(slug, plan)
    if model is None:
        errors.edge(f"The '{slug}' model is not supported when using Codex with a ChatGPT account.")
    if models.too_old(model, version):
        errors.edge(
            f"The '{slug}' model requires a newer version of Codex. "
            "Please upgrade to the latest app or CLI and try again."
        )
    return model


def _no_nulls(body: Fields) -> None:
    for name, value in body.items():
        if value is None:
            errors.bad_type(name, "a value, but got null")
    if not isinstance(body["instructions"], str):
        errors.bad_type("instructions", "a string")


def _check_reasoning(reasoning: Any, model: Fields) -> None:
    if not isinstance(reasoning, dict):
        errors.bad_type("reasoning", "an object")
    for key in reasoning.keys() - {"effort", "summary", "context"}:
        errors.unknown_key(f"reasoning.{key}")
    offered = models.efforts(model)
    if "effort" in reasoning and reasoning["effort"] not in offered:
        names = ", ".join(f"'{effort}'" for effort in offered[:-1]) + f", and '{offered[-1]}'"
        message = (
            f"Unsupported value: '{reasoning['effort']}' is not supported with the '{model['slug']}' model. "
            f"Supported values are: {names}."
        )
        errors.api(message, param="reasoning.effort", code="unsupported_value")
    _one_of("reasoning.summary", reasoning.get("summary", "auto"), ["auto", "concise", "detailed"])
    _one_of("reasoning.context", reasoning.get("context", "auto"), ["auto", "current_turn", "all_turns"])


def _check_text(body: Fields, model: Fields) -> None:
    text = body.get("text", {})
    if not isinstance(text, dict):
        errors.bad_type("text", "an object")
    for key in text.keys() - {"verbosity", "format"}:
        errors.unknown_key(f"text.{key}")
    if "verbosity" in text:
        _one_of("text.verbosity", text["verbosity"], ["low", "medium", "high"])
        if not model["support_verbosity"]:
            errors.unknown_key("text.verbosity")
    format = text.get("format", {"type": "text"})
    kind = format.get("type") if isinstance(format, dict) else format
    _one_of("text.format.type", kind, ["text", "json_object", "json_schema"])
    if kind == "json_schema":
        _check_schema(format)
    elif format.keys() != {"type"}:
        errors.unknown_key(f"text.format.{min(format.keys() - {'type'})}")
    if kind == "json_object" and not _says_json(body["input"]):
        message = "Response input messages must contain the word 'json' in some form to use 'json_object'."
        errors.api(message, param="input")


def _check_schema(format: Fields) -> None:
    for key in format.keys() - {"type", "name", "description", "schema", "strict"}:
        errors.unknown_key(f"text.format.{key}")
    if not isinstance(format.get("name"), str):
        errors.missing("text.format.name")
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", format["name"]):
        errors.api("Invalid 'text.format.name'.", param="text.format.name", code="invalid_value")
    if not isinstance(format.get("schema"), dict):
        errors.missing("text.format.schema")
    if format.get("strict") not in (True, False):
        errors.missing("text.format.strict")
    problem = strict_problem(format["schema"]) if format["strict"] else None
    if problem:
        message = f"Invalid schema for response_format '{format['name']}': {problem}"
        errors.api(message, param="text.format.schema", code="invalid_json_schema")


def _says_json(items: list[Fields]) -> bool:
    texts = (
        part.get("text", "")
        for item in items
        if item["type"] == "message"
        for part in item["content"]
        if part["type"] in ("input_text", "output_text")
    )
    return any("json" in text.lower() for text in texts)


def _check_small(body: Fields) -> None:
    include = body.get("include", [])
    if not isinstance(include, list):
        errors.bad_type("include", "a list")
    for index, name in enumerate(include):
        _one_of(f"include[{index}]", name, sorted(INCLUDE))
    key = body.get("prompt_cache_key", "")
    if not isinstance(key, str):
        errors.bad_type("prompt_cache_key", "a string")
    if len(key) > 64:
        errors.too_long("prompt_cache_key", 64, len(key))
    metadata = body.get("client_metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        errors.bad_type("client_metadata", "a map of strings")


def _one_of(path: str, value: object, supported: list[str]) -> None:
    if value not in supported:
        errors.bad_value(path, value, supported)
