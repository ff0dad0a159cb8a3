"""The image endpoints of the fake Codex backend: JSON in, JSON with base64 pictures out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.fakes import codex_errors as errors
from tests.fakes import codex_rules as rules
from tests.fakes.codex_accounts import Account
from tests.fakes.codex_answers import png
from tests.fakes.codex_behaviours import Behaviour, http_error
from tests.fakes.codex_composer import CREATED_AT
from tests.fakes.codex_items import check_image

if TYPE_CHECKING:
    from tests.fakes.codex_backend import Recorded

MODELS = frozenset({"gpt-image-1.5", "gpt-image-2"})
_COMMON = frozenset(
    {"model", "prompt", "n", "size", "quality", "background", "output_format", "output_compression", "moderation"}
)
_CHOICES = {
    "quality": ["low", "medium", "high", "auto"],
    "background": ["transparent", "opaque", "auto"],
    "output_format": ["png", "jpeg", "webp"],
    "moderation": ["auto", "low"],
}


def images(record: Recorded, account: Account) -> Behaviour:
    """`POST /images/generations` and `/images/edits`. Raises Refused."""
    body = rules.json_body(record.headers.get("content-type", ""), record.body)
    edits = record.path.endswith("/edits")
    for name in sorted(body.keys() - (_COMMON | {"images", "mask", "input_fidelity"} if edits else _COMMON)):
        errors.unknown_key(name)
    if account.plan == "free":
        errors.api("Image generation is not available.", code="unsupported_value")
    _check(body)
    if edits:
        _check_pictures(body)
    count = body.get("n", 1)
    look = {"background": "opaque", "output_format": "png", "quality": "medium", "size": "1024x1024"}
    usage = {
        "input_tokens": len(body["prompt"]) // 4 + 1,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": len(body["prompt"]) // 4 + 1},
        "output_tokens": 1056 * count,
        "output_tokens_details": {"image_tokens": 1056 * count, "text_tokens": 0},
        "total_tokens": 1056 * count + len(body["prompt"]) // 4 + 1,
    }
    data = [{"b64_json": png(f"{body['prompt']} {number}")} for number in range(count)]
    return http_error(200, {"created": CREATED_AT, **look, "data": data, "usage": usage})


def _check(body: dict[str, Any]) -> None:
    if body.get("model") not in MODELS:
        errors.bad_value("model", body.get("model"), sorted(MODELS))
    if not isinstance(body.get("prompt"), str) or not body["prompt"]:
        errors.missing("prompt")
    count = body.get("n", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 10:
        errors.bad_value("n", count, ["1", "10"])
    for name, supported in _CHOICES.items():
        if name in body and body[name] not in supported:
            errors.bad_value(name, body[name], supported)
    if body["model"] == "gpt-image-2":
        if body.get("background") == "transparent" or "input_fidelity" in body:
            errors.bad_value("background", "transparent", ["opaque", "auto"])
        _check_size(body.get("size", "auto"))


def _check_size(size: object) -> None:
    if size == "auto":
        return
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", str(size))
    if found is None:
        errors.bad_value("size", size, ["auto", "1024x1024"])
    width, height = int(found[1]), int(found[2])
    sides_fit = width % 16 == 0 and height % 16 == 0 and max(width, height) <= 3840
    if not sides_fit or max(width, height) > 3 * min(width, height) or not 655_360 <= width * height <= 8_294_400:
        errors.bad_value("size", size, ["auto", "1024x1024"])


def _check_pictures(body: dict[str, Any]) -> None:
    pictures = body.get("images")
    if not isinstance(pictures, list) or not pictures:
        errors.missing("images")
    masks = [body["mask"]] if "mask" in body else []
    for number, picture in enumerate([*pictures, *masks]):
        url = picture.get("image_url") if isinstance(picture, dict) else None
        if not str(url).startswith("data:"):
            errors.bad_type(f"images[{number}].image_url", "a data URL")
        check_image(url, f"images[{number}].image_url")
