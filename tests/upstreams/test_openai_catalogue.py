"""Model lists of servers, and which of the models write text."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lib.errors import UpstreamError
from lib.types import Model
from lib.upstreams.openai_catalogue import catalogue, writes_text


def listed(*entries: Any) -> list[str]:
    return [model.id for model in catalogue(msgspec.json.encode({"object": "list", "data": entries}))]


@pytest.mark.parametrize(
    "name",
    [
        *("text-embedding-3-large", "text-embedding-ada-002", "omni-moderation-latest", "text-moderation-007"),
        *("whisper-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-transcribe", "gpt-realtime", "gpt-audio-mini"),
        *("gpt-4o-realtime-preview", "gpt-4o-audio-preview", "dall-e-3", "gpt-image-1-mini", "chatgpt-image-latest"),
        *("sora-2-pro", "babbage-002", "davinci-002", "gpt-3.5-turbo-instruct-0914"),
        *("openai/text-embedding-3-small", "nomic-embed-text:latest", "BAAI/bge-m3", "models/imagen-4"),
    ],
)
def test_models_of_other_kinds_are_known_by_their_names(name: str) -> None:
    assert not writes_text({"id": name})


@pytest.mark.parametrize(
    "name",
    [
        *("gpt-5.5", "o3", "gpt-4o-search-preview", "chatgpt-4o-latest", "gpt-3.5-turbo", "codex-mini-latest"),
        *("llama3.3:70b", "qwen2.5-coder:7b-instruct", "deepseek-chat", "meta-llama/Llama-3.1-8B-Instruct"),
        *("mistral-large-latest", "whisper-tuners/gpt-oss", ""),
    ],
)
def test_all_other_names_are_taken_for_models_that_write(name: str) -> None:
    assert writes_text({"id": name})


def test_what_a_list_says_of_a_model_counts_more_than_its_name() -> None:
    assert writes_text({"id": "gpt-4o-audio-preview", "architecture": {"output_modalities": ["audio", "text"]}})
    assert not writes_text({"id": "gpt-5-image", "architecture": {"output_modalities": ["image"]}})
    for odd in (None, "text", {}, {"output_modalities": "text"}, {"input_modalities": ["image"]}):
        assert writes_text({"id": "gpt-5.5", "architecture": odd})


def test_models_that_write_stand_first_and_all_keep_their_order() -> None:
    names = ("text-embedding-3-large", "gpt-5.5", "whisper-1", "o3", "dall-e-3")
    assert listed(*({"id": name} for name in names)) == [
        *("gpt-5.5", "o3"),
        *("text-embedding-3-large", "whisper-1", "dall-e-3"),
    ]
    assert listed({"id": "my-tts"}, {"id": "my-embedder"}) == ["my-tts", "my-embedder"]


def test_a_bare_list_will_do_and_what_is_no_entry_is_left_out() -> None:
    found = catalogue(b'[{"id":"m","display_name":"M","context_window":9},{"id":5},7,{"name":"n"}]')
    assert found == [Model("m", "M", 9)]


def test_a_name_that_nobody_could_ask_for_is_none_and_one_that_comes_twice_stands_once() -> None:
    assert listed(*({"id": name} for name in ("", " ", "b", "a", "b"))) == ["b", "a"]


@pytest.mark.parametrize("length", [True, -1, 0, "9", 9.0, None])
def test_what_is_no_length_is_left_out(length: Any) -> None:
    (model,) = catalogue(msgspec.json.encode([{"id": "m", "context_length": length, "max_model_len": 7}]))
    assert model.context_length == 7


@pytest.mark.parametrize("body", [b"", b"{}", b'{"data":{}}', b"7", b"<html>", b"\xff"])
def test_what_is_no_list_is_a_clear_error(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="model list") as caught:
        catalogue(body)
    assert caught.value.code == "upstream_bad_response"
