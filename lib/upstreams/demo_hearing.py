"""`/audio/transcriptions` and `/audio/translations` of the demo upstream, which cannot hear.

The text says so, and names what can be known without ears: the file, its size, and how long a WAV file is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from lib import sse
from lib.upstreams.demo_fields import Made, Members, missing, printable, wrong_value
from lib.upstreams.demo_form import Form, Upload, parse_form
from lib.upstreams.demo_plan import tokens

_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_GRANULARITIES = frozenset({"word", "segment"})
_STREAMED = frozenset({"json", "text"})
_TRUE = frozenset({"true", "1"})
_FALSE = frozenset({"false", "0", ""})
_MAX_NAME_CHARS = 100
_UNKNOWN_SENTENCE_S = 2.0
"""How long a sentence stands in subtitles when nobody knows how long the sound is."""
_AUDIO_TOKENS_PER_S = 10

_RIFF_HEADER = 12
_CHUNK_HEADER = 8
_BYTE_RATE_AT = 8
"""Where the bytes per second stand in a `fmt ` chunk, of four bytes."""


def heard(content: bytes, content_type: str, *, translates: bool) -> Made:
    """The text, in the form that was asked for. Raises InvalidRequest."""
    form = parse_form(content, content_type)
    members = Members({name: values[0] for name, values in form.fields.items()})
    members.model()
    upload = form.files.get("file")
    if upload is None:
        raise missing("file")
    if not upload.data:
        raise wrong_value("file", "a file that is not empty", "")
    format = members.choice("response_format", _FORMATS, "json")
    streams = not translates and _switch(members, "stream")
    granularities = set() if translates else _granularities(form, members)
    length_s = wav_length_s(upload.data)
    sentences = _sentences(upload, length_s, "translate" if translates else "transcribe")
    if streams and format in _STREAMED:
        return Made("text/event-stream", _events(" ".join(sentences), length_s), paced=True, ignored=members.unread())
    ignored = [*members.unread(), *(["stream"] if streams else [])]
    media_type, body = _FORMS[format](sentences, length_s, granularities, "translate" if translates else "transcribe")
    return Made(media_type, iter([body]), ignored=ignored)


def wav_length_s(data: bytes) -> float | None:
    """How long a WAV file is, by its header and by what of it is there; None for everything else."""
    if data[:4] != b"RIFF" or data[8:_RIFF_HEADER] != b"WAVE":
        return None
    byte_rate, at = 0, _RIFF_HEADER
    while at + _CHUNK_HEADER <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += _CHUNK_HEADER
        if name == b"fmt ":
            byte_rate = int.from_bytes(data[at + _BYTE_RATE_AT : at + _BYTE_RATE_AT + 4], "little")
        elif name == b"data":
            # A stream's header says all ones, because nobody knew the size yet.
            return min(size, len(data) - at) / byte_rate if byte_rate else None
        at += size + size % 2
    return None


def _switch(members: Members, name: str) -> bool:
    """Forms have no booleans."""
    value = members.text(name, default="").strip().lower()
    if value not in _TRUE | _FALSE:
        raise wrong_value(name, "one of 'true', 'false'", value)
    return value in _TRUE


def _granularities(form: Form, members: Members) -> set[str]:
    found: set[str] = set()
    for name in ("timestamp_granularities", "timestamp_granularities[]"):
        members.take(name)
        found.update(form.fields.get(name, ()))
    wrong = sorted(found - _GRANULARITIES)
    if wrong:
        raise wrong_value("timestamp_granularities", "one of 'word', 'segment'", wrong[0])
    return found


def _sentences(upload: Upload, length_s: float | None, verb: str) -> list[str]:
    name = printable(upload.name[:_MAX_NAME_CHARS]) or "without a name"
    length = "" if length_s is None else f", {length_s:.2f} seconds of WAV"
    return [
        f"This is the demo upstream, which cannot hear and so cannot {verb}.",
        f"The file {name} arrived ({len(upload.data)} bytes{length}).",
    ]


def _events(text: str, length_s: float | None) -> Iterator[bytes]:
    words = tokens(text)
    for word in words:
        yield sse.encode(msgspec.json.encode({"type": "transcript.text.delta", "delta": word}))
    audio = math.ceil((length_s or 0) * _AUDIO_TOKENS_PER_S)
    usage = {
        "type": "tokens",
        "input_tokens": audio,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio},
        "output_tokens": len(words),
        "total_tokens": audio + len(words),
    }
    yield sse.encode(msgspec.json.encode({"type": "transcript.text.done", "text": text, "usage": usage}))


# --- Forms of a whole answer ----------------------------------------------------------------------------------------

_Form = Callable[[Sequence[str], float | None, set[str], str], tuple[str, bytes]]
"""(sentences, length in seconds, granularities, task) → content type and body."""


def _json(sentences: Sequence[str], length_s: float | None, _: set[str], task: str) -> tuple[str, bytes]:
    text = {"text": " ".join(sentences)}
    return "application/json", msgspec.json.encode(text if task == "translate" else {**text, **_duration(length_s)})


def _text(sentences: Sequence[str], *_: object) -> tuple[str, bytes]:
    return "text/plain; charset=utf-8", f"{' '.join(sentences)}\n".encode(errors="replace")


def _srt(sentences: Sequence[str], length_s: float | None, *_: object) -> tuple[str, bytes]:
    cues = (
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text.replace('-->', '->')}\n\n"
        for number, (text, start, end) in enumerate(_timed(sentences, length_s), 1)
    )
    return "text/plain; charset=utf-8", "".join(cues).encode(errors="replace")


def _vtt(sentences: Sequence[str], length_s: float | None, *_: object) -> tuple[str, bytes]:
    cues = (
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n{_escaped(text)}\n\n"
        for text, start, end in _timed(sentences, length_s)
    )
    return "text/vtt; charset=utf-8", "".join(["WEBVTT\n\n", *cues]).encode(errors="replace")


def _verbose(sentences: Sequence[str], length_s: float | None, granularities: set[str], task: str) -> tuple[str, bytes]:
    timed = list(_timed(sentences, length_s))
    body: dict[str, Any] = {
        "task": task,
        "language": "english",
        "duration": round(length_s or 0.0, 3),
        "text": " ".join(sentences),
    }
    if "word" in granularities:
        body["words"] = [
            {"word": word.strip(), "start": round(start, 3), "end": round(end, 3)}
            for text, first, last in timed
            for word, start, end in _spread(tokens(text), first, last)
        ]
    if "segment" in granularities or not granularities:
        body["segments"] = [_segment(number, *each) for number, each in enumerate(timed)]
    return "application/json", msgspec.json.encode(body if task == "translate" else {**body, **_duration(length_s)})


_FORMS: dict[str, _Form] = {"json": _json, "text": _text, "srt": _srt, "verbose_json": _verbose, "vtt": _vtt}


def _duration(length_s: float | None) -> dict[str, Any]:
    return {"usage": {"type": "duration", "seconds": math.ceil(length_s or 0)}}


def _segment(number: int, text: str, start: float, end: float) -> dict[str, Any]:
    """As certain as can be of having heard no speech."""
    timing = {"id": number, "seek": 0, "start": round(start, 3), "end": round(end, 3), "text": text, "tokens": []}
    return {**timing, "temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 1.0, "no_speech_prob": 1.0}


def _timed(sentences: Sequence[str], length_s: float | None) -> Iterator[tuple[str, float, float]]:
    return _spread(sentences, 0.0, length_s or _UNKNOWN_SENTENCE_S * len(sentences))


def _spread(texts: Sequence[str], start: float, end: float) -> Iterator[tuple[str, float, float]]:
    """Each text with an equal share of the time."""
    share = (end - start) / len(texts)
    for number, text in enumerate(texts):
        yield text, start + share * number, start + share * (number + 1)


def _clock(seconds: float, point: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{point}{milliseconds:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
