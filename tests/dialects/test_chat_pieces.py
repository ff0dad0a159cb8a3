import pytest

from lib.canonical.events import Event
from lib.dialects.chat_pieces import piece_of, response_of
from lib.errors import UpstreamError


def test_half_a_character_is_kept() -> None:
    piece = piece_of(Event("x", b'{"delta":"a\\ud83d","output_index":2,"content_index":1,"summary_index":4}'))
    assert (piece.delta, piece.at) == ("a\ud83d", (2, 1))
    assert (piece.key("text"), piece.key("summary")) == ((2, "text", 1), (2, "summary", 4))


@pytest.mark.parametrize("data", [b'{"delta":"\\ud83d"', b'{"delta":"\xff"}', b"[" * 100_000, b'{"delta":5}', b"[]"])
def test_what_is_no_event_is_the_upstreams_failure(data: bytes) -> None:
    with pytest.raises(UpstreamError):
        piece_of(Event("x", data))
    with pytest.raises(UpstreamError):
        response_of(Event("x", b'{"response":5}'))
