"""The model list of an OpenAI-compatible API → the gateway's; no IO.

Such a list has models of every kind, in any order, and little beside their names. The gateway takes the first one where
a request names none: so those that write text stand before all others, as far as can be told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lib.errors import UpstreamError, Verdict
from lib.types import Model
from lib.upstreams.refusals import decoded

_OTHERS = re.compile(
    r"""embed | ^bge- | rerank                                     # vectors and rankings
      | whisper | transcribe | \btts\b | -audio | realtime           # speech
      | dall-e | gpt-image | ^imagen | stable-diffusion | ^sora- | ^veo-   # pictures and films
      | moderation | -guard\b                                       # judgements
      | babbage | davinci | turbo-instruct                           # older completions""",
    re.VERBOSE,
)
"""What the names of models have in them that write no text in a conversation: OpenAI's own, and usual open ones."""


def catalogue(body: bytes) -> list[Model]:
    """`{"data": [...]}`, or a bare list as some servers send it; every member but `id` is optional. In the server's
    order, but for what `writes_text` says. Raises UpstreamError."""
    found = decoded(body)
    entries = found.get("data") if isinstance(found, dict) else found
    if not isinstance(entries, list):
        raise UpstreamError(
            "The upstream's model list is not readable.", verdict=Verdict.SERVICE, code="upstream_bad_response"
        )
    named: dict[str, dict[str, Any]] = {}
    for each in entries:
        name = each.get("id") if isinstance(each, dict) else None
        if isinstance(name, str) and name.strip():
            named.setdefault(name, each)
    return [_model(each) for each in sorted(named.values(), key=lambda entry: not writes_text(entry))]


def writes_text(entry: Mapping[str, Any]) -> bool:
    """Whether a model can take part in a conversation: by its output modalities (as OpenRouter has them), else by its
    name without the vendor's."""
    architecture = entry.get("architecture")
    modalities = architecture.get("output_modalities") if isinstance(architecture, dict) else None
    if isinstance(modalities, list):
        return "text" in modalities
    return _OTHERS.search(entry["id"].rpartition("/")[2].lower()) is None


def _model(entry: Mapping[str, Any]) -> Model:
    name = entry.get("name") or entry.get("display_name")
    lengths = (entry.get(key) for key in ("context_length", "context_window", "max_context_length", "max_model_len"))
    architecture = entry.get("architecture")
    modalities = architecture.get("input_modalities") if isinstance(architecture, dict) else None
    return Model(
        id=entry["id"],
        name=name if isinstance(name, str) else None,
        context_length=next((each for each in lengths if type(each) is int and each > 0), None),
        input_modalities=tuple(str(kind) for kind in modalities) if isinstance(modalities, list) else (),
    )
