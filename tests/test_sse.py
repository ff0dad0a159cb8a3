import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import sse

LIMIT = 1 << 20


def frames_of(stream: bytes, cuts: list[int] | None = None, limit: int = LIMIT) -> list[sse.Frame]:
    decoder = sse.Decoder(limit)
    frames: list[sse.Frame] = []
    edges = [0, *sorted(cuts or []), len(stream)]
    for start, end in zip(edges, edges[1:], strict=False):
        frames += decoder.feed(stream[start:end])
    return frames + decoder.flush()


def data_of(stream: bytes) -> list[bytes]:
    return [data for _, data in frames_of(stream)]


def standard_frames(stream: bytes) -> list[sse.Frame]:
    """The WHATWG algorithm, line by line over the whole stream; a last frame without its blank line counts."""
    stream = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    frames, name, data = [], b"", list[bytes]()
    for line in [*stream.split(b"\n"), b""]:
        if line == b"":
            if data:
                frames.append((name, b"\n".join(data)))
            name, data = b"", []
            continue
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return frames


LINES = st.sampled_from(
    [
        b"data: {}",
        b"data:{}",
        b"data",
        b"data:",
        b"data:  two",
        b"event: response.created",
        b"event:x",
        b"event",
        b"id: 1",
        b"retry: 10",
        b": comment",
        b"",
        b"",
        b"",
        b"unknown: 1",
        b"dataset: 1",
        "data: \u2028\u2029\u0085 é 🜂".encode(),
        b"\xef\xbb\xbfdata: late mark",
        b" data: indented",
    ]
)
STREAMS = st.builds(
    lambda mark, parts, tail: mark + b"".join(line + end for line, end in parts) + tail,
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"]),
    st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=14),
    st.sampled_from([b"", b"data: last", b"data: half\r", b"\n"]),
)


