"""Generated pictures under an address, for dialects that show a picture as text: a data URL is megabytes of that."""

from __future__ import annotations

import binascii
from collections.abc import AsyncIterator, Mapping
from typing import Any

from lib.canonical.events import COMPLETED, Event
from lib.canonical.pictures import media_type
from lib.errors import UpstreamError, Verdict
from lib.hosting import ImageHost
from lib.types import EventStream

_PICTURE = "image_generation_call"


class HostedPictures:
    """An event stream whose finished pictures have a `url` in place of their `result`. Raises GatewayError when one
    cannot be put there."""

    def __init__(self, events: EventStream, host: ImageHost) -> None:
        self._events = events
        self._host = host
        self._urls: dict[str, str] = {}
        """A picture in base64 → where it is: the stream names each one twice."""

    def __aiter__(self) -> AsyncIterator[list[Event]]:
        return self

    async def __anext__(self) -> list[Event]:
        batch = await anext(self._events)
        return [await self._hosted(event) for event in batch]

    async def aclose(self) -> None:
        await self._events.aclose()

    async def _hosted(self, event: Event) -> Event:
        if event.type == "response.output_item.done":
            item = event.fields.get("item")
            if isinstance(item, dict) and item.get("type") == _PICTURE:
                return Event.of({**event.fields, "item": await self._placed(item)})
        elif event.type in COMPLETED:
            response = event.fields["response"]
            items = response.get("output", ())
            output = [await self._placed(item) if item.get("type") == _PICTURE else item for item in items]
            return Event.of({**event.fields, "response": {**response, "output": output}})
        return event

    async def _placed(self, item: Mapping[str, Any]) -> dict[str, Any]:
        result = item.get("result")
        if not isinstance(result, str) or not result:
            return dict(item)
        if result not in self._urls:
            try:
                data = binascii.a2b_base64(result)
            except ValueError as error:
                raise UpstreamError(
                    "The upstream's picture is not valid base64.", verdict=Verdict.SERVICE, code="upstream_bad_response"
                ) from error
            self._urls[result] = await self._host.put(data, media_type(result) or "image/png")
        return {**item, "result": None, "url": self._urls[result]}
