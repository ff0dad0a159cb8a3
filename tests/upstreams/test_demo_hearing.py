from __future__ import annotations

import io
import re
import wave
from typing import Any

import openai
import pytest
from openai.types.audio import (
    Transcription,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
    TranslationVerbose,
)

from lib.errors import InvalidRequest
from lib.upstreams.demo_hearing import wav_length_s
from tests.upstreams.demo_forwarding import forwarded, sdk

HEARS = "/audio/transcriptions"


def wav(seconds: float = 1.5) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(int(16_000 * seconds)))
    return written.getvalue()


def heard(
    path: str = HEARS, file: bytes = b"not wav", name: str = "a.mp3", **fields: str
) -> tuple[dict[str, str], str]:
    parts = [f'name="{field}"\r\n\r\n{value}'.encode() for field, value in fields.items()]
    parts.append(f'name="file"; filename="{name}"\r\n\r\n'.encode() + file)
    body = b"".join(b"--b\r\nContent-Disposition: form-data; %b\r\n" % part for part in parts) + b"--b--\r\n"
    headers, pieces = forwarded(path, body, "multipart/form-data; boundary=b")
    return headers, b"".join(pieces).decode()


def test_the_text_is_honest_and_names_the_file() -> None:
    with sdk() as client:
        raw = client.audio.transcriptions.with_raw_response.create(model="whisper-1", file=("dive log.wav", wav()))
    found = Transcription.model_validate_json(raw.content, strict=True)
    assert "cannot hear" in found.text
    assert f"dive log.wav arrived ({len(wav())} bytes, 1.50 seconds of WAV)" in found.text
    assert found.usage is not None
    assert found.usage.to_dict() == {"type": "duration", "seconds": 2}


def test_the_verbose_form_has_segments_and_words_that_fill_the_time() -> None:
    with sdk() as client:
        raw = client.audio.transcriptions.with_raw_response.create(
            model="whisper-1",
            file=("a.wav", wav()),
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
    assert "x-gateway-ignored" not in raw.headers
    found = TranscriptionVerbose.model_validate_json(raw.content)
    assert (found.duration, found.language) == (1.5, "english")
    assert found.words is not None
    assert found.segments is not None
    assert (found.segments[0].start, found.segments[-1].end) == (0.0, 1.5)
    assert " ".join(segment.text for segment in found.segments) == found.text
    assert " ".join(word.word for word in found.words) == found.text
    assert found.words[-1].end == 1.5


def test_a_stream_says_the_same_word_by_word() -> None:
    with sdk() as client:
        events = list(client.audio.transcriptions.create(model="m", file=("a.wav", wav()), stream=True))
    *deltas, done = events
    for delta in deltas:
        assert isinstance(delta, TranscriptionTextDeltaEvent)
    assert isinstance(done, TranscriptionTextDoneEvent)
    TranscriptionTextDoneEvent.model_validate(done.to_dict(), strict=True)
    assert "".join(delta.to_dict()["delta"] for delta in deltas) == done.text  # type: ignore[misc]
    assert done.usage is not None
    assert done.usage.input_tokens == 15


def test_translations_have_their_own_forms() -> None:
    with sdk() as client, pytest.deprecated_call():
        plain = client.audio.translations.create(model="whisper-1", file=("a.wav", wav()))
        raw = client.audio.translations.with_raw_response.create(
            model="whisper-1", file=("a.wav", wav()), response_format="verbose_json"
        )
    assert "cannot translate" in plain.text
    found = TranslationVerbose.model_validate_json(raw.content)
    assert found.duration == 1.5
    assert "usage" not in found.model_fields_set


def test_subtitles_are_timed() -> None:
    headers, srt = heard(file=wav(2.0), response_format="srt")
    assert headers["content-type"].startswith("text/plain")
    assert re.findall(r"(?m)^\d\n\S+ --> \S+$", srt) == [
        "1\n00:00:00,000 --> 00:00:01,000",
        "2\n00:00:01,000 --> 00:00:02,000",
    ]
    headers, vtt = heard(name="<a> --> b & c.wav", response_format="vtt")
    assert headers["content-type"].startswith("text/vtt")
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n")
    assert "&lt;a&gt; --&gt; b &amp; c.wav" in vtt
    assert heard(response_format="text")[1].endswith("bytes).\n")


def test_only_texts_are_streamed() -> None:
    headers, _ = heard(stream="true", response_format="srt")
    assert headers["x-gateway-ignored"] == "stream"
    assert heard(stream="true", response_format="text")[0] == {"content-type": "text/event-stream"}
    assert heard(stream="false")[0] == {"content-type": "application/json"}
    assert heard("/audio/translations", stream="true")[0]["x-gateway-ignored"] == "stream"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "diarized_json"}, "response_format"),
        ({"stream": "perhaps"}, "stream"),
        ({"timestamp_granularities[]": "syllable"}, "timestamp_granularities"),
        ({"file": b""}, "file"),
    ],
)
def test_what_it_cannot_do_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        heard(**fields)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_a_form_without_a_file_is_refused() -> None:
    with sdk() as client, pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(model="m", file=("a.wav", b""))
    assert caught.value.param == "file"


def test_a_long_or_strange_name_stays_on_one_line() -> None:
    _, text = heard(name="\u2028" + "x" * 3000, response_format="text")
    assert "�xxx" in text
    assert len(text) < 400


@pytest.mark.parametrize(
    ("data", "length_s"),
    [
        (wav(), 1.5),
        (wav()[: 44 + 8000], 0.5),
        (wav().replace(b"data" + (24_000).to_bytes(4, "little"), b"data\xff\xff\xff\xff"), 1.5),
        (wav()[:36] + b"LIST\x03\x00\x00\x00abc\x00" + wav()[36:], 1.5),
        (wav()[:20], None),
        (wav()[:36], None),
        (b"RIFF\x00\x00\x00\x00WAVEdata\x04\x00\x00\x00aaaa", None),
        (b"RIFF\x00\x00\x00\x00AVI ", None),
        (b"ID3", None),
        (b"RIFF\x00\x00\x00\x00WAVE" + b"junk\x00\x00\x00\x00" * 100_000, None),
    ],
)
def test_the_length_of_a_wav_file_is_read_from_what_is_there(data: bytes, length_s: float | None) -> None:
    assert wav_length_s(data) == length_s
