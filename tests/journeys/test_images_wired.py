"""Pictures through gateways as their settings wire them, with and without a bucket to put them into."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from moto.server import ThreadedMotoServer

from lib.canonical.pictures import measure
from lib.settings import Settings
from lib.web.app import create_app
from tests.canonical.pictures import png
from tests.fakes import openai_images
from tests.fakes.codex_backend import CodexBackend
from tests.fakes.serving import serving
from tests.journeys.gateway import KEY, TOKENS

SECRET = "aws-secret-canary-0123456789"
SHOWN = re.compile(r"!\[image\]\(([^)\s]+)\)")
SIZE: Any = "256x256"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Settings of the environment for a bucket on this machine."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with httpx.Client(trust_env=False) as client, pytest.MonkeyPatch.context() as patch:
        assert client.put(f"http://{host}:{port}/pictures").status_code == 200
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIACANARY")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
        yield "s3://pictures/made"
    server.stop()


@contextlib.contextmanager
def gateway(**settings: Any) -> Iterator[openai.OpenAI]:
    app = create_app(Settings(**{"_env_file": None, "auth_tokens": KEY, **settings}))
    with serving(app, lifespan="on", access_log=False) as url, httpx.Client(trust_env=False, timeout=10) as http:
        options: dict[str, Any] = {"api_key": KEY, "base_url": f"{url}/v1", "max_retries": 0, "http_client": http}
        yield openai.OpenAI(**options)


@pytest.fixture(scope="module")
def codex() -> Iterator[CodexBackend]:
    with CodexBackend() as backend:
        yield backend


@pytest.fixture(scope="module")
def compatible() -> Iterator[tuple[openai_images.OpenAIImages, str]]:
    server = openai_images.OpenAIImages()
    with serving(server, lifespan="off") as url:
        yield server, f"{url}/v1"


@pytest.fixture(scope="module", params=["demo", "codex", "openai"])
def hosted(
    request: pytest.FixtureRequest, bucket: str, codex: CodexBackend, compatible: Any
) -> Iterator[openai.OpenAI]:
    with gateway(**settings_of(request.param, codex, compatible[1]), image_bucket=bucket) as found:
        yield found


@pytest.fixture(scope="module", params=["demo", "codex", "openai"])
def plain(request: pytest.FixtureRequest, codex: CodexBackend, compatible: Any) -> Iterator[openai.OpenAI]:
    with gateway(**settings_of(request.param, codex, compatible[1])) as found:
        yield found


def settings_of(upstream: str, codex: CodexBackend, url: str) -> dict[str, Any]:
    if upstream == "codex":
        return {"chatgpt_access_tokens": TOKENS[0], "chatgpt_base_url": codex.url}
    return {"openai_api_key": openai_images.KEY, "openai_base_url": url} if upstream == "openai" else {}


def assert_serves(url: str | None) -> None:
    """An address that is signed, ends, and leads to a PNG."""
    assert url is not None and "X-Amz-Signature=" in url and "X-Amz-Expires=3600" in url and SECRET not in url
    assert "/pictures/made/" in url
    found = httpx.get(url, trust_env=False)
    assert (found.status_code, found.headers["content-type"]) == (200, "image/png")
    assert measure(found.content) is not None


def test_an_address_leads_to_the_picture(hosted: openai.OpenAI) -> None:
    reply = hosted.images.generate(model="gpt-image-2", prompt="A cat", n=2, size=SIZE, response_format="url")
    assert reply.data is not None and len(reply.data) == 2
    assert len({picture.url for picture in reply.data}) == 2
    for picture in reply.data:
        assert_serves(picture.url)
    assert all(picture.b64_json is None for picture in reply.data)


def test_base64_stays_base64(hosted: openai.OpenAI) -> None:
    reply = hosted.images.generate(model="gpt-image-2", prompt="A cat", size=SIZE, response_format="b64_json")
    assert reply.data is not None and reply.data[0].url is None
    assert measure(base64.b64decode(reply.data[0].b64_json or "")) is not None


def test_an_edit_has_an_address_too(hosted: openai.OpenAI) -> None:
    reply = hosted.images.edit(
        model="gpt-image-2",
        image=[("a.png", png(8, 8)), ("b.png", png(9, 9))],
        mask=("m.png", png()),
        prompt="p",
        response_format="url",
    )
    assert reply.data is not None
    assert_serves(reply.data[0].url)


def test_without_a_bucket_the_address_is_a_data_url(plain: openai.OpenAI) -> None:
    reply = plain.images.generate(model="gpt-image-2", prompt="A cat", size=SIZE, response_format="url")
    assert reply.data is not None and (reply.data[0].url or "").startswith("data:image/png;base64,")


def test_pictures_stream(plain: openai.OpenAI) -> None:
    with plain.images.generate(model="gpt-image-2", prompt="A cat", size=SIZE, stream=True) as stream:
        events = list(stream)
    assert events[-1].type == "image_generation.completed"
    assert measure(base64.b64decode(events[-1].b64_json)) is not None


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("upstream", ["demo", "codex"])
@pytest.mark.parametrize("with_bucket", [True, False])
def test_a_picture_in_a_chat(
    codex: CodexBackend, bucket: str, upstream: str, streamed: bool, with_bucket: bool
) -> None:
    settings = {**settings_of(upstream, codex, ""), **({"image_bucket": bucket} if with_bucket else {})}
    with gateway(**settings) as client:
        create: Any = client.chat.completions.create
        fields: Any = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "Please draw image_generation"}]}
        answer = create(**fields, stream=streamed, extra_body={"function_image_gen": True})
        if streamed:
            text = "".join(each.choices[0].delta.content or "" for each in answer if each.choices)
        else:
            text = answer.choices[0].message.content
        (url,) = SHOWN.findall(text)
        if with_bucket:
            assert_serves(url)
            assert "base64" not in text
        else:
            assert url.startswith("data:image/png;base64,")
        # The answer goes back as history.
        history = [*fields["messages"], {"role": "assistant", "content": text}, {"role": "user", "content": "Thanks"}]
        assert create(model="gpt-5.5", messages=history).choices[0].message.content


def test_responses_keep_the_picture_in_base64(hosted: openai.OpenAI) -> None:
    try:
        answer = hosted.responses.create(
            model="gpt-5.5", input="Please draw image_generation", tools=[{"type": "image_generation"}]
        )
    except openai.APIStatusError as refusal:
        assert refusal.status_code in (400, 404), refusal  # the fake serves pictures alone
        return
    (call,) = [item for item in answer.output if item.type == "image_generation_call"]
    assert measure(base64.b64decode(call.result or "")) is not None


def test_a_bucket_that_is_not_there_is_told(bucket: str) -> None:
    with gateway(image_bucket="s3://no-such-bucket-here/x") as client:
        with pytest.raises(openai.InternalServerError, match="IMAGE_BUCKET") as failure:
            client.images.generate(prompt="A cat", size=SIZE, response_format="url")
        assert failure.value.code == "image_host_refused"
        create: Any = client.chat.completions.create
        fields: Any = {"model": "m", "messages": [{"role": "user", "content": "draw image_generation"}]}
        with pytest.raises(openai.APIError, match="IMAGE_BUCKET"):
            create(**fields, extra_body={"function_image_gen": True})
        with pytest.raises(openai.APIError, match="IMAGE_BUCKET"):
            list(create(**fields, stream=True, extra_body={"function_image_gen": True}))


def test_addresses_of_the_upstream_are_read_only_from_the_public_web(compatible: Any) -> None:
    server, url = compatible
    local = {"created": 1, "data": [{"url": f"{url}/secret.png"}]}
    with gateway(openai_api_key=openai_images.KEY, openai_base_url=url) as client:
        before = len(server.seen)
        server.script.append((200, local))
        begun = time.monotonic()
        with pytest.raises(openai.APIStatusError) as failure:
            client.images.generate(model="dall-e-3", prompt="A cat", response_format="b64_json")
        assert time.monotonic() - begun < 1 and failure.value.status_code in (400, 502)
        assert [seen.path for seen in server.seen[before:]] == ["/v1/images/generations"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/a.png", "http://169.254.169.254/", "file:///etc/passwd", "data:,x"]
)
def test_input_pictures_are_read_only_from_the_public_web(plain: openai.OpenAI, url: str) -> None:
    begun = time.monotonic()
    body = {"prompt": "p", "model": "gpt-image-2", "images": [{"image_url": url}]}
    with pytest.raises(openai.BadRequestError):
        plain.post("/images/edits", body=body, cast_to=object)
    assert time.monotonic() - begun < 1
