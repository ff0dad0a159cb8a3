"""Pictures of requests on their way to an upstream that wants addresses, over a scripted place for them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

import pytest

from lib.canonical.request import CanonicalRequest
from lib.errors import GatewayError, InvalidRequest
from lib.hosted_inputs import AT_ONCE, MAX_PICTURE_BYTES, MAX_PICTURES, REUSE_S, HostedInputs
from tests.canonical.pictures import gif, jpeg, png, webp

OWN = "https://pictures.example/own-1.png"


class Host:
    """Knows the addresses that it gave out; `gone` are those that it gives out no more."""

    def __init__(self, error: GatewayError | None = None) -> None:
        self.kept: list[tuple[str, str, bytes]] = []
        self.looked: list[str] = []
        self.gone: set[str] = set()
        self.busy = self.busiest = 0
        self._error = error

    async def put(self, data: bytes, media_type: str, name: str) -> str:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await asyncio.sleep(0.001)
            if self._error is not None:
                raise self._error
        finally:
            self.busy -= 1
        self.kept.append((name, media_type, data))
        return f"https://pictures.example/{name}?{len(self.kept)}"

    def may_know(self, url: str) -> bool:
        return "/own-" in url

    async def renewed(self, url: str) -> str | None:
        self.looked.append(url)
        if self._error is not None:
            raise self._error
        return None if url in self.gone else f"{url}?fresh"

    def is_shown_in(self, raw: bytes) -> bool:
        return b"own-" in raw


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def image(data: bytes | str, **members: Any) -> dict[str, Any]:
    return {"type": "input_image", "image_url": data if isinstance(data, str) else data_url(data), **members}


def user(*parts: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"type": "message", "role": "user", "content": content}


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def prepared(inputs: HostedInputs, *items: dict[str, Any], only_urls: bool = True) -> list[dict[str, Any]]:
    request = CanonicalRequest(model="m", input=list(items))
    before = repr(items)
    found = asyncio.run(inputs.prepare(request, only_urls=only_urls))
    assert repr(items) == before, "the caller's items are not ours to change"
    if found is request:
        return list(items)
    return found.input


def inputs_over(host: Host | None, now: Clock | None = None, url_life_s: float = 3600.0) -> HostedInputs:
    return HostedInputs(host, url_life_s=url_life_s, now=now or Clock())


def test_pictures_as_data_become_addresses_wherever_they_are() -> None:
    host = Host()
    output = {"type": "function_call_output", "call_id": "c1", "output": [image(jpeg()), user("x")["content"][0]]}
    screenshot = {
        "type": "computer_call_output",
        "output": {"type": "computer_screenshot", "image_url": data_url(gif())},
    }
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": data_url(png())}
    plain = {"type": "function_call_output", "call_id": "c1", "output": data_url(png())}
    found = prepared(inputs_over(host), user("Look", image(png(), detail="low")), call, output, screenshot, plain)
    named = {data: f"https://pictures.example/{name}" for name, _, data in host.kept}
    assert found[0]["content"][1].items() >= {"type": "input_image", "detail": "low"}.items()
    urls = [found[0]["content"][1], found[2]["output"][0], found[3]["output"]]
    assert [each["image_url"].partition("?")[0] for each in urls] == [named[png()], named[jpeg()], named[gif()]]
    assert found[2]["output"][1] == output["output"][1]
    assert (found[1], found[4]) == (call, plain)


def test_a_name_follows_from_the_content_and_a_type_from_the_first_bytes() -> None:
    host = Host()
    prepared(inputs_over(host), user(image(data_url(webp(b"VP8X"), "image/png")), image(data_url(png(), "IMAGE/jpg"))))
    expected = [(webp(b"VP8X"), "image/webp"), (png(), "image/png")]
    assert sorted(host.kept) == sorted((hashlib.sha256(data).hexdigest(), kind, data) for data, kind in expected)


def test_the_same_picture_is_put_there_once_and_keeps_its_address_for_a_while() -> None:
    host, now = Host(), Clock()
    inputs = inputs_over(host, now)
    first = prepared(inputs, user(image(png()), image(png(5, 5))), user(image(png())))
    assert len(host.kept) == 2
    assert first[0]["content"][0] == first[1]["content"][0]
    now.now += REUSE_S - 1
    assert prepared(inputs, user(image(png()))) == [first[1]]
    assert len(host.kept) == 2
    now.now += 1
    prepared(inputs, user(image(png())))
    assert len(host.kept) == 3


def test_an_address_is_never_given_out_beyond_half_of_its_life() -> None:
    host, now = Host(), Clock()
    inputs = inputs_over(host, now, url_life_s=10)
    prepared(inputs, user(image(png())))
    now.now += 5
    prepared(inputs, user(image(png())))
    assert len(host.kept) == 2


def test_what_an_instance_remembers_is_bounded() -> None:
    host = Host()
    inputs = inputs_over(host)
    for start in range(0, 600, 100):
        prepared(inputs, user(*(image(png(side + 1, 1)) for side in range(start, start + 100))))
    assert len(inputs._known) == 512


def test_uploads_run_side_by_side_and_a_few_at_once() -> None:
    host = Host()
    prepared(inputs_over(host), user(*(image(png(side, 1)) for side in range(1, 20))))
    assert (len(host.kept), host.busiest) == (19, AT_ONCE)


def test_a_conversation_goes_on_while_its_earlier_pictures_cannot_be_found() -> None:
    host = Host(GatewayError("The place is gone.", status=503))
    history = [said(f"![A cat]({OWN})"), user("And a dog")]
    assert prepared(inputs_over(host), *history) == history
    assert host.looked == [OWN]


def test_a_failure_of_the_place_ends_them_all() -> None:
    host = Host(GatewayError("The place is full.", status=502))
    with pytest.raises(GatewayError, match="full") as caught:
        prepared(inputs_over(host), user(*(image(png(side, 1)) for side in range(1, 20))))
    assert caught.value.status == 502
    assert (host.busy, host.kept) == (0, [])


def test_without_a_place_the_variable_is_named() -> None:
    with pytest.raises(InvalidRequest, match="IMAGE_BUCKET"):
        prepared(inputs_over(None), user(image(png())))
    assert prepared(inputs_over(None), user("Hi", image("https://a.example/b.png")))
    assert not inputs_over(None).concerns(b"own-1")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (data_url(b"<svg/>"), "invalid_image"),
        ("data:image/png;base64,a", "invalid_base64"),
        ("data:,x", "invalid_base64"),
        ("data:image/png;base64," + "A" * (MAX_PICTURE_BYTES * 4 // 3 + 4), "image_too_large"),
    ],
)
def test_what_is_no_picture_goes_nowhere(url: str, code: str) -> None:
    host = Host()
    with pytest.raises(InvalidRequest) as caught:
        prepared(inputs_over(host), user(image(url)))
    assert (caught.value.code, host.kept) == (code, [])


def test_too_many_pictures_are_refused() -> None:
    host = Host()
    with pytest.raises(InvalidRequest, match=str(MAX_PICTURES)):
        prepared(inputs_over(host), user(*(image(png(side, 1)) for side in range(1, MAX_PICTURES + 2))))
    assert host.kept == []


@pytest.mark.parametrize("only_urls", [True, False])
def test_requests_without_pictures_stay_as_they_are(only_urls: bool) -> None:
    request = CanonicalRequest(
        model="m", input=[user("Hi", image("https://a.example/b.png")), said("![a](/own-1.png)")]
    )
    assert asyncio.run(inputs_over(Host()).prepare(request, only_urls=only_urls)) is request


def test_data_stays_data_where_it_is_welcome() -> None:
    host = Host()
    items = [user(image(png()))]
    assert prepared(inputs_over(host), *items, only_urls=False) == items
    assert host.kept == []


@pytest.mark.parametrize("only_urls", [True, False])
def test_an_own_picture_that_was_shown_comes_back_with_a_fresh_address(only_urls: bool) -> None:
    host = Host()
    shown = said(f"Here: ![image]({OWN}) ![other](https://a.example/b.png)")
    found = prepared(inputs_over(host), user("draw"), shown, user("make it blue"), only_urls=only_urls)
    assert found[1] == said("Here: [image 1] ![other](https://a.example/b.png)")
    assert found[2] == user("make it blue", image(f"{OWN}?fresh"))
    assert host.looked == [OWN]


def test_a_picture_that_is_gone_stays_an_address() -> None:
    host = Host()
    host.gone.add(OWN)
    items = [said(f"![image]({OWN})"), user("make it blue")]
    assert prepared(inputs_over(host), *items) == items


def test_only_the_newest_pictures_are_looked_for() -> None:
    host = Host()
    prepared(inputs_over(host), *(said(f"![a](https://x.example/own-{number})") for number in range(20)), user("Hi"))
    assert host.looked == [f"https://x.example/own-{number}" for number in range(4, 20)]


def test_an_inner_address_is_for_upstreams_that_want_nothing_else() -> None:
    host = Host()
    items = [said("![image](http://10.0.0.7:9000/own-1.png)"), user("make it blue")]
    assert prepared(inputs_over(host), *items, only_urls=False) == items
    assert host.looked == []
    assert prepared(inputs_over(host), *items) != items


def test_bodies_that_may_show_a_picture_are_known() -> None:
    assert inputs_over(Host()).concerns(b"own-1")
    assert not inputs_over(Host()).concerns(b"x")
