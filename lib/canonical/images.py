"""Pictures between dialect and upstream: what is asked for, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class InputImage:
    """A picture that the caller sent: its bytes, or an http(s) address."""

    media_type: str
    """`image/png` and the like; empty for an address."""
    data: bytes = field(default=b"", repr=False)
    url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesRequest:
    """One request for pictures; `None` means that the caller did not say."""

    model: str | None
    prompt: str = field(repr=False)
    is_edit: bool = False
    images: tuple[InputImage, ...] = ()
    """What to edit, or what to be guided by; empty for a generation. An upstream gets bytes only: the relay has read
    the addresses."""
    mask: InputImage | None = None
    n: int = 1
    stream: bool = False
    response_format: str | None = None
    """"url" or "b64_json"."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """size, quality, style, background, output_format, output_compression, moderation, input_fidelity,
    partial_images, user, safety_identifier: checked, under the API's names."""
    asked: Mapping[str, str] = field(default_factory=dict)
    """What the caller asked for that has an effect, as in `CanonicalRequest.asked`. A size that only retired models
    make stands under a name of its own (`size.small`), and so does what has no effect where it was asked for
    (`response_format.streamed`, `partial_images.whole`)."""
    affinity: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class PartialImage:
    """A picture that is not finished. Members that the upstream did not name are None."""

    b64_json: str = field(repr=False)
    index: int
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    output_format: str | None = None


@dataclass(frozen=True, slots=True)
class FinishedImage:
    """One picture: as base64, or as an address of the upstream's."""

    b64_json: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    revised_prompt: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesResult:
    """What one call made. Members that the upstream did not name are None."""

    created: int
    """Epoch seconds."""
    pictures: tuple[FinishedImage, ...]
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    output_format: str | None = None
    usage: Mapping[str, Any] | None = None


def joined(results: Sequence[ImagesResult]) -> ImagesResult:
    """Several calls' results as one: all pictures in the order given, usage added up; the rest is what the first call
    said."""
    first = results[0]
    if len(results) == 1:
        return first
    usage: dict[str, Any] = {}
    for result in results:
        _add(usage, result.usage or {})
    return ImagesResult(
        created=first.created,
        pictures=tuple(picture for result in results for picture in result.pictures),
        size=first.size,
        quality=first.quality,
        background=first.background,
        output_format=first.output_format,
        usage=usage or None,
    )


def _add(total: dict[str, Any], usage: Mapping[str, Any]) -> None:
    for name, value in usage.items():
        if isinstance(value, Mapping):
            nested = total.get(name)
            inner: dict[str, Any] = nested if isinstance(nested, dict) else {}
            _add(inner, value)
            total[name] = inner
        elif isinstance(value, int):
            known = total.get(name)
            total[name] = value + (known if isinstance(known, int) else 0)
