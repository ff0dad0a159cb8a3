from lib.dialects.damage import malformed


def test_damage_may_be_tried_again() -> None:
    error = malformed()
    assert (error.status, error.code, error.should_retry) == (502, "upstream_bad_response", True)
