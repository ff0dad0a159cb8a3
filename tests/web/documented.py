"""A whole gateway on the demo upstream, and its own document to hold its answers against."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
from jsonschema import Draft202012Validator

from lib import sse
from lib.settings import Settings
from lib.web.app import create_app
from tests.fakes.serving import serving

KEY = "sk-demo-canary-0123456789-wXyZ"
SECRET = "minting-secret-canary-of-the-gateway"
FORM = "multipart/form-data"
MAX_S = 1.0
SLOW_MAX_S = 4.0
SLOW = ("/v1/doctor", "/v1/doctor/stream")
"""Those that take about a second by their nature: a stream with pauses is what they are for."""


def max_s(path: str) -> float:
    """How long an answer may take."""
    return SLOW_MAX_S if path in SLOW else MAX_S


@dataclass(frozen=True)
class Demo:
    """A running gateway with nothing configured but a key, and what other keys are made from."""

    url: str
    http: httpx.Client
    document: dict[str, Any]

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Method, path, operation."""
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                yield method.upper(), path, operation

    def fits(self, schema: dict[str, Any], value: Any) -> None:
        """Raises ValidationError for a value that is not as the document says."""
        Draft202012Validator({**schema, "components": self.document["components"]}).validate(value)


@contextlib.contextmanager
def demo(**settings: Any) -> Iterator[Demo]:
    app = create_app(Settings(**{"_env_file": None, "auth_tokens": KEY, "key_secret": SECRET, **settings}))
    headers = {"authorization": f"Bearer {KEY}"}
    with (
        serving(app, access_log=False, lifespan="on") as url,
        httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=10) as http,
    ):
        yield Demo(url, http, http.get("/openapi.json").json())


def form_of(body: dict[str, Any]) -> dict[str, Any]:
    """The arguments with which httpx sends a documented form."""
    parts = {name: ("recording.wav" if name == "file" else None, value) for name, value in body.items()}
    return {"files": parts}


def data_of(media: dict[str, Any]) -> dict[str, Any]:
    """The schema of the data of a stream's events."""
    data = media["schema"]["properties"]["data"]
    [found] = [each["contentSchema"] for each in data.get("anyOf", [data]) if "contentSchema" in each]
    assert isinstance(found, dict)
    return found


def events_of(stream: bytes) -> list[Any]:
    decoder = sse.Decoder(1 << 24)
    frames = [*decoder.feed(stream), *decoder.flush()]
    return [msgspec.json.decode(data) for _, data in frames if data != b"[DONE]"]
