"""What is said of each variable: all that an operator wrote, and no credential."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lib.masked_settings import MASK, host, masked
from lib.settings import Settings
from tests.fakes.tokens import jwt
from tests.journeys.secrets_kept import leaked

EXAMPLE = Path(__file__).parents[1] / ".env.example"


def entries(**given: Any) -> dict[str, dict[str, Any]]:
    return {each.pop("variable"): each for each in masked(Settings(_env_file=None, **given))}


def entry(variable: str, **given: Any) -> dict[str, Any]:
    return entries(**given)[variable]


def short_hash(credential: str) -> str:
    return sha256(credential.encode()).hexdigest()[:8]


def test_every_setting_has_an_entry() -> None:
    shown = entries()
    assert list(shown) == [name.upper() for name in Settings.model_fields]
    assert {each["state"] for each in shown.values()} == {"default", "unset"}


def test_every_default_stands_there_as_the_example_writes_it() -> None:
    written = dict(re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE.read_text("utf-8"), re.MULTILINE))
    shown = {name: each.get("value", "") for name, each in entries().items()}
    assert shown == {name: value for name, value in written.items() if name in shown}


@pytest.mark.parametrize(
    ("variable", "written"),
    [
        ("PUBLIC_URL", "https://abcdefghij0123456789abcdefghij01.lambda-url.eu-west-1.on.aws"),
        ("OPENAI_BASE_URL", "https://llm.example:8443/openai/deployments/GPT-4o/v1"),
        ("USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64) team-gateway/2.1"),
        ("IMAGE_MODEL", "gpt-image-1.5"),
        ("DEFAULT_MODEL", "ft:gpt-4o-mini-2024-07-18:my-org:custom_suffix:id1a2b3c4"),
        ("MODEL_MAP", "claude-*=gpt-5.5,claude-haiku-*=meta-llama/Llama-3.3-70B-Instruct"),
        ("IMAGE_BUCKET", "s3://my-bucket-2/pictures/of-all"),
        ("REVOKED_KEYS", "laptop-0a1b2c3d,ci-99aabbcc"),
        ("KEY_A", "team-a"),
        ("READ_URLS", "on"),
        ("STRICT_PARAMETERS", "true"),
        ("MAX_ATTEMPTS", "5"),
        ("COMMIT_WAIT_S", "0.25"),
        ("MAX_DURATION_S", "58"),
        ("LOG_FORMAT", "emf"),
        ("STATE_URL", "dynamodb://chat2api-state?region=eu-west-1"),
        ("STATE_URL", "rediss://one.example:6380/2"),
        ("PROXY", "socks5h://proxy.example:1080"),
        ("VERCEL_CONFIG_FILE", "no/such/file.yaml"),
    ],
)
def test_what_is_no_secret_stands_there_as_it_was_written(variable: str, written: str) -> None:
    shown = entry(variable, **{variable.lower(): written})
    shown.pop("has_problem", None)  # a file that is not there
    assert shown == {"state": "set", "value": written}


def test_a_list_of_keys_is_the_hashes_that_logs_use() -> None:
    hashes = [short_hash("sk-one"), short_hash("sk-two")]
    assert entry("AUTH_TOKENS", auth_tokens="sk-one,sk-two") == {"state": "set", "slots": hashes}


def test_an_account_has_the_hash_that_it_is_named_by() -> None:
    token = jwt("acct-1")
    account = msgspec.json.encode([{"access_token": token, "refresh_token": "rt"}]).decode()
    assert entry("CHATGPT_ACCOUNTS", chatgpt_accounts=account) == {"state": "set", "slots": [short_hash(token)]}


def test_a_sender_of_signed_requests_has_the_hash_of_the_id() -> None:
    pair = entry("KEY_PAIRS", key_pairs="sender:0123456789abcdef")
    assert pair == {"state": "set", "value": f"sender:{MASK}", "slots": [short_hash("sender")]}


def test_a_secret_is_a_mask_and_an_address_keeps_all_but_its_login() -> None:
    assert entry("KEY_B", key_b="whatever") == {"state": "set", "value": MASK}
    for variable, written in (
        ("PROXY", "http://{}@proxy.example:8080"),
        ("STATE_URL", "redis://{}@one.example:6379/0"),
    ):
        shown = entry(variable, **{variable.lower(): written.format("user:pass%40word")})
        assert shown["value"] == written.format(MASK)


@pytest.mark.parametrize(
    "slip",
    [
        "sk-proj-short",
        "at-0a1b2c",
        "eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl",
        "0123456789abcdef" * 2,
        "cE" * 16,
        "9b2f4c1e-0000-4000-8000-0123456789ab",
    ],
)
def test_what_looks_like_a_credential_is_masked_wherever_it_is(slip: str) -> None:
    assert entry("DEFAULT_MODEL", default_model=slip)["value"] == MASK
    assert entry("USER_AGENT", user_agent=f"team/2 ({slip})")["value"] == f"team/2 ({MASK})"
    address = entry("OPENAI_BASE_URL", openai_base_url=f"https://one.example/{slip}/v1")
    assert address["value"] == f"https://one.example/{MASK}/v1"


def test_a_variable_with_a_problem_says_so() -> None:
    assert entry("LOG_LEVEL", log_level="LOUD") == {"state": "default", "has_problem": True, "value": "INFO"}
    for way in ("chatgpt_base_url", "proxy", "openai_base_url"):  # nothing is put in the place of these
        assert entry(way.upper(), **{way: "no address"}) == {"state": "unusable", "has_problem": True}


def test_a_host_is_all_of_an_address_that_says_where_it_is() -> None:
    assert host("https://one.example/v1") == "one.example"
    assert host("https://llm.example:8443/secret/v1") == "llm.example:8443"


def test_nothing_that_was_typed_into_any_variable_is_in_it() -> None:
    # Even into a variable that is meant for something else: a key in place of a model's name.
    for name in Settings.model_fields:
        mark = f"Canary{secrets.token_hex(8)}QxZw"
        for value in (
            mark,
            f"https://one.example/{mark}",
            f"http://user:{mark}@one.example:80",
            f"redis://:{mark}@one.example/0",
            f"dynamodb://{mark}",
            f"s3://bucket/{mark}",
            f"{mark}={mark}",
            f"{mark}:{mark}{mark}",
        ):
            shown = msgspec.json.encode(masked(Settings(_env_file=None, **{name: value}))).decode()
            assert not leaked(shown, [mark]), name
