"""Any bytes in any cut: the same frames, or the same refusal of one that is too large, and nothing else."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib import sse

PIECES = st.sampled_from(
    [
        *(b"data", b"data:", b"data: ", b"event: ", b"id: 1", b":", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n"),
        *(b"event: a\ndata: 1\n\n", b"event: a\ndata: 2\n\n", b"event: b\ndata: 3\n\n"),
        *(b"\xef\xbb\xbf", b"\xef", b"\x00", b"\xff\xfe", b"{}", b"[DONE]", b" ", "\u2028é🜂".encode()),
    ]
)
STREAMS = st.one_of(st.binary(max_size=120), st.lists(PIECES, max_size=24).map(b"".join))


def outcome(stream: bytes, edges: list[int], limit: int) -> tuple[list[sse.Frame], bool]:
    """The frames, and whether the stream was refused after them."""
    decoder, frames = sse.Decoder(limit), list[sse.Frame]()
    cuts = [0, *sorted(edges), len(stream)]
    try:
        for start, end in zip(cuts, cuts[1:], strict=False):
            frames += decoder.feed(stream[start:end])
        frames += decoder.flush()
    except sse.FrameTooLarge:
        return frames, True
    return frames, False


@settings(max_examples=500, deadline=None)
@given(STREAMS, st.lists(st.integers(0, 120), max_size=10), st.sampled_from([0, 1, 7, 40, 1 << 20]))
@example(b"data: \xef\xbb\xbf\r\r\n\r", [1, 2, 3], 7)
def test_any_bytes_are_the_same_frames_in_any_cut(stream: bytes, edges: list[int], limit: int) -> None:
    whole = outcome(stream, [], limit)
    inside = [min(edge, len(stream)) for edge in edges]
    assert outcome(stream, inside, limit) == whole
    assert outcome(stream, list(range(len(stream))), limit) == whole
    assert all(b"\n" not in name and b"\r" not in name + data for name, data in whole[0])


@pytest.mark.parametrize(
    "piece", [b"\n", b"\r", b"data:\n", b"data: x\n\n", b": c\n", b"x", b"event: x\n"], ids=lambda piece: ascii(piece)
)
def test_no_stream_takes_long(piece: bytes) -> None:
    stream = piece * (1_000_000 // len(piece))
    started = time.perf_counter()
    outcome(stream, list(range(0, len(stream), 4096)), 1 << 16)
    assert time.perf_counter() - started < 15  # a search that went over it again and again would take minutes
