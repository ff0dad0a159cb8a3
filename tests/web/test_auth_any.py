"""Any bytes in any credential header: a caller or a 401, and nothing else."""

from __future__ import annotations

import time

from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib.errors import AuthenticationError
from lib.types import Caller
from lib.web.auth import Authenticator

KEY, PREFIX, PAIR = "sk-local-canary-0123456789", "private-canary-", ("pair-1", "secret-canary-0123456789")
AUTH = Authenticator([KEY], [PREFIX], pairs=[PAIR], now=lambda: 1_795_000_000.0)
UNCONFIGURED = Authenticator([])

NAMES = st.sampled_from([b"authorization", b"x-api-key", b"api-key", b"x-date", b"date", b"host"])
PIECES = st.sampled_from(
    [
        *(b"Bearer ", b"bearer", b"Basic ", b" ", b"\t", b",", b":", b"\r\n", b"\x00", b"\xff", b"eyJ9.eyJ9.x"),
        *(KEY.encode(), PREFIX.encode(), b"acc_1", b"pair-1:", b"c2lnbmF0dXJl", b"1795000000"),
        b"Sun, 06 Nov 1994 08:49:37 GMT",
    ]
)
VALUES = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=8).map(b"".join))


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=5))
@example([(b"authorization", b"Bearer " + b"x" * 1_000_000)])
@example([(b"authorization", b"Bearer " + b"," * 16_000)])
@example([(b"authorization", b"Bearer eyJ" + b"-" * 16_000)])
@example([(b"authorization", b"Bearer pair-1:x"), (b"x-date", b"9" * 5000)])
@example([(b"authorization", b"Bearer pair-1:x"), (b"date", b"Sun, 99 Nov 99999999 99:99:99 GMT")])
@example([(b"authorization", b" ")] * 10_000)
def test_any_headers_are_a_caller_or_a_refusal(headers: list[tuple[bytes, bytes]]) -> None:
    started = time.perf_counter()
    for auth in (AUTH, UNCONFIGURED):
        try:
            found = auth.caller(headers)
        except AuthenticationError as error:
            assert error.status == 401
            assert "canary" not in error.message
        else:
            assert isinstance(found, Caller)
            assert KEY.encode() in b"".join(value for _, value in headers) or found.token
    assert time.perf_counter() - started < 0.5
