from __future__ import annotations

import base64

import msgspec
import pytest

from lib.settings.accounts import AccountConfig, joined, parse
from lib.settings.values import Pieces, Unusable

FLAT = {"access_token": "token-1", "account_id": "acct-1", "proxy": "http://user:word@host:1", "email": "a@b.c"}
CLI = {
    "auth_mode": "chatgpt",
    "OPENAI_API_KEY": None,
    "tokens": {"id_token": "id-2", "access_token": "token-2", "refresh_token": "rt.2", "account_id": "acct-2"},
    "last_refresh": "2026-08-20T12:00:00Z",
}


def text_of(value: object) -> str:
    return msgspec.json.encode(value).decode()


def parsed(raw: object) -> tuple[list[str], list[str]]:
    """The access tokens, and the notes."""
    notes: list[str] = []
    return [config.access_token for config in parse(raw, notes.append) or ()], notes


def test_every_field_of_a_flat_account_is_kept() -> None:
    fields = {
        "access_token": "t",
        "account_id": "a",
        "proxy": "socks5h://h:1",
        "id_token": "i",
        "refresh_token": "r",
        "last_refresh": "2026-01-01T00:00:00Z",
        "email": "e",
        "type": "codex",
        "expired": "2026-02-01T00:00:00+02:00",
    }
    assert parse(text_of(fields | {"priority": 3}), pytest.fail) == (AccountConfig(**fields),)


def test_a_codex_cli_file_is_an_account() -> None:
    (config,) = parse(text_of(CLI), pytest.fail) or ()
    assert (config.access_token, config.id_token, config.refresh_token) == ("token-2", "id-2", "rt.2")
    assert (config.account_id, config.last_refresh) == ("acct-2", "2026-08-20T12:00:00Z")
    assert parsed('{"auth_mode":"personalAccessToken","personal_access_token":"at-9"}') == (["at-9"], [])


@pytest.mark.parametrize("wrap", ["plain", "base64", "urlsafe", "unpadded", "wrapped", "json string", "quoted", "bom"])
def test_json_comes_in_many_wrappings(wrap: str) -> None:
    plain = text_of([FLAT, CLI, "at-3", {"access_token": "token-4~~~???"}])
    encoded = base64.b64encode(plain.encode()).decode()
    wrapped = {
        "plain": plain,
        "base64": encoded,
        "urlsafe": base64.urlsafe_b64encode(plain.encode()).decode(),
        "unpadded": encoded.rstrip("="),
        "wrapped": "\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76)),
        "json string": text_of(plain),
        "quoted": f"'{plain}'",
        "bom": f"\ufeff{plain}\r\n",
    }[wrap]
    assert parsed(wrapped)[0] == ["token-1", "token-2", "at-3", "token-4~~~???"]


def test_bare_tokens_are_accounts() -> None:
    assert parsed("at-1") == (["at-1"], [])
    assert parsed("at-1, at-2") == (["at-1", "at-2"], [])
    assert parsed("eyJh.eyJi.c2ln") == (["eyJh.eyJi.c2ln"], [])
    assert parsed('"at-1"') == (["at-1"], ["stray quotes were removed"])


def test_a_trailing_comma_is_forgiven() -> None:
    assert parsed('[{"access_token": "t",},\n]') == (["t"], ["a trailing comma was removed"])


@pytest.mark.parametrize(
    ("entry", "note"),
    [
        (7, "account 2 was dropped: it is neither an object nor a token"),
        ({}, "account 2 was dropped: it has no access_token"),
        ({"tokens": None}, "account 2 was dropped: it has no access_token"),
        ({"access_token": 5}, "account 2 was dropped: its access_token is not a text"),
        ({"access_token": "CANARY token"}, "its access_token holds white space, control or non-ASCII characters"),
        ({"access_token": "CANARY\u00e9"}, "its access_token holds white space, control or non-ASCII characters"),
        ({"access_token": "CANARY", "account_id": "a\nb"}, "its account_id holds white space, control"),
        ({"access_token": "CANARY", "account_id": 5}, "its account_id is not a text"),
        ({"access_token": "CANARY", "proxy": "ftp://CANARY"}, "its proxy must begin with one of http://"),
        ({"access_token": "CANARY", "proxy_url": "CANARY:1"}, "its proxy must begin with one of http://"),
        ({"access_token": "CANARY", "disabled": True}, "account 2 was dropped: it is marked as disabled"),
    ],
)
def test_a_bad_account_is_dropped_alone(entry: object, note: str) -> None:
    tokens, notes = parsed([FLAT, entry, "at-3"])
    assert tokens == ["token-1", "at-3"]
    assert len(notes) == 1
    assert note in notes[0]
    assert "CANARY" not in notes[0]


@pytest.mark.parametrize("raw", ["{", "[1,", '{"access_token": CANARY}', "CANARY", "[" * 100_000, '{"a":"\ud800"}'])
def test_what_is_no_account_list_is_unusable(raw: str) -> None:
    with pytest.raises(Unusable) as caught:
        parse(raw, lambda _: None)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("raw", ["", " ", '""', "[]", []])
def test_an_empty_list_is_absent(raw: object) -> None:
    assert parse(raw, lambda _: None) is None


def test_each_piece_of_a_value_may_have_any_form_and_a_bad_one_is_dropped_alone() -> None:
    encoded = base64.b64encode(text_of([FLAT]).encode()).decode()
    tokens, notes = parsed(Pieces([encoded, "at-1,at-2", "neither", text_of(CLI), {"access_token": "token-3"}]))
    assert tokens == ["token-1", "at-1", "at-2", "token-2", "token-3"]
    assert notes == ["item 3 was dropped: it is neither JSON nor base64 of JSON nor a list of tokens"]


def test_another_tools_name_for_the_proxy_is_understood() -> None:
    (config,) = parse([{"access_token": "t", "proxy_url": "http://host:1"}], pytest.fail) or ()
    assert config.proxy == "http://host:1"


def test_a_repeated_token_fills_in_what_its_first_mention_lacks() -> None:
    full = AccountConfig("t1", account_id="acct", proxy="http://h:1")
    accounts, repeats = joined(
        [("A", [AccountConfig("t1"), AccountConfig("t2")]), ("B", [full, AccountConfig("t1", account_id="other")])]
    )
    assert accounts == (full, AccountConfig("t2"))
    assert repeats == ["B", "B"]


def test_the_repr_of_an_account_shows_nothing() -> None:
    (config,) = parse([FLAT], pytest.fail) or ()
    assert repr(config) == "AccountConfig()"
