from __future__ import annotations

import base64
import contextlib
import hmac
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.scoped_keys import (
    MAX_BLOCKS,
    MAX_KEY_CHARS,
    MAX_SKEW_S,
    PREFIX,
    KeyRefused,
    Limits,
    Refusal,
    ScopedKey,
    check,
    mint,
    narrow,
    read,
)

PAGE = (Path(__file__).parents[1] / "docs" / "keys.md").read_text()
SECRET = b"a-secret-canary-of-the-gateway-0001"
OTHER = b"another-secret-canary-of-others-02"
NOW = 1_767_225_600
FULL = Limits(
    models=("gpt-5*", "o3"),
    endpoints=("chat", "/v1/images/*"),
    expires_at=NOW + 3600,
    not_before=NOW - 60,
    label="Ann’s phone",
    requests_per_minute=60,
)
KEY = mint(SECRET, "phone-1", FULL)


def refusal(
    key: str, *, secrets: tuple[bytes, ...] = (SECRET,), now: float = NOW, revoked: tuple[str, ...] = ()
) -> Any:
    with pytest.raises(KeyRefused) as caught:
        check(key, secrets, now, revoked)
    return caught.value.reason


def taken_apart(key: str) -> tuple[list[bytes], bytes]:
    """By hand, from the page."""
    text = key.removeprefix("sk-c2a-")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    blocks, rest = [], raw[1:-32]
    while rest:
        size = int.from_bytes(rest[:2], "big")
        blocks.append(rest[2 : 2 + size])
        rest = rest[2 + size :]
    return blocks, raw[-32:]


def put_together(blocks: list[bytes], signature: bytes) -> str:
    framed = b"".join(len(block).to_bytes(2, "big") + block for block in blocks)
    return "sk-c2a-" + base64.urlsafe_b64encode(b"\x01" + framed + signature).decode().rstrip("=")


def signed(*blocks: bytes, secret: bytes = SECRET) -> str:
    signature = hmac.digest(secret, b"chat2api scoped key 1\0" + blocks[0], "sha256")
    for block in blocks[1:]:
        signature = hmac.digest(signature, block, "sha256")
    return put_together(list(blocks), signature)


def test_a_minted_key_says_what_it_was_given() -> None:
    found = check(KEY, [SECRET], NOW)
    assert (found.id, found.label, found.expires_at, found.not_before) == (
        "phone-1",
        "Ann’s phone",
        NOW + 3600,
        NOW - 60,
    )
    assert (found.models, found.endpoints) == ((("gpt-5*", "o3"),), (("chat", "/v1/images/*"),))
    assert [rate for _, rate in found.rates] == [60]
    assert re.fullmatch(r"sk-c2a-[A-Za-z0-9_-]+", KEY)
    assert read(KEY) == ScopedKey(found.id, found.blocks)


def test_a_key_without_limits_is_limited_by_nothing() -> None:
    found = check(mint(SECRET, "k", Limits()), [SECRET], 0)
    assert (found.models, found.endpoints, found.rates, found.expires_at, found.not_before) == ((), (), (), None, None)


def test_the_vectors_of_the_page_hold() -> None:
    block = re.search(r'^(\{"id".*\})$', PAGE, re.MULTILINE)
    signatures = re.findall(r"`([0-9a-f]{64})`", PAGE)
    plain, narrowed = re.findall(r"^(sk-c2a-\S{60,})$", PAGE, re.MULTILINE)
    assert block is not None
    secret = b"correct-horse-battery-staple-0001"
    assert plain == signed(block[1].encode(), secret=secret)
    assert narrowed == signed(block[1].encode(), b'{"models":["gpt-5.5"]}', secret=secret)
    assert [taken_apart(key)[1].hex() for key in (plain, narrowed)] == signatures
    assert narrow(plain, Limits(models=("gpt-5.5",))) == narrowed
    assert check(narrowed, [secret], 0).models == (("gpt-5*",), ("gpt-5.5",))


def test_the_page_names_the_bounds() -> None:
    assert f"differ by {MAX_SKEW_S} seconds" in PAGE
    assert f"at most {MAX_KEY_CHARS:,} characters" in PAGE
    assert "narrowed fifteen times" in PAGE and MAX_BLOCKS == 16


