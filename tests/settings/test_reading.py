from __future__ import annotations

from lib.settings import values
from lib.settings.reading import Placed, Reading, Unresolved
from lib.settings.values import Problem


def test_what_no_parser_took_is_the_rest() -> None:
    reading = Reading({"log_level": "info", "colour": "red"})
    assert reading.take("log_level", values.log_level) == "INFO"
    assert reading.rest() == {"colour": "red"}


def test_a_problem_names_the_variable_or_the_place_of_the_value() -> None:
    reading = Reading({"log_level": "loud", "proxy": Placed("nowhere", "a file: proxy")})
    assert reading.take("log_level", values.log_level) is None
    assert reading.take("proxy", values.proxy) is None
    assert [problem.variable for problem in reading.problems] == ["LOG_LEVEL", "a file: proxy"]
    assert list(reading.unusable) == ["log_level", "proxy"]


def test_problems_of_sources_are_gathered_and_none_is_told_twice() -> None:
    reading = Reading({"of_a_source": Problem("FILE", "is missing"), "absent": None})
    reading.add("FILE", "is missing")
    assert reading.problems == [Problem("FILE", "is missing")]
    assert reading.take("absent", values.name) is None
    assert reading.rest() == {}


def test_a_value_that_could_not_be_had_is_unusable_in_its_place() -> None:
    reading = Reading(
        {"proxy": Placed(Unresolved("is not there"), "a file: proxy"), "log_level": Unresolved("is gone")}
    )
    assert reading.take("proxy", values.proxy) is reading.take("log_level", values.log_level) is None
    assert reading.problems == [Problem("a file: proxy", "is not there"), Problem("LOG_LEVEL", "is gone")]
    assert list(reading.unusable) == ["proxy", "log_level"]
