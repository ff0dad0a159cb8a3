"""`/audio/speech` of the demo upstream: the input, read aloud by a synthesiser.

The formats are `wav` and `pcm` (24 kHz, 16 bits, mono). Compressed formats need a codec: who asks for one, or for none
and so for mp3, gets WAV under its true content type.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator

import msgspec

from lib import sse
from lib.upstreams.demo_fields import Made, Members, missing, wrong_type
from lib.upstreams.demo_plan import tokens
from lib.upstreams.demo_voice import RATE, SAMPLE_BYTES, length, plan, spoken

MAX_INPUT_CHARS = 4096

_FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
_TOKENS_PER_S = 20
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


def speech(content: bytes) -> Made:
    """A sound in pieces of a word, as bytes or as events. Raises InvalidRequest."""
    members = Members.of_json(content)
    members.model()
    text = members.text("input", max_chars=MAX_INPUT_CHARS)
    voice = _voice(members)
    speed = members.number("speed", 0.25, 4.0, 1.0)
    format = members.choice("response_format", _FORMATS, "mp3")
    as_events = members.choice("stream_format", ("audio", "sse"), "audio") == "sse"
    words = plan(text, voice=voice, speed=speed)
    size = length(words)
    pieces = spoken(words) if format == "pcm" else _with_header(wav_header(size), spoken(words))
    ignored = members.unread()
    if format not in ("wav", "pcm"):
        ignored.append("response_format")
    if as_events:
        return Made("text/event-stream", _events(pieces, _usage(text, size)), paced=True, ignored=ignored)
    return Made("audio/pcm" if format == "pcm" else "audio/wav", pieces, paced=True, ignored=ignored)


def wav_header(data_bytes: int) -> bytes:
    """What goes before so many bytes of PCM."""
    rest = _HEADER.size - 8 + data_bytes
    byte_rate = RATE * SAMPLE_BYTES
    format = (b"fmt ", 16, 1, 1, RATE, byte_rate, SAMPLE_BYTES, 8 * SAMPLE_BYTES)
    return _HEADER.pack(b"RIFF", rest, b"WAVE", *format, b"data", data_bytes)


def _voice(members: Members) -> str:
    """A voice's name, or the id of a custom one; any will do."""
    value = members.take("voice")
    if isinstance(value, dict):
        value = value.get("id")
    if value is None or value == "":
        raise missing("voice")
    if type(value) is not str:
        raise wrong_type("voice", "a string", value)
    return value


def _with_header(header: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield header + next(pieces, b"")
    yield from pieces


def _usage(text: str, size: int) -> dict[str, int]:
    heard = max(1, round(size / SAMPLE_BYTES / RATE * _TOKENS_PER_S))
    said = max(1, len(tokens(text)))
    return {"input_tokens": said, "output_tokens": heard, "total_tokens": said + heard}


def _events(pieces: Iterator[bytes], usage: dict[str, int]) -> Iterator[bytes]:
    for piece in pieces:
        audio = base64.b64encode(piece).decode()
        yield sse.encode(msgspec.json.encode({"type": "speech.audio.delta", "audio": audio}))
    yield sse.encode(msgspec.json.encode({"type": "speech.audio.done", "usage": usage}))
