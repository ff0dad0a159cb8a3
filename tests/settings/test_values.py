from __future__ import annotations

from typing import Any

import pytest

from lib.settings import values


def parsed(parser: values.Parser, raw: object) -> tuple[Any, list[str]]:
    notes: list[str] = []
    value = parser(raw, notes.append)
    if isinstance(value, tuple):
        value = tuple(secret.get_secret_value() for secret in value)
    return value, notes


def refusal(parser: values.Parser, raw: object) -> str:
    with pytest.raises(values.Unusable) as caught:
        parser(raw, lambda _: None)
    return str(caught.value)


@pytest.mark.parametrize("raw", ["one,two", "one;two", "one\ntwo", " one ,\n two\n", ["one", "two"], ("one,two",)])
def test_lists_are_split_at_commas_semicolons_and_line_ends(raw: object) -> None:
    assert parsed(values.secrets, raw) == (("one", "two"), [])


@pytest.mark.parametrize(
    ("raw", "note"),
    [
        ('"one","two"', "stray quotes were removed"),
        ('"one,two"', "stray quotes were removed"),
        ("one\r\ntwo\r\n", "carriage returns were removed"),
        ("\ufeffone,two", "a byte order mark was removed"),
        ("one,two,", "an empty item was dropped: there is a comma or semicolon too many"),
        ("one,;two", "an empty item was dropped: there is a comma or semicolon too many"),
        ("one,two,one", "item 3 repeats an earlier one and was dropped"),
        (
            "one,two,t h r e e",
            "item 3 holds white space, control or non-ASCII characters and was dropped",
        ),
        ("one,two,thr\u00e9e", "item 3 holds white space, control or non-ASCII characters and was dropped"),
        ("one,two,thr\x01ee", "item 3 holds white space, control or non-ASCII characters and was dropped"),
        (["one", {"two": 2}, "two"], "an entry that is not a text was dropped"),
    ],
)
def test_a_mended_list_keeps_its_good_items_and_says_what_was_wrong(raw: object, note: str) -> None:
    value, notes = parsed(values.secrets, raw)
    assert value == ("one", "two")
    assert note in notes


@pytest.mark.parametrize("raw", ["", " \t\n", '""', "\ufeff", ",", []])
@pytest.mark.parametrize("parser", [values.secrets, values.prefixes])
def test_a_list_of_nothing_is_absent(parser: values.Parser, raw: object) -> None:
    assert parsed(parser, raw)[0] is None


def test_a_prefix_of_less_than_eight_characters_is_refused() -> None:
    assert parsed(values.prefixes, "private-,mine-own") == (("private-", "mine-own"), [])
    assert parsed(values.prefixes, "private-,private") == (
        ("private-",),
        ["item 2 is shorter than 8 characters and was refused"],
    )


@pytest.mark.parametrize("raw", ["nan", "inf", "-inf", "-1", "1e400", "86401", "ten", "10s", "0x10", "1,5"])
@pytest.mark.parametrize("parser", [values.seconds, values.pause])
def test_a_duration_is_a_finite_number_of_seconds_up_to_a_day(parser: values.Parser, raw: str) -> None:
    assert raw not in refusal(parser, raw)


@pytest.mark.parametrize(("raw", "value"), [("10", 10.0), (" '0.5'\r", 0.5), ("1e2", 100.0), (3, 3.0), ("", None)])
def test_a_duration_may_be_written_sloppily(raw: object, value: float | None) -> None:
    assert parsed(values.seconds, raw)[0] == value


def test_a_life_lasts_up_to_a_year() -> None:
    assert parsed(values.life, "2592000") == (2_592_000.0, [])
    assert parsed(values.life, "0") == (0.0, [])
    assert refusal(values.life, "31536001") == "must be from 0 to 31536000 seconds"


def test_only_a_pause_may_last_zero_seconds() -> None:
    assert parsed(values.pause, "0") == (0.0, [])
    assert refusal(values.seconds, "0") == "must be more than 0 seconds"


@pytest.mark.parametrize("raw", ["0", "-1", "1.5", "many", "101", "9" * 5000, "\u00b2"])
def test_a_count_is_a_whole_number_within_reason(raw: str) -> None:
    assert refusal(values.count, raw) in ("must be a whole number", "must be from 1 to 100")


