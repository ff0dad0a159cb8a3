from __future__ import annotations

import re

import pytest

from lib.prompted.trigger import derive_key

SECRET = b"secret"


def test_the_key_is_the_same_on_every_turn_and_instance() -> None:
    assert derive_key(SECRET, ["b", "a", "a"], "c") == derive_key(SECRET, iter(["a", "b"]), "c")


def test_the_key_depends_on_all_that_it_is_derived_from() -> None:
    keys = {
        derive_key(secret, names, conversation)
        for secret in (SECRET, b"other")
        for names in (["a", "b"], ["ab"], ["a", "", "b"], [])
        for conversation in ("c", "ca", "", "\ud800")
    }
    assert len(keys) == 32


def test_the_key_is_twelve_plain_characters() -> None:
    assert re.fullmatch("[a-km-np-z2-9]{12}", derive_key(SECRET, [], ""))


def test_there_is_no_key_without_a_secret() -> None:
    with pytest.raises(ValueError, match="secret"):
        derive_key(b"", ["a"], "c")
