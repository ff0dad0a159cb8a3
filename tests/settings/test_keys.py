from __future__ import annotations

from lib.settings import Problem, Settings

LONG = "k" * 31 + "1"
NEWER = "k" * 31 + "2"


def test_the_first_secret_stands_first_and_each_stands_once() -> None:
    settings = Settings(key_secret=f"{NEWER}, {LONG}\n{NEWER}")
    assert settings.key_secrets == (NEWER.encode(), LONG.encode())
    assert settings.problems == ()
    assert Settings().key_secrets == ()


def test_short_and_odd_secrets_are_refused_without_being_told() -> None:
    settings = Settings(key_secret=f"{'canary' * 5},{LONG[:-1]}é,{LONG}")
    assert settings.key_secrets == (LONG.encode(),)
    assert settings.problems == (
        Problem("KEY_SECRET", "item 1 is shorter than 32 characters and was refused"),
        Problem("KEY_SECRET", "item 2 holds white space, control or non-ASCII characters and was dropped"),
    )
    assert "canary" not in repr(settings) + repr(settings.problems) and LONG not in repr(settings)


def test_revoked_keys_are_ids() -> None:
    settings = Settings(revoked_keys="phone-1; 'key_2.x',phone-1,a b,")
    assert settings.revoked_keys == ("phone-1", "key_2.x")
    assert Problem("REVOKED_KEYS", "item 4 is no id of a key and was dropped") in settings.problems


def test_the_public_address_is_an_address() -> None:
    assert Settings(public_url="https://gateway.example.org/v1/").public_url == "https://gateway.example.org/v1"
    settings = Settings(public_url="gateway.example.org")
    assert settings.public_url is None
    assert [problem.variable for problem in settings.problems] == ["PUBLIC_URL"]
