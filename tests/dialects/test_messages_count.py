"""The estimate, against counts that were made with the vocabulary o200k_base."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lib.dialects.messages_count import PER_FILE, PER_IMAGE, count, count_tokens, rough_count
from lib.errors import InvalidRequest
from tests.dialects.messages_streams import request
from tests.fakes.codex_answers import png

ENGLISH = (
    "The harbour master keeps a log of every vessel that enters or leaves the bay. Each entry names the ship, its "
    "draught, the berth that it was given and the hour of its arrival. When fog comes in, the pilots wait outside "
    "until the horn of the old lighthouse has been heard three times."
)
PYTHON = '''
def days_between(first: date, last: date) -> int:
    """The number of days from one date to the other."""
    if first > last:
        raise ValueError(f"{first} is after {last}")
    return sum(1 for _ in range(first.toordinal(), last.toordinal()))
'''
CHINESE = "今天的天气很好，我们决定去海边散步。请帮我写一个函数，计算两个日期之间相差的天数，并且要考虑闰年的情况。"
JAPANESE = (
    "今日は天気がとても良いので、海辺まで散歩に出かけることにしました。"
    "二つの日付の間の日数を計算する関数を書いてください。"
)
KOREAN = (
    "오늘은 날씨가 아주 좋아서 우리는 바닷가로 산책을 나가기로 했습니다. "
    "두 날짜 사이의 일수를 계산하는 함수를 작성해 주세요."
)
JSON = (
    '{"type":"object","properties":{"city":{"type":"string"},'
    '"days":{"type":"integer","minimum":1}},"required":["city"]}'
)
COUNTED = {ENGLISH: 61, PYTHON: 64, CHINESE: 38, JAPANESE: 42, KOREAN: 36, JSON: 30}


def tokens(text: str) -> int:
    empty = count(request(messages=[{"role": "user", "content": ""}]))
    return count(request(messages=[{"role": "user", "content": text}])) - empty


@pytest.mark.parametrize(("text", "exact"), COUNTED.items(), ids=["english", "python", "zh", "ja", "ko", "json"])
def test_the_error_is_bounded(text: str, exact: int) -> None:
    assert abs(tokens(text) / exact - 1) < 0.3
    assert abs(tokens(text * 50) / (exact * 50) - 1) < 0.3


@pytest.mark.parametrize("text", COUNTED, ids=["english", "python", "zh", "ja", "ko", "json"])
def test_the_rough_count_is_not_far_off(text: str) -> None:
    long = request(messages=[{"role": "user", "content": text * 20}])
    assert 0.6 < rough_count(long) / count(long) < 1.6


def test_a_long_text_is_sampled_and_takes_no_longer() -> None:
    short, long = ENGLISH * 100, ENGLISH * 10_000
    assert abs(tokens(long) / tokens(short) / 100 - 1) < 0.05
    asked = request(messages=[{"role": "user", "content": long}])
    started = time.perf_counter()
    count(asked)
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    "more",
    [
        {"system": ENGLISH},
        {"tools": [{"name": "t", "description": ENGLISH, "input_schema": {}}]},
        {"output_format": {"type": "json_schema", "schema": {"description": ENGLISH}}},
        {"messages": [{"role": "user", "content": "Hello there"}, {"role": "assistant", "content": ENGLISH}]},
    ],
    ids=lambda more: next(iter(more)),
)
def test_everything_that_is_sent_counts(more: dict[str, Any]) -> None:
    assert count(request(**more)) - count(request()) > 55
    assert rough_count(request(**more)) - rough_count(request()) > 55


def test_what_is_no_text_counts_as_documented() -> None:
    def of(*blocks: dict[str, Any]) -> int:
        return count(request(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}, *blocks]}]))

    image = {"type": "base64", "media_type": "image/png", "data": png("x")}
    assert of({"type": "image", "source": image}) - of() == PER_IMAGE
    assert of({"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}}) - of() == PER_FILE
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "A" * 670_000}
    assert of({"type": "document", "source": pdf}) - of() == 10_000


def test_sealed_reasoning_counts() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "reasoning.v1:" + "A" * 800}
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": [thought]}]
    plain = count(request(messages=messages[:1]))
    assert 100 <= count(request(messages=messages)) - plain <= 110


def test_the_answer_is_the_apis_and_needs_no_limit() -> None:
    messages = [{"role": "user", "content": "Hello there"}]
    assert count_tokens({"model": "m", "messages": messages}) == {"input_tokens": count(request())}
    with pytest.raises(InvalidRequest):
        count_tokens({"model": "m"})
