from __future__ import annotations

import base64
import io
import time
import wave
from typing import Any

import pytest

from tests.upstreams.demo_forwarding import asked, frames, refused, sdk

PATH = "/audio/speech"


def said(text: str = "Hello there, sailor.", **members: Any) -> bytes:
    return asked(PATH, **{"model": "m", "input": text, "voice": "alloy", **members})[1]


def test_the_sdk_gets_a_wav_file_piece_by_piece() -> None:
    with (
        sdk() as client,
        client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts", voice="alloy", input="Hello there, sailor.", response_format="wav"
        ) as answer,
    ):
        assert answer.headers["content-type"] == "audio/wav"
        sound = b"".join(answer.iter_bytes())
    assert int.from_bytes(sound[4:8], "little") == len(sound) - 8
    with wave.open(io.BytesIO(sound)) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate()) == (1, 2, 24_000)
        assert read.getnframes() * 2 == len(sound) - 44
        samples = memoryview(read.readframes(read.getnframes())).cast("h")
    assert max(samples) > 5000
    assert 1.0 < len(samples) / 24_000 < 3.0


def test_pcm_is_the_same_sound_without_a_header() -> None:
    headers, pcm = asked(PATH, input="Ahoy", voice="alloy", response_format="pcm")
    assert headers == {"content-type": "audio/pcm"}
    assert said("Ahoy", response_format="wav")[44:] == pcm


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", None])
def test_compressed_formats_are_wav_and_say_so(format: str | None) -> None:
    headers, sound = asked(PATH, input="Ahoy", voice="alloy", response_format=format)
    assert headers == {"content-type": "audio/wav", "x-gateway-ignored": "response_format"}
    assert sound[:4] == b"RIFF"


def test_events_carry_the_same_sound() -> None:
    headers, body = asked(PATH, input="Ahoy there", voice="alloy", response_format="wav", stream_format="sse")
    assert headers["content-type"] == "text/event-stream"
    *deltas, done = frames(body)
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert len(deltas) == 2
    sound = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    assert sound == said("Ahoy there", response_format="wav")
    assert done["type"] == "speech.audio.done"
    usage = done["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_speed_and_voice_are_heard() -> None:
    normal, fast, slow = (len(said(speed=speed)) for speed in (None, 4, 0.25))
    assert 3.5 < normal / fast < 4.5
    assert 3.5 < slow / normal < 4.5
    assert said(voice="alloy") != said(voice="onyx")
    assert said(voice={"id": "alloy"}) == said(voice="alloy")


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": ""}, "input", "empty_string"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": "x" * 4097}, "input", "string_above_max_length"),
        ({"voice": None}, "voice", "missing_required_parameter"),
        ({"voice": 7}, "voice", "invalid_type"),
        ({"voice": {}}, "voice", "missing_required_parameter"),
        ({"speed": 0.2}, "speed", "decimal_below_min_value"),
        ({"speed": 5}, "speed", "decimal_above_max_value"),
        ({"speed": True}, "speed", "invalid_type"),
        ({"response_format": "ogg"}, "response_format", "invalid_value"),
        ({"stream_format": "ws"}, "stream_format", "invalid_value"),
        ({"model": 1}, "model", "invalid_type"),
    ],
)
def test_what_the_api_refuses_is_refused(members: dict[str, Any], param: str, code: str) -> None:
    error = refused(PATH, **{"model": "m", "input": "Hi", "voice": "alloy", **members})
    assert (error.status, error.param, error.code) == (400, param, code)


def test_the_longest_text_takes_little_time() -> None:
    began = time.process_time()
    assert len(said("The quick brown fox, 42! "[:24] * 170)) > 5_000_000
    assert time.process_time() - began < 2