@settings(max_examples=300, deadline=None)
@given(STREAMS, st.data())
def test_frames_are_those_of_the_standard_wherever_the_bytes_are_cut(stream: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    expected = standard_frames(stream)
    assert frames_of(stream, cuts) == expected
    assert frames_of(stream, list(range(len(stream)))) == expected


@pytest.mark.parametrize("stream", [b"\n\n\n", b"\n\n\n:", b"\r\r\rd", b"data: 1\n\n\n\n"])
@pytest.mark.parametrize("limit", range(8))
def test_blank_lines_are_no_part_of_a_frame(stream: bytes, limit: int) -> None:
    ends: list[tuple[list[sse.Frame], bool]] = []
    for cut in (len(stream), 1):
        decoder, frames = sse.Decoder(limit), list[sse.Frame]()
        try:
            for start in range(0, len(stream), cut):
                frames += decoder.feed(stream[start : start + cut])
            ends.append((frames + decoder.flush(), False))
        except sse.FrameTooLarge:
            ends.append((frames, True))
    assert ends[0] == ends[1]


@settings(max_examples=200, deadline=None)
@given(STREAMS, st.integers(0, 40), st.data())
def test_limit_does_not_depend_on_the_cuts(stream: bytes, limit: int, data: st.DataObject) -> None:
    def outcome(cuts: list[int]) -> tuple[list[sse.Frame], bool]:
        decoder, frames = sse.Decoder(limit), list[sse.Frame]()
        edges = [0, *sorted(cuts), len(stream)]
        try:
            for start, end in zip(edges, edges[1:], strict=False):
                frames += decoder.feed(stream[start:end])
            frames += decoder.flush()
        except sse.FrameTooLarge:
            return frames, True
        return frames, False

    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    assert outcome(cuts) == outcome([]) == outcome(list(range(len(stream))))


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_line_end_of_the_standard_ends_a_line(end: bytes) -> None:
    stream = end.join([b"event: a", b"data: 1", b"data: 2", b"", b"data: 3", b"", b""])
    assert frames_of(stream) == [(b"a", b"1\n2"), (b"", b"3")]


def test_one_space_after_the_colon_belongs_to_the_field() -> None:
    assert data_of(b"data:x\n\ndata: x\n\ndata:  x\n\ndata:\n\n") == [b"x", b"x", b" x", b""]


def test_comments_ids_and_nameless_events_make_no_frame() -> None:
    assert frames_of(b": hello\n\nid: 7\nretry: 3\n\nevent: lonely\n\n") == []


def test_event_name_does_not_leak_into_the_next_frame() -> None:
    assert frames_of(b"event: a\n\ndata: 1\n\n") == [(b"", b"1")]


def test_byte_order_mark_is_dropped_at_the_start_only() -> None:
    assert data_of(b"\xef\xbb\xbfdata: 1\n\n\xef\xbb\xbfdata: 2\n\n") == [b"1"]


def test_last_frame_counts_without_its_blank_line() -> None:
    assert data_of(b"data: 1\n\ndata: 2") == [b"1", b"2"]
    assert data_of(b"data: 1\n\ndata: 2\n") == [b"1", b"2"]
    assert data_of(b"data: 1\n\n") == [b"1"]


def test_unicode_line_separators_are_text() -> None:
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf".encode()
    assert data_of(b"data: " + text + b"\n\n") == [text]


def test_frame_leaves_as_soon_as_its_blank_line_is_in() -> None:
    decoder = sse.Decoder(LIMIT)
    assert decoder.feed(b"data: 1\r\n\r") == [(b"", b"1")]
    assert decoder.feed(b"\ndata: 2\n\n") == [(b"", b"2")]


def test_chunks_that_begin_as_the_one_before_are_read_to_their_end() -> None:
    usual = b"event: a\ndata: 1\n\n"
    chunks = [
        usual,
        usual,
        b"event: a\ndata: 2\rdata: 3\n\n",
        usual,
        usual + usual,
        usual,
        b"event: a\ndata: 4",
        b"5\n\n",
        usual,
        b"event: a\ndata: 6\n",
        usual,
    ]
    decoder = sse.Decoder(LIMIT)
    data = [[data for _, data in decoder.feed(chunk)] for chunk in chunks]
    assert data == [[b"1"], [b"1"], [b"2\n3"], [b"1"], [b"1", b"1"], [b"1"], [], [b"45"], [b"1"], [], [b"6\n1"]]


def test_frames_with_and_without_a_name_may_stand_in_one_chunk() -> None:
    named, nameless = b"event: a\ndata: 1\n\n", b"data: 2\n\n"
    for chunk in (named + nameless, nameless + named, nameless + nameless + b": comment\n\n"):
        assert frames_of(chunk) == standard_frames(chunk)


def test_lines_in_the_place_of_a_blank_one_belong_to_the_frame() -> None:
    for line in (b"event: b\n", b"id: 1\n"):
        for chunk in (b"event: a\ndata: 1\n" + line + b"event: c\ndata: 2\n\n", b"data: 1\n" + line + b"data: 2\n\n"):
            assert frames_of(chunk) == standard_frames(chunk)
            assert len(standard_frames(chunk)) == 1


def test_frame_of_exactly_the_limit_passes_and_one_more_byte_does_not() -> None:
    for cut in (0, 10, 11):
        assert len(frames_of(b"data: 6789\n\n", [cut], limit=10)) == 1
        with pytest.raises(sse.FrameTooLarge):
            frames_of(b"data: 67890\n\n", [cut], limit=10)


def test_frames_before_an_oversized_one_are_handed_out_first() -> None:
    decoder = sse.Decoder(10)
    assert decoder.feed(b"data: 1\n\ndata: 0123456789") == [(b"", b"1")]
    with pytest.raises(sse.FrameTooLarge):
        decoder.feed(b"more")
    with pytest.raises(sse.FrameTooLarge):
        decoder.flush()


def test_decoder_holds_nothing_of_a_refused_frame() -> None:
    decoder = sse.Decoder(10)
    with pytest.raises(sse.FrameTooLarge):
        decoder.feed(b"x" * 100_000)
    with pytest.raises(sse.FrameTooLarge):
        decoder.feed(b"data: 1\n\n")


def test_encoded_frames_decode_to_themselves() -> None:
    assert frames_of(sse.encode(b"{}", "response.created") + sse.encode(b"[]")) == [
        (b"response.created", b"{}"),
        (b"", b"[]"),
    ]
    assert frames_of(sse.KEEP_ALIVE) == []
