"""Hosted tools, which an upstream runs by itself, and the short ways to ask for one.

Beside an entry in `tools`, a dialect may take a field of its own for a hosted tool. `CanonicalRequest.asked["tools"]`
then names that field, and an upstream that has no such tool refuses the request by the name that the caller knows.
"""

from __future__ import annotations

from collections.abc import Mapping

from lib.canonical.request import CanonicalRequest, Tool
from lib.errors import InvalidRequest

WEB_SEARCH = "web_search"
IMAGE_GENERATION = "image_generation"
CODE_INTERPRETER = "code_interpreter"

FLAGS: Mapping[str, Tool] = {
    "function_web_search": {"type": WEB_SEARCH},
    "function_image_gen": {"type": IMAGE_GENERATION},
    "function_code_interpreter": {"type": CODE_INTERPRETER, "container": {"type": "auto"}},
}
"""Boolean field of a request → the tool that it stands for."""

_FIELDS = {"web_search_options": WEB_SEARCH} | {flag: str(tool["type"]) for flag, tool in FLAGS.items()}


def field_of(request: CanonicalRequest, kind: str) -> str | None:
    """The caller's field that brought the hosted tool of this type, unless that is `tools`."""
    named = request.asked.get("tools", "").split(", ")
    return next((field for field, tool in _FIELDS.items() if field in named and kind.startswith(tool)), None)


def unavailable(request: CanonicalRequest, kind: str, param: str, where: str = "this upstream") -> InvalidRequest:
    """For a tool of a type that `where` has not; `param` names its entry in `tools`."""
    field = field_of(request, kind)
    if field is None:
        return InvalidRequest(
            f"The tool type '{kind}' is not available on {where}. Remove it, or offer a function tool instead.",
            param=param,
            code="unsupported_value",
        )
    return InvalidRequest(
        f"'{field}' is not supported: the tool '{kind}' is not available on {where}. Leave the field out.",
        param=field,
        code="unsupported_value",
    )