def test_narrowing_needs_no_secret_and_only_adds() -> None:
    narrowed = narrow(narrow(KEY, Limits(models=("gpt-5.5",), expires_at=NOW + 60)), Limits(requests_per_minute=5))
    found = check(narrowed, [SECRET], NOW)
    assert found.id == "phone-1"
    assert found.models == (("gpt-5*", "o3"), ("gpt-5.5",))
    assert (found.expires_at, found.label) == (NOW + 60, "Ann’s phone")
    assert [rate for _, rate in found.rates] == [60, 5]
    wider = narrow(KEY, Limits(expires_at=NOW + 10**6, models=("*",), not_before=0))
    assert check(wider, [SECRET], NOW).expires_at == NOW + 3600
    assert check(wider, [SECRET], NOW).not_before == NOW - 60


def test_keys_of_one_origin_share_the_marks_up_to_where_they_part() -> None:
    plain = check(KEY, [SECRET], NOW)
    left, right = (check(narrow(KEY, Limits(label=label)), [SECRET], NOW) for label in ("left", "right"))
    assert plain.marks[0] == left.marks[0] == right.marks[0]
    assert len({plain.marks[-1], left.marks[-1], right.marks[-1]}) == 3
    assert taken_apart(KEY)[1] not in plain.marks  # a mark is no step of the chain


def test_no_block_can_be_dropped_changed_moved_or_doubled() -> None:
    first = narrow(KEY, Limits(models=("gpt-5.5",)))
    blocks, signature = taken_apart(narrow(first, Limits(endpoints=("chat",))))
    assert put_together(blocks, signature) == narrow(first, Limits(endpoints=("chat",)))
    changed = msgspec.json.encode(msgspec.json.decode(blocks[0]) | {"exp": NOW + 10**6})
    for forged in (
        blocks[:1],
        blocks[:2],
        blocks[1:],
        [blocks[0], blocks[2]],
        [blocks[0], blocks[2], blocks[1]],
        [*blocks, blocks[2]],
        [changed, *blocks[1:]],
        [blocks[0], b"{}", blocks[2]],
        [blocks[0] + b" ", *blocks[1:]],
        [blocks[0] + blocks[1], blocks[2]],
    ):
        assert refusal(put_together(forged, signature)) is Refusal.FORGED
    shorter = put_together(blocks[:1], hmac.digest(signature, b"", "sha256"))
    assert refusal(shorter) is Refusal.FORGED


def test_no_character_of_a_key_can_be_changed() -> None:
    narrowed = narrow(KEY, Limits(models=("gpt-5.5",)))
    for at in range(len(PREFIX), len(narrowed)):
        other = "A" if narrowed[at] != "A" else "B"
        assert refusal(narrowed[:at] + other + narrowed[at + 1 :]) in (Refusal.FORGED, Refusal.MALFORMED)
        assert refusal(narrowed[:at]) in (Refusal.FORGED, Refusal.MALFORMED)


def test_a_key_has_one_spelling() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    accepted = 0
    for size in range(1, 4):  # of some ids the last character has bits that mean nothing
        key = mint(SECRET, "k" * size, Limits())
        for last in alphabet:
            with contextlib.suppress(KeyRefused):
                check(key[:-1] + last, [SECRET], NOW)
                accepted += 1
        for spelling in (key + "=", key + "==", key + "\n", " " + key, key.upper()):
            assert refusal(spelling) is Refusal.MALFORMED
    assert accepted == 3


def test_another_secret_makes_other_keys_and_every_one_of_several_is_accepted() -> None:
    assert refusal(KEY, secrets=(OTHER,)) is Refusal.FORGED
    assert refusal(KEY, secrets=()) is Refusal.FORGED
    assert check(KEY, [OTHER, SECRET], NOW) == check(KEY, [SECRET], NOW)
    [block] = taken_apart(KEY)[0]
    assert refusal(put_together([block], hmac.digest(SECRET, block, "sha256"))) is Refusal.FORGED


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (NOW + 3600 + MAX_SKEW_S - 1, None),
        (NOW + 3600 + MAX_SKEW_S, Refusal.EXPIRED),
        (NOW + 10**9, Refusal.EXPIRED),
        (NOW - 60 - MAX_SKEW_S, None),
        (NOW - 60 - MAX_SKEW_S - 1, Refusal.EARLY),
        (0, Refusal.EARLY),
    ],
)
def test_a_key_holds_between_its_ends_and_a_little_longer(now: float, reason: Refusal | None) -> None:
    if reason is None:
        assert check(KEY, [SECRET], now).id == "phone-1"
    else:
        assert refusal(KEY, now=now) is reason
        assert refusal(KEY, now=now, secrets=(OTHER,)) is Refusal.FORGED  # nothing is told of a key of others


