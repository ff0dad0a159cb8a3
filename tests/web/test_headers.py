"""What the gateway reads of a request's headers."""

from __future__ import annotations

import pytest

from lib.web.headers import SESSION_HEADERS, is_strict, session_of

Headers = list[tuple[bytes, bytes]]


@pytest.mark.parametrize("name", SESSION_HEADERS)
def test_a_session_is_what_any_of_the_headers_names(name: bytes) -> None:
    assert session_of({"headers": [(b"accept", b"*/*"), (name, b"c-1")]}) == "c-1"


def test_headers_are_believed_in_their_order_whatever_the_clients() -> None:
    headers = [(name, name.upper()) for name in reversed(SESSION_HEADERS)]
    assert session_of({"headers": headers}) == "SESSION-ID"


@pytest.mark.parametrize("value", [b"", b"x" * 257, b"two words", b"a\tb", "schön".encode(), b"a\x00"])
def test_a_name_that_is_too_long_or_not_plain_is_none_and_hides_no_other(value: bytes) -> None:
    assert session_of({"headers": [(b"session-id", value)]}) is None
    assert session_of({"headers": [(b"session-id", value), (b"thread-id", b"t")]}) == "t"


def test_the_longest_name_that_is_plain_is_one() -> None:
    assert session_of({"headers": [(b"session-id", b"~" * 256)]}) == "~" * 256


def test_a_request_without_such_headers_has_no_session() -> None:
    assert session_of({"headers": []}) is None
    assert session_of({"headers": [(b"x-session", b"s"), (b"authorization", b"Bearer s")]}) is None


@pytest.mark.parametrize(
    ("headers", "strict"),
    [
        ([(b"x-gateway-strict", b"true")], True),
        ([(b"x-gateway-strict", b" TRUE ")], True),
        ([(b"x-gateway-strict", b"1")], False),
        ([(b"x-gateway-strict", b"false")], False),
        ([(b"x-gateway-strict", b"")], False),
        ([], False),
    ],
)
def test_a_caller_asks_for_strictness_with_true_alone(headers: Headers, strict: bool) -> None:
    assert is_strict({"headers": headers}) is strict
