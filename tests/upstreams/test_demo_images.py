"""The demo's pictures: size, number and partial images as asked, and no pretence."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from lib.canonical.images import ImagesRequest, ImagesResult, InputImage, PartialImage
from lib.canonical.pictures import measure, size_of
from lib.errors import InvalidRequest
from lib.types import Lease
from lib.upstreams.demo_images import DemoImages
from tests.canonical.pictures import png

LEASE = Lease("d", "demo", {})


def ask(*, slept: list[float] | None = None, **fields: Any) -> list[PartialImage | ImagesResult]:
    pauses: list[float] = [] if slept is None else slept

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def main() -> list[PartialImage | ImagesResult]:
        upstream = DemoImages(pause_s=0.5, sleep=sleep, now=lambda: 1000.5)
        request = ImagesRequest(**{"model": "any", "prompt": "A cat", "affinity": "a", **fields})
        answer = await upstream.images(request, LEASE, timeout_s=1)
        try:
            return [piece async for piece in answer]
        finally:
            await answer.aclose()

    return asyncio.run(main())


def made(**fields: Any) -> ImagesResult:
    (result,) = ask(**fields)
    assert isinstance(result, ImagesResult)
    return result


def test_a_picture_has_the_size_that_was_asked_for() -> None:
    result = made(parameters={"size": "320x200", "output_format": "webp"})
    (picture,) = result.pictures
    assert size_of(picture.b64_json or "") == result.size == "320x200"
    assert (result.created, result.output_format) == (1000, "png")
    assert "demo upstream" in (picture.revised_prompt or "") and "A cat" in (picture.revised_prompt or "")
    assert result.usage is not None and result.usage["total_tokens"] == result.usage["input_tokens"] == 1


def test_several_pictures_differ_and_come_back_the_same() -> None:
    result = made(n=3, parameters={"size": "256x256"})
    assert len({picture.b64_json for picture in result.pictures}) == 3
    assert result == made(n=3, parameters={"size": "256x256"})
    assert made(affinity="b", parameters={"size": "256x256"}).pictures[0] not in result.pictures


def test_a_stream_brings_ever_finer_pictures() -> None:
    slept: list[float] = []
    *partial, last = ask(slept=slept, stream=True, parameters={"size": "256x256", "partial_images": 3})
    assert [piece.index for piece in partial if isinstance(piece, PartialImage)] == [0, 1, 2]
    assert isinstance(last, ImagesResult)
    kept = {piece.b64_json for piece in [*partial, *last.pictures] if isinstance(piece.b64_json, str)}  # type: ignore[union-attr]
    assert len(kept) == 4 and {size_of(each) for each in kept} == {"256x256"}
    assert slept == [0.5] * 4


def test_an_edit_says_what_it_was_given() -> None:
    images = (InputImage("image/png", png(320, 240)), InputImage("image/png", png(9, 9)))
    result = made(is_edit=True, images=images, mask=InputImage("image/png", png()))
    said = result.pictures[0].revised_prompt or ""
    assert "image/png of 320x240, image/png of 9x9 and a mask" in said
    assert result.size == "320x240"
    found = measure(base64.b64decode(result.pictures[0].b64_json or ""))
    assert found is not None and found.size == "320x240"


def test_an_edit_of_a_huge_picture_has_the_ordinary_size() -> None:
    images = (InputImage("image/png", png(9000, 9000)),)
    assert made(is_edit=True, images=images).size == made().size == "1024x1024"


@pytest.mark.parametrize("size", ["5000x10", "4000x4000"])
def test_sizes_out_of_bounds_are_refused(size: str) -> None:
    with pytest.raises(InvalidRequest, match=f"Invalid size {size}") as caught:
        ask(parameters={"size": size})
    assert caught.value.param == "size"
