"""What is said of each variable: enough to know one's own settings by, and nothing to use them with."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Any

import msgspec

from lib.masked_settings import host, masked
from lib.settings import Settings
from tests.journeys.secrets_kept import leaked


def entry(variable: str, **given: Any) -> dict[str, Any]:
    found = {each["variable"]: each for each in masked(Settings(_env_file=None, **given))}
    return {name: value for name, value in found[variable].items() if name != "variable"}


def test_every_setting_has_an_entry() -> None:
    shown = masked(Settings(_env_file=None))
    assert [each["variable"] for each in shown] == [name.upper() for name in Settings.model_fields]
    assert {each["state"] for each in shown} == {"default", "unset"}


def test_a_list_of_keys_is_its_length_and_the_hashes_that_logs_use() -> None:
    hashes = [sha256(key.encode()).hexdigest()[:8] for key in ("sk-one", "sk-two")]
    assert entry("AUTH_TOKENS", auth_tokens="sk-one,sk-two") == {"state": "set", "count": 2, "slots": hashes}


def test_a_sender_of_signed_requests_has_the_hash_of_the_id() -> None:
    pair = entry("KEY_PAIRS", key_pairs="sender:0123456789abcdef")
    assert pair == {"state": "set", "count": 1, "slots": [sha256(b"sender").hexdigest()[:8]]}


def test_an_address_is_its_host() -> None:
    assert entry("OPENAI_BASE_URL", openai_base_url="https://llm.example:8443/secret/v1")["host"] == "llm.example:8443"
    assert entry("CHATGPT_BASE_URL") == {"state": "default", "host": "chatgpt.com"}
    assert host("https://one.example/v1") == "one.example"


def test_numbers_switches_and_words_are_shown() -> None:
    assert entry("MAX_ATTEMPTS", max_attempts="5") == {"state": "set", "value": 5}
    assert entry("READ_URLS", read_urls="on") == {"state": "set", "value": True}
    assert entry("LOG_LEVEL") == {"state": "default", "value": "INFO"}
    assert entry("STATE_URL", state_url="redis://:password@one.example/0") == {"state": "set", "value": "redis"}


def test_a_variable_with_a_problem_says_so() -> None:
    assert entry("LOG_LEVEL", log_level="LOUD") == {"state": "default", "has_problem": True, "value": "INFO"}


def test_nothing_that_was_typed_into_any_variable_is_in_it() -> None:
    # Even into a variable that is meant for something else: a key in place of a model's name.
    for name in Settings.model_fields:
        mark = f"Canary{secrets.token_hex(8)}QxZw"
        for value in (mark, f"https://one.example/{mark}", f"redis://:{mark}@one.example/0", f"{mark}:{mark}{mark}"):
            shown = msgspec.json.encode(masked(Settings(_env_file=None, **{name: value}))).decode()
            assert not leaked(shown, [mark]), name
