from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.accounts.account import MAX_TOKEN_BYTES, Account
from lib.settings import AccountConfig

CANARY = "Zq7vKcanaryLx4Wj"
AUTH = "https://api.openai.com/auth"
PROFILE = "https://api.openai.com/profile"
NOW = 1_800_000_000.0
ROOT = Path(__file__).parents[2]


def jwt(claims: object, signature: str = "c2ln") -> str:
    parts = [b'{"alg":"none"}', claims if isinstance(claims, bytes) else msgspec.json.encode(claims)]
    return ".".join([base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts] + [signature])


def claims(account_id: str | None = None, **more: Any) -> dict[str, Any]:
    auth = {"chatgpt_account_id": account_id, **{name: more.pop(name) for name in list(more) if name[:8] == "chatgpt_"}}
    return {AUTH: {name: value for name, value in auth.items() if value is not None}, **more}


def test_claims_tell_who_the_account_is() -> None:
    token = jwt(
        claims(
            "acct-1",
            chatgpt_plan_type="team",
            chatgpt_account_is_fedramp=True,
            exp=1_800_000_000,
            **{PROFILE: {"email": "a@example.org"}},
        )
    )
    account = Account.from_config(AccountConfig(token, proxy="http://proxy:1"), 3)
    assert (account.account_id, account.plan, account.email) == ("acct-1", "team", "a@example.org")
    assert (account.expires_at, account.slot, account.proxy) == (1_800_000_000.0, 3, "http://proxy:1")
    assert account.lease_headers() == {
        "authorization": f"Bearer {token}",
        "chatgpt-account-id": "acct-1",
        "x-openai-fedramp": "true",
    }


def test_the_account_id_is_the_explicit_one_then_the_id_tokens_then_the_access_tokens() -> None:
    access, id_token = jwt(claims("of-access")), jwt(claims("of-id"))
    assert Account.from_config(AccountConfig(access, id_token=id_token, account_id="x"), 1).account_id == "x"
    assert Account.from_config(AccountConfig(access, id_token=id_token), 1).account_id == "of-id"
    assert Account.from_config(AccountConfig(access, id_token="rubbish"), 1).account_id == "of-access"
    assert Account.from_token(access).account_id == "of-access"
    assert Account.from_token(access, "x").account_id == "x"


def test_only_the_access_token_says_when_it_expires() -> None:
    config = AccountConfig(jwt(claims("a")), id_token=jwt(claims("a", exp=5, email="a@example.org")))
    account = Account.from_config(config, 1)
    assert account.expires_at is None
    assert account.email == "a@example.org"


def test_an_opaque_token_is_an_account_without_claims() -> None:
    account = Account.from_token("at-opaque")
    assert (account.account_id, account.plan, account.expires_at) == (None, None, None)
    assert account.lease_headers() == {"authorization": "Bearer at-opaque"}
    assert not account.is_expired(1e12)


@pytest.mark.parametrize(("seconds_ago", "expired"), [(-1, False), (0, False), (300, False), (301, True)])
def test_five_minutes_of_clock_skew_are_tolerated(seconds_ago: int, expired: bool) -> None:
    assert Account.from_token(jwt({"exp": int(NOW) - seconds_ago})).is_expired(NOW) is expired


@pytest.mark.parametrize("exp", ["soon", None, True, -1, 0, 10**400, 1e300, [], {}])
def test_an_expiry_that_is_no_moment_is_unknown(exp: object) -> None:
    payload = f'{{"exp": {exp}}}'.encode() if exp == 10**400 else {"exp": exp}
    assert Account.from_token(jwt(payload)).expires_at is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        "..",
        "a.b.c",
        "a.!!!.c",
        "a.\u00e9.c",
        "\ud800.\ud800.\ud800",
        jwt(b"[1]"),
        jwt(b"{"),
        jwt(b"\xff"),
        jwt(b"[" * 30_000),
        jwt({AUTH: [], PROFILE: "x", "email": {}}),
        jwt({AUTH: {"chatgpt_account_id": 5, "chatgpt_plan_type": ["x"], "chatgpt_account_is_fedramp": "yes"}}),
        jwt(claims("acct")) + ".more",
        jwt(claims("acct"), "s" * MAX_TOKEN_BYTES),
    ],
)
def test_a_token_that_cannot_be_read_is_an_account_without_claims(token: str) -> None:
    account = Account.from_token(token)
    assert (account.account_id, account.plan, account.email, account.expires_at) == (None, None, None, None)
    assert not account.fedramp


@given(st.text(), st.text())
def test_no_token_makes_an_account_raise(token: str, account_id: str) -> None:
    Account.from_token(token, account_id)
    Account.from_token(f"h.{base64.urlsafe_b64encode(token.encode('utf-8', 'replace')).decode()}.s")


@pytest.mark.parametrize("account_id", ["a\r\nx: y", "a b", "\u00e9", "", "a" * 257])
def test_an_account_id_that_fits_into_no_header_is_unknown(account_id: str) -> None:
    assert Account.from_token(jwt(claims(account_id))).account_id is None
    assert Account.from_token("at-x", account_id).account_id is None


def test_the_name_is_the_slot_and_the_beginning_of_the_tokens_hash() -> None:
    assert Account.from_config(AccountConfig("at-opaque"), 7).name == "a7-8c455f"
    assert Account.from_token("at-opaque").name == "a0-8c455f"


def test_the_repr_shows_name_plan_and_expiry_only() -> None:
    token = jwt(claims(CANARY, chatgpt_plan_type="plus", exp=1_800_000_000, email=CANARY), CANARY)
    config = AccountConfig(token, refresh_token=CANARY, proxy=f"http://{CANARY}@host", email=CANARY)
    account = Account.from_config(config, 1)
    assert repr(account) == f"Account(name={account.name!r}, plan='plus', expires_at=1800000000.0)"


def test_a_plan_is_a_word() -> None:
    assert Account.from_token(jwt(claims("a", chatgpt_plan_type="plus\nlevel=error"))).plan is None


def test_the_identity_survives_a_new_token_of_the_same_login() -> None:
    def identity(account_id: str, user_id: str | None, exp: int) -> bytes:
        return Account.from_token(jwt(claims(account_id, chatgpt_user_id=user_id, exp=exp))).identity

    assert identity("a", "u", 1) == identity("a", "u", 2)
    assert identity("a", "u", 1) != identity("a", "v", 1)  # two members of one workspace
    assert identity("a", "u", 1) != identity("b", "u", 1)
    assert identity("a", None, 1) != identity("a", None, 2)  # the account id alone may be several logins


def test_an_account_needs_no_settings_at_run_time() -> None:
    code = "import sys, lib.accounts.account; sys.exit('pydantic' in sys.modules or 'asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_an_api_key_is_an_account_without_claims() -> None:
    key = Account.from_key(jwt(claims("acct-1", exp=1)), 2)
    assert key.name.startswith("k2-") and key.account_id is None and key.expires_at is None
    assert list(key.lease_headers()) == ["authorization"]
    assert Account.from_key("", 1).lease_headers() == {}
