"""Pictures between dialect and upstream: what is asked for, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
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
    """What to edit, or what to be guided by; empty for a generation."""
    mask: InputImage | None = None
    n: int = 1
    stream: bool = False
    response_format: str | None = None
    """"url" or "b64_json"."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """size, quality, style, background, output_format, output_compression, moderation, input_fidelity,
    partial_images, user: checked, under the API's names."""
    affinity: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class PartialImage:
    """A picture that is not finished."""

    b64_json: str = field(repr=False)
    index: int


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
