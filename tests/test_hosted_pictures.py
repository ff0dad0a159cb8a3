"""Generated pictures on their way through an event stream."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lib.canonical.events import Event
from lib.errors import GatewayError, UpstreamError
from lib.hosted_pictures import HostedPictures
from tests.canonical.pictures import gif, png
from tests.fakes.scripted import CREATED, completed, delta, event

PNG = base64.b64encode(png()).decode()
GIF = base64.b64encode(gif()).decode()


class Events:
    def __init__(self, *batches: list[Event]) -> None:
        self._batches = iter(batches)
        self.closed = False

    def __aiter__(self) -> AsyncIterator[list[Event]]:
        return self

    async def __anext__(self) -> list[Event]:
        for batch in self._batches:
            return batch
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


class Host:
    def __init__(self, error: GatewayError | None = None) -> None:
        self.kept: list[tuple[bytes, str]] = []
        self._error = error

    async def put(self, data: bytes, media_type: str) -> str:
        if self._error is not None:
            raise self._error
        self.kept.append((data, media_type))
        return f"https://pictures.example/{len(self.kept)}"


def picture(result: Any, **members: Any) -> dict[str, Any]:
    return {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": result, **members}


def done(item: dict[str, Any]) -> Event:
    return event("response.output_item.done", output_index=0, item=item)


def hosted(host: Host, *events: Event) -> list[Event]:
    async def main() -> list[Event]:
        source = Events(*([each] for each in events))
        stream = HostedPictures(source, host)
        found = [each async for batch in stream for each in batch]
        await stream.aclose()
        assert source.closed
        return found

    return asyncio.run(main())


def test_a_picture_is_put_there_once_and_named_by_its_address_in_both_places() -> None:
    host = Host()
    found = hosted(host, done(picture(PNG, size="4x3")), completed(output=[picture(PNG, size="4x3")]))
    assert host.kept == [(png(), "image/png")]
    shown = picture(None, size="4x3", url="https://pictures.example/1")
    assert found[0].fields["item"] == shown
    assert found[1].fields["response"]["output"] == [shown]
    assert PNG.encode() not in found[0].data + found[1].data


def test_its_first_bytes_say_what_it_is() -> None:
    host = Host()
    hosted(host, done(picture(GIF)), done(picture(base64.b64encode(b"something").decode())))
    assert [kind for _, kind in host.kept] == ["image/gif", "image/png"]


def test_all_else_passes_untouched() -> None:
    message = {"type": "message", "content": []}
    events = [CREATED, delta("Hi"), done(message), done(picture(None, status="failed")), done(picture(""))]
    host = Host()
    found = hosted(host, *events, completed("Hi"))
    assert [each.fields for each in found] == [each.fields for each in [*events, completed("Hi")]]
    assert found[0] is events[0] and found[1] is events[1] and found[2] is events[2]
    assert host.kept == []


def test_what_is_no_base64_is_the_upstreams_failure() -> None:
    with pytest.raises(UpstreamError) as caught:
        hosted(Host(), done(picture("a")))
    assert caught.value.code == "upstream_bad_response"


def test_a_failure_of_the_place_is_the_streams() -> None:
    with pytest.raises(GatewayError, match="full"):
        hosted(Host(GatewayError("The place is full.")), done(picture(PNG)))
