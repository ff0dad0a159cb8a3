"""Hosted tools as the demo upstream plays them: a search that finds one page without looking, and a small picture."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from lib.canonical.build import Builder
from lib.canonical.events import Event
from lib.canonical.hosted import IMAGE_GENERATION
from lib.canonical.request import Tool

FINDING = " Nothing was searched: the demo upstream has no web, and always cites the page "
SOURCE = "Example Domain (https://example.org/)"
"""What the text of an answer ends with after a search: `FINDING`, and the page, which is cited."""

_PAGE = {"title": "Example Domain", "url": "https://example.org/"}
_SIDE = 256
_COARSE = (32, 16, 8)
"""How coarse each of the unfinished pictures is that a caller may ask for."""


class HostedBuilder(Builder):
    """`Builder` with searches, citations and pictures."""

    _cited: Sequence[dict[str, Any]] = ()

    def play(self, tool: Tool, prompt: str) -> list[Event]:
        """The call of a hosted tool, from its beginning to its end. `prompt`: what the user said."""
        return self._picture(tool, prompt) if tool["type"] == IMAGE_GENERATION else self._search(prompt)

    def cite(self, text: str) -> list[Event]:
        """The citation at the end of this text, which the open message holds."""
        message: Any = self._open
        annotation = {"type": "url_citation", "start_index": len(text) - len(SOURCE), "end_index": len(text), **_PAGE}
        self._cited = (annotation,)
        fields = {**message.at, "annotation_index": 0, "annotation": annotation}
        return [self._event("response.output_text.annotation.added", fields)]

    def _part_done(self, message: Any) -> list[Event]:
        events = super()._part_done(message)
        if self._cited:
            message.parts[-1]["annotations"] = list(self._cited)  # the same part that the events hold
        return events

    def _search(self, query: str) -> list[Event]:
        place = self._place("ws")
        action = {"type": "search", "query": query, "queries": [query]}
        found = {**action, "sources": [{"type": "url", "url": _PAGE["url"]}]}
        item = {"type": "web_search_call", "status": "in_progress", "action": action}
        return [
            *self._closed(),
            self._added(place, item),
            *(self._event(f"response.web_search_call.{step}", place) for step in ("in_progress", "searching")),
            self._event("response.web_search_call.completed", place),
            self._done(place, {**item, "status": "completed", "action": found}),
        ]

    def _picture(self, tool: Tool, prompt: str) -> list[Event]:
        from lib.upstreams.demo_png import draw  # only who asks for a picture pays for it

        def drawn(coarse: int = 1) -> str:
            return b64encode(draw(prompt, _SIDE, _SIDE, coarse=coarse)).decode()

        place = self._place("ig")
        item = {"type": "image_generation_call", "status": "in_progress", "result": None}
        look = {"background": "opaque", "output_format": "png", "quality": "low", "size": f"{_SIDE}x{_SIDE}"}
        made = {"status": "completed", "action": "generate", "revised_prompt": prompt, "result": drawn()}
        partials = [
            {"partial_image_index": index, "partial_image_b64": drawn(_COARSE[index])}
            for index in range(_partials(tool))
        ]
        kind = "response.image_generation_call"
        return [
            *self._closed(),
            self._added(place, item),
            *(self._event(f"{kind}.{step}", place) for step in ("in_progress", "generating")),
            *(self._event(f"{kind}.partial_image", {**place, **partial, **look}) for partial in partials),
            self._event(f"{kind}.completed", place),
            self._done(place, {**item, **look, **made}),
        ]


def _partials(tool: Tool) -> int:
    wanted = tool.get("partial_images")
    return min(max(0, wanted), len(_COARSE)) if isinstance(wanted, int) else 0