def test_revoking_an_id_revokes_all_that_was_narrowed_from_it() -> None:
    for key in (KEY, narrow(KEY, Limits(label="x"))):
        assert refusal(key, revoked=("other", "phone-1")) is Refusal.REVOKED
        assert check(key, [SECRET], NOW, ["phone", "phone-11"]).id == "phone-1"


@pytest.mark.parametrize(
    "blocks",
    [
        (b'{"id":"k","ip":"10.0.0.1"}',),
        (b'{"id":"k"}', b'{"region":"eu"}'),
        (b'{"id":"k"}', b'{"id":"other"}'),
        (b'{"models":["m"]}',),
        (b'{"id":"k","models":[]}',),
        (b'{"id":"k","models":"gpt"}',),
        (b'{"id":"k","exp":"2030"}',),
        (b'{"id":"k","exp":1e400}',),
        (b'{"id":"k","rpm":0}',),
        (b'{"id":"a b"}',),
        (b'{"id":""}',),
        (b'["id"]',),
        (b"not json",),
        (b"\xff",),
        (b'{"id":"k"}', b"[" * 1000),
    ],
)
def test_what_is_well_signed_and_not_understood_is_refused(blocks: tuple[bytes, ...]) -> None:
    assert refusal(signed(*blocks)) is Refusal.UNKNOWN


@pytest.mark.parametrize(
    "key",
    ["", "sk-", PREFIX, PREFIX + "A", PREFIX + "AQ", PREFIX + "A" * 5000, PREFIX + "é", "sk-c2b-" + KEY[7:], KEY[7:]],
)
def test_what_is_no_key_is_malformed(key: str) -> None:
    assert refusal(key) is Refusal.MALFORMED
    with pytest.raises(KeyRefused):
        read(key)
    with pytest.raises(KeyRefused):
        narrow(key, Limits())


def test_frames_that_do_not_add_up_are_malformed() -> None:
    for raw in (
        b"\x01" + bytes(32),
        b"\x02\x00\x01x" + bytes(32),
        b"\x01\xff\xffx" + bytes(32),
        b"\x01\x00" + bytes(32),
    ):
        text = PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")
        assert refusal(text) is Refusal.MALFORMED
    assert refusal(signed(*[b"{}"] * 17)) is Refusal.MALFORMED
    assert check(signed(b'{"id":"k"}', *[b"{}"] * 15), [SECRET], NOW).id == "k"


def test_a_key_has_bounds() -> None:
    key = mint(SECRET, "k", Limits())
    for _ in range(MAX_BLOCKS - 1):
        key = narrow(key, Limits(label="x"))
    assert check(key, [SECRET], NOW).id == "k"
    with pytest.raises(ValueError, match="narrowed 15 times"):
        narrow(key, Limits())
    long = Limits(models=tuple(f"{number:0190}" for number in range(20)))
    with pytest.raises(ValueError, match="longer than 2048"):
        mint(SECRET, "k", long)
    with pytest.raises(ValueError, match="longer than 2048"):
        narrow(mint(SECRET, "k", Limits()), Limits(models=("x" * 200,) * 400))


@pytest.mark.parametrize(
    "limits",
    [
        Limits(models=()),
        Limits(models=("a b",)),
        Limits(label="a\nb"),
        Limits(requests_per_minute=0),
        Limits(expires_at=-1),
    ],
)
def test_limits_that_no_key_can_carry_are_refused_when_it_is_made(limits: Limits) -> None:
    with pytest.raises(ValueError):
        mint(SECRET, "k", limits)
    with pytest.raises(ValueError):
        narrow(KEY, limits)
    with pytest.raises(ValueError):
        mint(SECRET, "no id", Limits())


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=80), st.binary(max_size=120).map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_no_text_is_a_key_or_a_crash(text: str) -> None:
    for key in (text, PREFIX + text.rstrip("=")):
        assert refusal(key) in (Refusal.FORGED, Refusal.MALFORMED)
        with contextlib.suppress(KeyRefused):
            read(key)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=5))
def test_no_well_signed_bytes_are_a_crash(blocks: list[bytes]) -> None:
    with contextlib.suppress(KeyRefused):
        check(signed(*blocks), [SECRET], NOW)


def test_no_secret_and_no_mark_is_in_a_repr() -> None:
    found = check(KEY, [SECRET], NOW)
    assert found.marks[0].hex() not in repr(found) and str(found.marks[0]) not in repr(found)
