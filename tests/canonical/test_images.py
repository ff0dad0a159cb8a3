"""Several calls' pictures as one result."""

from __future__ import annotations

from typing import Any

from lib.canonical.images import FinishedImage, ImagesResult, InputImage, joined


def result(name: str, **more: Any) -> ImagesResult:
    return ImagesResult(created=1, pictures=(FinishedImage(name),), **more)


def test_pictures_keep_their_order_and_usage_adds_up() -> None:
    details = {"image_tokens": 1, "text_tokens": 2}
    first = result("a", size="1x1", usage={"input_tokens": 3, "input_tokens_details": details, "note": "x"})
    second = result("b", usage={"input_tokens": 4, "input_tokens_details": details, "output_tokens": 5})
    whole = joined([first, second, result("c")])
    assert [picture.b64_json for picture in whole.pictures] == ["a", "b", "c"]
    assert whole.size == "1x1"
    assert whole.usage == {
        "input_tokens": 7,
        "input_tokens_details": {"image_tokens": 2, "text_tokens": 4},
        "output_tokens": 5,
    }
    assert details == {"image_tokens": 1, "text_tokens": 2}


def test_one_result_stays_as_it_is() -> None:
    only = result("a", usage={"note": "x"})
    assert joined([only]) is only
    assert joined([result("a"), result("b")]).usage is None


def test_pictures_and_addresses_stay_out_of_logs() -> None:
    assert "secret" not in repr(InputImage("image/png", b"secret", "https://secret.example"))