@pytest.mark.parametrize(("raw", "value"), [("TRUE", True), ("0", False), ("on", True), (False, False), ("", None)])
def test_a_switch_knows_the_usual_words(raw: object, value: bool | None) -> None:
    assert parsed(values.switch, raw)[0] is value


def test_names_of_levels_and_formats_are_known_in_any_case() -> None:
    assert parsed(values.log_level, "warn")[0] == "WARNING"
    assert parsed(values.log_format, "JSON")[0] == "json"
    assert refusal(values.log_level, "chatty") == "must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL"
    assert refusal(values.log_format, "xml") == "must be logfmt, json or emf"
    assert parsed(values.tools, "Prompted")[0] == "prompted"
    assert refusal(values.tools, "yes") == "must be native, prompted or off"
    assert refusal(values.switch, "maybe") == "must be true or false"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("https://chatgpt.com/", "https://chatgpt.com"),
        ("HTTP://127.0.0.1:8080/base//", "http://127.0.0.1:8080/base"),
        (" 'https://[::1]:1' ", "https://[::1]:1"),
    ],
)
def test_a_base_url_is_normalised(raw: str, value: str) -> None:
    assert parsed(values.base_url, raw)[0] == value


@pytest.mark.parametrize(
    "raw",
    [
        "chatgpt.com",
        "ftp://chatgpt.com",
        "https://",
        "https://:80",
        "https://host:99999",
        "https://host:port",
        "https://[::1",
        "https://user:word@host",
        "https://host/?key=1",
        "https://host/#part",
        "https://ho st",
        "https://h\u00f6st",
    ],
)
def test_a_base_url_that_names_no_plain_http_address_is_unusable(raw: str) -> None:
    assert raw not in refusal(values.base_url, raw)


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
def test_a_proxy_may_hold_credentials(scheme: str) -> None:
    secret = values.proxy(f"{scheme}://user:word@host:1080/", lambda _: None)
    assert secret is not None
    assert secret.get_secret_value() == f"{scheme}://user:word@host:1080"
    assert "word" not in repr(secret)


@pytest.mark.parametrize("raw", ["host:1080", "socks4://host", "http://host/path", "http://user:word@:1", "http://a b"])
def test_a_proxy_without_a_known_scheme_and_a_host_is_unusable(raw: str) -> None:
    reason = refusal(values.proxy, raw)
    assert "host:" not in reason
    assert "word" not in reason


def test_a_version_and_a_name_fit_into_a_header() -> None:
    assert parsed(values.version, "0.161.0-alpha.1")[0] == "0.161.0-alpha.1"
    assert refusal(values.version, "latest") == "must be a version such as 0.160.0"
    assert parsed(values.name, " gpt-5.5 ")[0] == "gpt-5.5"
    assert "200" in refusal(values.name, "gpt 5\r\nx: y")
    assert "200" in refusal(values.name, "g" * 201)


@pytest.mark.parametrize("raw", [{"a": 1}, ["a"], object()])
def test_a_structure_is_no_text(raw: object) -> None:
    assert refusal(values.name, raw) == "must be a single text"


def map_of(raw: str) -> tuple[object, list[str]]:
    notes: list[str] = []
    return values.model_map(raw, notes.append), notes


def test_a_model_map_is_a_list_of_pairs() -> None:
    raw = " claude-* = gpt-5.5 ,'claude-haiku-*=gpt-5.6-luna';\norg/x=a:b"
    pairs = (("claude-*", "gpt-5.5"), ("claude-haiku-*", "gpt-5.6-luna"), ("org/x", "a:b"))
    assert map_of(raw) == (pairs, ["stray quotes were removed"])
    assert map_of("") == (None, [])


@pytest.mark.parametrize(
    "entry", ["claude", "claude-*=", "=gpt", "a=b=c", "a b=c", "a=b*", "a=b c", "é=b", "a=" + "b" * 201]
)
def test_a_malformed_entry_is_dropped_alone_and_never_told(entry: str) -> None:
    pairs, notes = map_of(f"x=y,{entry}")
    assert pairs == (("x", "y"),)
    assert notes == ["item 2 is not of the form pattern=model and was dropped"]


def test_a_pattern_counts_once() -> None:
    pairs, notes = map_of("a=b,a=c,a=b")
    assert pairs == (("a", "b"),)
    assert notes == ["item 2 repeats the pattern of an earlier one and was dropped"]
