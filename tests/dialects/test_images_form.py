"""Forms become the bodies that their JSON would have been."""

from __future__ import annotations

import pytest

from lib.canonical.images import InputImage
from lib.dialects.forward_form import Form, FormPart, Span
from lib.dialects.images_form import body_of
from lib.dialects.images_request import EDIT, parse_edit
from lib.errors import InvalidRequest
from tests.canonical.pictures import png


def form(*parts: tuple[str, str | bytes]) -> Form:
    """Texts, and files where the value is bytes."""
    return Form(b"", "", tuple(_part(name, value) for name, value in parts))


def _part(name: str, value: str | bytes) -> FormPart:
    span = Span(0, 0, 0)
    if isinstance(value, bytes):
        return FormPart(name, "a.png", "application/octet-stream", value, span)
    return FormPart(name, None, "", value.encode("utf-8", "surrogateescape"), span)


def test_strings_become_what_the_table_wants() -> None:
    body = body_of(
        EDIT,
        form(
            *(("prompt", "12"), ("n", " 2"), ("stream", "True"), ("output_compression", "80"), ("size", "")),
            *(("seed", "4"), ("quality", "high"), ("image", png())),
        ),
    )
    picture = InputImage("application/octet-stream", png())
    assert body == {
        **{"prompt": "12", "n": 2, "stream": True, "output_compression": 80, "seed": "4", "quality": "high"},
        "image": [picture],
    }
    request = parse_edit(body)
    assert (request.n, request.stream, request.images) == (2, True, (InputImage("image/png", png()),))
    assert request.asked["seed"] == "seed"


@pytest.mark.parametrize(
    "names", [("image", "image"), ("image[]", "image[]"), ("image[0]", "image[1]"), ("images[]",) * 2]
)
def test_every_spelling_of_a_list_is_read(names: tuple[str, str]) -> None:
    request = parse_edit(body_of(EDIT, form(("prompt", "p"), *((name, png()) for name in names), ("mask", png()))))
    assert len(request.images) == 2
    assert request.mask is not None


def test_a_picture_may_be_a_url() -> None:
    body = body_of(EDIT, form(("prompt", "p"), ("image", "https://example.com/a.png")))
    assert parse_edit(body).images[0].url == "https://example.com/a.png"


@pytest.mark.parametrize(
    ("parts", "param"),
    [
        ([("prompt", "p")], "image"),
        ([("prompt", "p"), ("image", b"")], "image[0]"),
        ([("prompt", "p"), ("image", b"<svg/>")], "image[0]"),
        ([("prompt", "p"), ("image", "\udcff")], "image[0]"),
        ([("prompt", "p")] + [("image[]", png())] * 17, "image"),
        ([("prompt", png()), ("image", png())], "prompt"),
        ([("prompt", "p"), ("prompt", "q"), ("image", png())], "prompt"),
        ([("prompt", "p"), ("n", "two"), ("image", png())], "n"),
        ([("prompt", "p"), ("n", "9" * 30), ("image", png())], "n"),
        ([("prompt", "p"), ("stream", "maybe"), ("image", png())], "stream"),
        ([("prompt", "\udcff"), ("image", png())], "prompt"),
    ],
)
def test_what_does_not_fit_is_refused(parts: list[tuple[str, str | bytes]], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_edit(body_of(EDIT, form(*parts)))
    assert caught.value.param == param
