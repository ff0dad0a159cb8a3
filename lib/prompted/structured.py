"""Structured output for an upstream without it: asked for in words, checked in full.

An answer that is not valid is asked for once more, and then the request fails with `structured_output_invalid`: what
goes out as complete fits the schema. A code fence is taken off where the whole reply is one. Answers that call tools,
refuse, or were cut short are handed on as they are: they say themselves that they are no such object.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from lib.canonical.build import Builder
from lib.canonical.events import COMPLETED, Event
from lib.canonical.request import CanonicalRequest, Item
from lib.errors import InvalidRequest
from lib.prompted import patterns
from lib.prompted.attempts import JudgedAnswer, RejectedError, usage_of
from lib.types import Answer, Lease, Model, Upstream
from lib.values import replace

_MAX_QUOTE = 8_000
"""Characters of a rejected answer that the model is shown."""

_ASKED = """\
Reply with one JSON {what} and with nothing else: no code fence, no words before or behind it."""
_UNLESS_CALLED = " This does not hold for a reply in which you call a tool."
_SCHEMA = "{asked} It must be valid against this JSON schema:\n\n{schema}"
_AGAIN = "Your last reply was not accepted: {problem}. Reply once more, with nothing but the JSON."


class StructuredUpstream:
    """`lib.types.Upstream` that keeps to `text.format` over one that does not know it.

    new_id: a fresh random suffix for each answer, out of `[A-Za-z0-9_-]`.
    """

    def __init__(self, upstream: Upstream, *, new_id: Callable[[], str] = lambda: secrets.token_hex(12)) -> None:
        self._upstream = upstream
        self._new_id = new_id
        self.name = upstream.name
        self.accepts = upstream.accepts | {"text"}

    async def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> Answer:
        """Also raises InvalidRequest for a schema that cannot be checked."""
        wanted = (request.text or {}).get("format") or {}
        if wanted.get("type") not in ("json_schema", "json_object"):
            return await self._upstream.open(request, lease, timeout_s=timeout_s)
        judge = _StructuredJudge(request, _problem_finder(wanted), self._new_id)
        asked = _asked(request, wanted)
        answer = await self._upstream.open(asked, lease, timeout_s=timeout_s)
        return JudgedAnswer(answer, judge, self._upstream, asked, lease, timeout_s)

    async def models(self, lease: Lease) -> list[Model]:
        return await self._upstream.models(lease)


def unfenced(text: str) -> str:
    """The reply without blank space around it, and without the code fence that it stands in as a whole."""
    text = text.strip()
    first, newline, rest = text.partition("\n")
    if not newline or not first.startswith("```") or not rest.endswith("```"):
        return text
    inner = rest[:-3]
    info = first[3:].strip()
    # A fence that ends earlier means that there are several, or text behind it.
    return inner.strip() if info.isalnum() or not info else text


def _asked(request: CanonicalRequest, wanted: Mapping[str, Any]) -> CanonicalRequest:
    """The request with the format in words."""
    said = _ASKED.format(what="object" if wanted["type"] == "json_object" else "value")
    if request.tools and request.tool_choice != "none":
        said += _UNLESS_CALLED
    if wanted["type"] == "json_schema":
        schema = msgspec.json.encode(wanted.get("schema")).decode()
        said = _SCHEMA.format(asked=said, schema=schema)
        if wanted.get("description"):
            said += f"\n\nWhat it is for: {wanted['description']}"
    text = {key: value for key, value in (request.text or {}).items() if key != "format"}
    instructions = "\n\n".join(part for part in (request.instructions, said) if part)
    return replace(request, instructions=instructions, text=text or None)


class _StructuredJudge:
    """`attempts.Judge`: holds an answer until its text is known to be valid."""

    def __init__(
        self, request: CanonicalRequest, find_problem: Callable[[Any], str | None], new_id: Callable[[], str]
    ) -> None:
        self._request = request
        self._find_problem = find_problem
        self._new_id = new_id
        self._held: list[Event] = []

    def begin(self) -> None:
        self._held = []

    def take(self, batch: list[Event]) -> list[Event]:
        self._held += batch
        if not batch or batch[-1].type not in COMPLETED:
            return []
        terminal = batch[-1]
        output = terminal.fields["response"].get("output") or []
        if terminal.type != "response.completed" or not _is_plain(output):
            return self._held
        said = "".join(part["text"] for part in _message_parts(output))
        text = unfenced(said)
        problem = self._problem(text)
        if problem is not None:
            message = f"The model's answer is not what 'response_format' asks for, in two tries: {problem}."
            raise RejectedError(message, "structured_output_invalid", _reminder(said, problem), usage_of(terminal))
        return self._held if text == said else self._rebuilt(text, terminal.fields["response"])

    def _problem(self, text: str) -> str | None:
        try:
            value = msgspec.json.decode(text.encode())
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return "the reply is not one JSON value"
        return self._find_problem(value)

    def _rebuilt(self, text: str, response: Mapping[str, Any]) -> list[Event]:
        """The answer anew, with this text."""
        created_at = response.get("created_at") or 0
        model = response.get("model")
        builder = Builder(self._request, response_id=self._new_id(), created_at=created_at, model=model)
        events = builder.start()
        reasoning = [item for item in response["output"] if item.get("type") == "reasoning"]
        for part in (part for item in reasoning for part in item.get("summary") or ()):
            events += builder.reasoning(part.get("text", ""))
        events += builder.text(text)
        return events + builder.finish(response.get("usage"), completed_at=response.get("completed_at"))


def _is_plain(output: Iterable[Item]) -> bool:
    """Whether the answer is nothing but text (and reasoning)."""
    if any(item.get("type") not in ("message", "reasoning") for item in output):
        return False
    return all(part.get("type") == "output_text" for part in _message_parts(output))


def _message_parts(output: Iterable[Item]) -> list[Item]:
    return [part for item in output if item.get("type") == "message" for part in item.get("content") or ()]


def _reminder(said: str, problem: str) -> list[Item]:
    shown = said if len(said) <= _MAX_QUOTE else said[:_MAX_QUOTE] + "…"
    again = _AGAIN.format(problem=problem)
    reminder: list[Item] = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": again}]}
    ]
    if shown.strip():
        answer = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": shown}]}
        reminder.insert(0, answer)
    return reminder


# --- Validation -----------------------------------------------------------------------------------------------------


class _UncheckableError(Exception):
    """A pattern that linear time does not suffice for."""


def _problem_finder(wanted: Mapping[str, Any]) -> Callable[[Any], str | None]:
    """What says why a value is not valid. Raises InvalidRequest for a malformed schema."""
    if wanted["type"] == "json_object":
        return lambda value: None if isinstance(value, dict) else "the reply is not a JSON object"
    schema = wanted.get("schema")

    from jsonschema import SchemaError
    from jsonschema.exceptions import best_match
    from jsonschema.validators import Draft202012Validator, extend, validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        kind = validator_for(schema, default=Draft202012Validator)
        kind.check_schema(schema)
    except (SchemaError, RecursionError, TypeError) as error:
        reason = error.message if isinstance(error, SchemaError) else "it is nested too deeply, or no object"
        raise _invalid_schema(reason) from error
    # An empty registry: a reference that leads out of the schema is an error, never a download.
    validator = extend(kind, _LINEAR)(schema, registry=Registry())

    def find(value: Any) -> str | None:
        try:
            found = best_match(validator.iter_errors(value))
        except (RecursionError, Unresolvable, _UncheckableError) as error:
            raise _invalid_schema(f"it cannot be checked ({type(error).__name__}: {error})") from error
        return None if found is None else f"{found.json_path}: {found.message[:500]}"

    return find


def _invalid_schema(reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"Invalid schema for 'response_format': {reason[:500]}.",
        param="text.format.schema",
        code="invalid_json_schema",
    )


def _pattern(validator: Any, pattern: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not _found(pattern, instance):
        yield _error(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, rules: Any, instance: Any, schema: Any) -> Iterator[Any]:
    for pattern, rule in rules.items() if isinstance(instance, dict) else ():
        for name, value in instance.items():
            if _found(pattern, name):
                yield from validator.descend(value, rule, path=name, schema_path=pattern)


def _additional_properties(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[Any]:
    named, by_pattern = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in instance.items() if isinstance(instance, dict) else ():
        if name in named or any(_found(pattern, name) for pattern in by_pattern):
            continue
        if rule is False:
            yield _error(f"{name!r} is not allowed")
        else:
            yield from validator.descend(value, rule, path=name)


def _unevaluated(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """Properties and items that no other keyword speaks of; the library's own way to tell backtracks."""
    raise _UncheckableError("'unevaluatedProperties' is not supported here")


_LINEAR = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "unevaluatedProperties": _unevaluated,
}


def _found(pattern: str, text: str) -> bool:
    found = patterns.found(pattern, text)
    if found is None:
        raise _UncheckableError(f"the pattern {pattern!r} is not supported here")
    return found


def _error(message: str) -> Any:
    from jsonschema import ValidationError

    return ValidationError(message)
