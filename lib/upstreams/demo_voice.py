"""A small formant synthesiser: text → the sound of somebody who speaks, though in no language.

A voiced sound is one period of three decaying sine waves, the formants of a mouth, repeated at the voice's pitch; hiss
is noise through a resonator; a stop is silence and a puff of it. A period is worked out once and repeated as bytes, so
that a second of sound costs a millisecond or two. All lengths are known before anything is worked out.
"""

from __future__ import annotations

import math
import sys
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

RATE = 24_000
"""Samples in a second, each of `SAMPLE_BYTES`, one channel."""
SAMPLE_BYTES = 2

Formants = tuple[float, float, float]

_LOUD = 11_000
_DECAYS_HZ = (80, 110, 160)
_WEIGHTS = (1.0, 0.6, 0.3)
_GLIDE = (0.25, 0.5, 0.75)
"""How far the mouth has moved from one voiced sound to the next, one period each."""

_VOWEL_MS = 95
_VOWELS: dict[str, Formants] = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
    "y": (300, 2000, 2700),
}
_HUM_MS = 60
_HUMS: dict[str, Formants] = {
    "m": (250, 1000, 2200),
    "n": (250, 1450, 2300),
    "l": (360, 1300, 2700),
    "r": (420, 1250, 1600),
    "w": (300, 700, 2200),
    "j": (270, 2200, 3000),
    "v": (240, 1150, 2250),
}
_HISS_MS = 75
_HISSES = {"s": (6500, 0.5), "z": (5200, 0.4), "x": (5800, 0.5), "f": (4000, 0.2), "h": (1500, 0.2), "c": (5000, 0.4)}
"""Letter → the noise's centre in Hz, and how loud it is."""
_CLOSED_MS, _PUFF_MS = 40, 18
_STOPS = {"p": (800, 0.5), "b": (600, 0.5), "t": (4200, 0.5), "d": (3200, 0.5), "k": (1900, 0.5), "g": (1500, 0.5)}
_DIGITS = dict(zip("0123456789", ("zo", "wan", "tu", "tri", "for", "fai", "six", "sev", "eit", "nai"), strict=True))

_GAP_MS = 55
_PAUSES_MS = {",": 180, ";": 200, ":": 200, ".": 320, "!": 320, "?": 320, "\n": 320}
_SENTENCE_ENDS = ".!?\n"
_MELODY = (0.93, 0.96, 1.0, 0.97, 1.02, 1.05)
"""The length of a period, word by word of a sentence: the voice falls."""
_LOWEST_HZ, _HIGHEST_HZ = 95, 215
_MAX_WORD = 24
"""Sounds; a longer word is said in parts, so that no piece is large."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A stretch of sound: a period of `samples`, said `times` times over. Silence has neither formants nor a centre."""

    samples: int
    times: int = 1
    formants: Formants | None = None
    volume: float = 0.0
    centre_hz: int = 0


def plan(text: str, *, voice: str, speed: float) -> list[list[Sound]]:
    """What to say, word by word. The same text, voice and speed sound the same each time."""
    period = RATE / (_LOWEST_HZ + crc32(voice.encode(errors="replace")) % (_HIGHEST_HZ - _LOWEST_HZ + 1))
    words: list[list[Sound]] = [[]]
    nth = 0
    for char in unicodedata.normalize("NFD", text).lower():
        if char.isspace() or char in _PAUSES_MS:
            words[-1].append(Sound(_samples(_PAUSES_MS.get(char, _GAP_MS), speed)))
            words.append([])
            nth = 0 if char in _SENTENCE_ENDS else min(nth + 1, len(_MELODY) - 1)
        else:
            if len(words[-1]) >= _MAX_WORD:
                words.append([])
            for letter in _DIGITS.get(char, char):
                words[-1] += _letter(letter, round(period * _MELODY[nth]), speed)
    return [word for word in words if word]


def length(words: Sequence[Sequence[Sound]]) -> int:
    """How many bytes `spoken` makes of these words."""
    return sum(sound.samples * sound.times for word in words for sound in word) * SAMPLE_BYTES


