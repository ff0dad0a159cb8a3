"""OPENAI_IMAGE_INPUT=url: an upstream that takes pictures by their address alone gets those that callers send as data
out of the bucket; and pictures that were drawn in an earlier turn are shown to it again."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.canonical.pictures import gif, png
from tests.fakes.openai_backend import OpenAIBackend
from tests.fakes.s3_bucket import SECRET, Bucket, s3_bucket
from tests.journeys.compatible import KEYS, Compatible, Start, compatible
from tests.journeys.gateway import Host

SHOWN = re.compile(r"!\[image\]\(([^)\s]+)\)")
WIRES = pytest.mark.parametrize("wire", ["chat", "responses"])
B64 = base64.b64encode(png()).decode()
DATA = f"data:image/png;base64,{B64}"


@pytest.fixture(scope="module")
def module_bucket(no_proxy_of_the_machine: None) -> Iterator[Bucket]:
    with s3_bucket("inputs") as found:
        yield found


@pytest.fixture
def bucket(module_bucket: Bucket) -> Bucket:
    module_bucket.empty()
    return module_bucket


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def started(**settings: Any) -> Compatible:
            backend = stack.enter_context(OpenAIBackend(keys=KEYS[:1], models=None, only_urls=True))
            fixed = {"backend": backend, "openai_image_input": "url", "secrets": [SECRET]}
            return stack.enter_context(compatible(host, http, **{**fixed, **settings}))

        yield started


def addresses(value: Any) -> list[str]:
    """The URLs of the pictures in what reached the upstream, in order."""
    if isinstance(value, list):
        return [url for each in value for url in addresses(each)]
    if not isinstance(value, dict):
        return []
    url = value.get("image_url")
    if url is not None:
        return [url["url"] if isinstance(url, dict) else url]
    return addresses(list(value.values()))


def assert_serves(url: str, data: bytes, kind: str = "image/png") -> None:
    assert "X-Amz-Signature=" in url and SECRET not in url
    found = httpx.get(url, trust_env=False)
    assert (found.status_code, found.headers["content-type"], found.content) == (200, kind, data)


def asked(url: str, *before: Any) -> list[Any]:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    return [*before, {"role": "user", "content": parts}]


@WIRES
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_a_picture_in_a_chat_is_put_into_the_bucket_once(
    start: Start, bucket: Bucket, wire: str, streamed: bool
) -> None:
    gateway = start(openai_wire=wire, image_bucket=f"s3://{bucket.name}/some/where")
    create: Any = gateway.sdk().chat.completions.create
    messages = asked(DATA)
    for _ in range(2):
        answer = create(model="gpt-test", messages=messages, stream=streamed)
        text = (
            "".join(each.choices[0].delta.content or "" for each in answer if each.choices)
            if streamed
            else answer.choices[0].message.content
        )
        assert text
        messages = asked(DATA, *messages, {"role": "assistant", "content": text})
    first, second = addresses(gateway.backend.requests[0].json), addresses(gateway.backend.requests[1].json)
    assert second == first * 2
    assert_serves(first[0], png())
    assert [key.rpartition("/")[0] for key in bucket.keys()] == ["some/where"]


@WIRES
def test_pictures_of_the_messages_api_and_of_tools(start: Start, bucket: Bucket, wire: str) -> None:
    gateway = start(openai_wire=wire, image_bucket=f"s3://{bucket.name}")
    seen = base64.b64encode(gif()).decode()
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": B64}}
    found = {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": seen}}
    messages: Any = [
        {"role": "user", "content": [block, {"type": "text", "text": "Look around."}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [found]}]},
    ]
    tools: Any = [{"name": "look", "input_schema": {"type": "object"}}]
    assert gateway.anthropic().messages.create(model="gpt-test", max_tokens=99, messages=messages, tools=tools).content
    urls = addresses(gateway.sent)
    assert_serves(urls[0], png())
    assert_serves(urls[1], gif(), "image/gif")
    assert sorted(key.rpartition(".")[2] for key in bucket.keys()) == ["gif", "png"]


@WIRES
def test_pictures_of_responses(start: Start, bucket: Bucket, wire: str) -> None:
    gateway = start(openai_wire=wire, image_bucket=f"s3://{bucket.name}")
    picture = {"type": "input_image", "image_url": DATA, "detail": "low"}
    items: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "Look"}, picture]},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [picture]},
    ]
    assert gateway.sdk().responses.create(model="gpt-test", input=items).output_text
    urls = addresses(gateway.sent)
    assert len(urls) == 2 and len(set(urls)) == 1
    assert_serves(urls[0], png())


@WIRES
def test_what_holds_no_data_is_forwarded_unread(start: Start, bucket: Bucket, wire: str) -> None:
    gateway = start(openai_wire=wire, image_bucket=f"s3://{bucket.name}")
    if wire == "chat":
        path, body = "/chat/completions", {"messages": asked("https://a.example/b.png"), "logit_bias": {"1": 2}}
    else:
        path, body = "/responses", {"input": "Hi", "truncation": "auto"}
    assert gateway.send("POST", f"/v1{path}", json={"model": "gpt-test", **body}).status_code == 200
    assert gateway.sent == {"model": "gpt-test", **body}
    assert bucket.keys() == []


def test_without_a_bucket_the_caller_is_told(start: Start) -> None:
    gateway = start(openai_wire="chat")
    with pytest.raises(openai.BadRequestError, match="IMAGE_BUCKET") as refusal:
        gateway.sdk().chat.completions.create(model="gpt-test", messages=asked(DATA))
    assert refusal.value.type == "invalid_request_error"
    block: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": B64}}
    with pytest.raises(anthropic.BadRequestError, match="IMAGE_BUCKET"):
        gateway.anthropic().messages.create(
            model="gpt-test", max_tokens=99, messages=[{"role": "user", "content": [block]}]
        )
    assert gateway.backend.requests == []
    assert gateway.sdk().chat.completions.create(model="gpt-test", messages=asked("https://a.example/b.png")).choices


def test_a_bucket_that_is_not_there_is_told(start: Start, bucket: Bucket) -> None:
    gateway = start(openai_wire="chat", image_bucket="s3://no-such-bucket-here/x")
    with pytest.raises(openai.InternalServerError, match="IMAGE_BUCKET") as failure:
        gateway.sdk().chat.completions.create(model="gpt-test", messages=asked(DATA))
    assert (failure.value.status_code, failure.value.code) == (502, "image_host_refused")
    assert gateway.backend.requests == []


def test_what_is_no_picture_does_not_reach_the_bucket(start: Start, bucket: Bucket) -> None:
    gateway = start(openai_wire="chat", image_bucket=f"s3://{bucket.name}")
    page = base64.b64encode(b"<script>alert(1)</script>").decode()
    with pytest.raises(openai.BadRequestError, match="not a PNG"):
        gateway.sdk().chat.completions.create(model="gpt-test", messages=asked(f"data:image/png;base64,{page}"))
    assert bucket.keys() == []


def test_a_drawn_picture_is_shown_to_the_model_in_the_next_turn(start: Start, bucket: Bucket) -> None:
    gateway = start(openai_wire="responses", image_bucket=f"s3://{bucket.name}/drawn")
    create: Any = gateway.sdk().chat.completions.create
    draw: Any = [{"role": "user", "content": "Please draw image_generation"}]
    text = create(model="gpt-test", messages=draw, extra_body={"function_image_gen": True}).choices[0].message.content
    (url,) = SHOWN.findall(text)
    over = text.replace("X-Amz-Expires=3600", "X-Amz-Expires=1")
    history = [*draw, {"role": "assistant", "content": over}, {"role": "user", "content": "Make it blue"}]
    assert create(model="gpt-test", messages=history).choices[0].message.content
    assert "[image 1]" in str(gateway.sent) and "X-Amz-Expires=1&" not in str(gateway.sent)
    (fresh,) = addresses(gateway.sent)
    assert_serves(fresh, httpx.get(url, trust_env=False).content)
    bucket.empty()
    assert create(model="gpt-test", messages=history).choices[0].message.content
    assert addresses(gateway.sent) == [] and "[image 1]" not in str(gateway.sent)


def test_a_chat_that_shows_one_is_not_forwarded_unread(start: Start, bucket: Bucket) -> None:
    gateway = start(openai_wire="chat", image_bucket=f"s3://{bucket.name}")
    key = f"{'0' * 32}.png"
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=png(), ContentType="image/png")
    url = f"{bucket.client.meta.endpoint_url}/{bucket.name}/{key}?X-Amz-Signature=over"
    history: Any = [{"role": "assistant", "content": f"![image]({url})"}, {"role": "user", "content": "And now?"}]
    assert gateway.sdk().chat.completions.create(model="gpt-test", messages=history).choices
    (fresh,) = addresses(gateway.sent)
    assert_serves(fresh, png())
    create: Any = gateway.sdk().chat.completions.create
    other = create(
        model="gpt-test", messages=[{**history[0], "content": f"![image]({url})".replace(key, f"x{key}")}, history[1]]
    )
    assert other.choices and addresses(gateway.sent) == []
