"""Output items as renderers read them; a member of the wrong type is the upstream's failure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from lib.dialects.damage import malformed

PART_BREAK = "\n\n"
"""Between two parts of reasoning, which dialects show as one text."""

_CALLS = ("function_call", "custom_tool_call")


class Part(msgspec.Struct):
    """One part of a message or of reasoning."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None
    logprobs: Any = None


class OutputItem(msgspec.Struct):
    """What dialects other than Responses can show of an output item."""

    type: str
    id: str | None = None
    status: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    action: dict[str, Any] | str | None = None
    """What a search did; of a picture, whether it was made or edited."""
    result: str | None = None
    """A picture, in base64."""
    output_format: str | None = None
    url: str | None = None
    """Where the picture is, when it was put somewhere instead of into `result`."""

    @property
    def is_call(self) -> bool:
        return self.type in _CALLS

    @property
    def payload(self) -> str:
        """A call's arguments or input. A function call that the model gave nothing has `{}`, unless it was cut."""
        if self.type == "custom_tool_call":
            return self.input or ""
        return self.arguments or ("" if self.status == "incomplete" else "{}")

    def thoughts(self) -> list[str]:
        """The texts of a reasoning item, summary first; blank ones are kept, empty ones say nothing."""
        return [part.text for part in (*(self.summary or ()), *(self.content or ())) if part.text]


def read_item(fields: Any, shown: Collection[str]) -> OutputItem | None:
    """None for what is no item of the types in `shown`. Raises UpstreamError."""
    kind = fields.get("type") if type(fields) is dict else None
    if type(kind) is not str or kind not in shown:
        return None
    try:
        return msgspec.convert(fields, OutputItem)
    except msgspec.ValidationError as error:
        raise malformed() from error