def spoken(words: Sequence[Sequence[Sound]]) -> Iterator[bytes]:
    """PCM, little-endian, one piece for each word."""
    for word in words:
        yield b"".join(_stretches(word))


def _letter(letter: str, period: int, speed: float) -> list[Sound]:
    category = unicodedata.category(letter)
    if letter in _HISSES:
        centre_hz, volume = _HISSES[letter]
        return [Sound(_samples(_HISS_MS, speed), volume=volume, centre_hz=centre_hz)]
    if letter in _STOPS or letter == "q":
        centre_hz, volume = _STOPS.get(letter, _STOPS["k"])
        closed = Sound(_samples(_CLOSED_MS, speed))
        return [closed, Sound(_samples(_PUFF_MS, speed), volume=volume, centre_hz=centre_hz)]
    if letter in _HUMS:
        return [Sound(period, _times(_HUM_MS, period, speed), _HUMS[letter], 0.5)]
    if letter in _VOWELS:
        return [Sound(period, _times(_VOWEL_MS, period, speed), _VOWELS[letter], 1.0)]
    if category[0] in "LNS":  # other scripts and pictures: a vowel that is always the same
        vowel = sorted(_VOWELS)[ord(letter) % len(_VOWELS)]
        return [Sound(period, _times(_VOWEL_MS, period, speed), _VOWELS[vowel], 1.0)]
    return []


def _samples(ms: float, speed: float) -> int:
    return max(1, round(ms * RATE / 1000 / speed))


def _times(ms: float, period: int, speed: float) -> int:
    return max(1, round(_samples(ms, speed) / period))


def _stretches(word: Sequence[Sound]) -> Iterator[bytes]:
    before: Formants | None = None
    for sound in word:
        if sound.formants is None:
            yield _hiss(sound.samples, sound.centre_hz, sound.volume) if sound.volume else _silence(sound.samples)
        else:
            yield from _voiced(sound, sound.formants, before)
        before = sound.formants


def _voiced(sound: Sound, formants: Formants, before: Formants | None) -> Iterator[bytes]:
    """The sound, reached from the one before it when that was voiced, too."""
    times = sound.times
    for share in _GLIDE if before is not None and times > len(_GLIDE) else ():
        between = _between(before or formants, formants, share)
        yield _period(between, sound.samples, sound.volume)
        times -= 1
    yield _period(formants, sound.samples, sound.volume) * times


def _between(start: Formants, end: Formants, share: float) -> Formants:
    first, second, third = (low + (high - low) * share for low, high in zip(start, end, strict=True))
    return first, second, third


def _silence(samples: int) -> bytes:
    return bytes(samples * SAMPLE_BYTES)


@lru_cache(maxsize=512)
def _period(formants: Formants, samples: int, volume: float) -> bytes:
    wave = [0.0] * samples
    for hertz, decay_hz, weight in zip(formants, _DECAYS_HZ, _WEIGHTS, strict=True):
        turn, fade = 2 * math.pi * hertz / RATE, math.pi * decay_hz / RATE
        for at in range(samples):
            wave[at] += weight * math.exp(-fade * at) * math.sin(turn * at)
    return _encoded(wave, volume)


@lru_cache(maxsize=64)
def _hiss(samples: int, centre_hz: int, volume: float) -> bytes:
    """Noise from a fixed seed through a resonator of two poles, faded at both ends."""
    radius = 0.93
    back, further = 2 * radius * math.cos(2 * math.pi * centre_hz / RATE), radius * radius
    wave, last, before, seed = [0.0] * samples, 0.0, 0.0, centre_hz
    fade = max(1, min(samples // 2, RATE // 200))
    for at in range(samples):
        seed = (seed * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
        last, before = seed / 0x3FFF_FFFF - 1 + back * last - further * before, last
        wave[at] = last * min(1.0, at / fade, (samples - at) / fade)
    return _encoded(wave, volume)


def _encoded(wave: Sequence[float], volume: float) -> bytes:
    """As 16-bit samples whose peak is the volume."""
    gain = volume * _LOUD / (max(map(abs, wave)) or 1.0)
    samples = array("h", (round(value * gain) for value in wave))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
