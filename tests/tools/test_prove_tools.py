from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from lib.prompted.pieces import Call
from lib.prompted.schema import Schema
from tools.prove_tools import CORPUS, Case, cuts_of, main, prove, same


def cases() -> list[Case]:
    return [msgspec.json.decode(line, type=Case) for line in CORPUS.read_bytes().splitlines()]


def test_the_corpus_is_large_and_its_ids_are_unique() -> None:
    ids = [case.id for case in cases()]
    assert len(ids) >= 60
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", ["no-arguments", "cdata-end-alone", "nul", "text-for-a-number"])
def test_a_case_of_the_corpus_passes(name: str) -> None:
    case = next(case for case in cases() if case.id == name)
    result = prove(case)
    assert result.failures == []
    assert result.held == 0
    assert result.cuts > 500


def test_a_wrong_expectation_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = {"id": "wrong", "user": "x", "tools": [], "calls": [{"name": "unknown", "arguments": {}}]}
    path = tmp_path / "cases.jsonl"
    path.write_bytes(msgspec.json.encode(case))
    assert main(str(path)) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("1 cases, ")
    assert "failures" in last


def test_an_empty_corpus_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text("\n")
    assert main(str(tmp_path / "cases.jsonl")) == 1


def test_cuts_reach_every_byte() -> None:
    data = "aé🌊".encode()
    cuts = list(cuts_of(data, "seed"))
    assert all(b"".join(chunks) == data for chunks in cuts)
    assert [len(chunks[0]) for chunks in cuts[: len(data) - 1]] == list(range(1, len(data)))


@pytest.mark.parametrize(
    ("found", "expected", "alike"),
    [
        ('{"a": 1}', '{"a": 1}', True),
        ('{"a":1}', '{"a": 1}', True),
        ('{"a":1}', '{"a": "1"}', True),
        ('{"s":1}', '{"s": "1"}', False),
        ('{"a":1}', '{"a": 1.0}', False),
        ('{"a":1,"s":"x"}', '{"s":"x","a":1}', False),
        ('{"a":2}', '{"a":1}', False),
    ],
)
def test_calls_are_compared_to_the_letter(found: str, expected: str, alike: bool) -> None:
    schema = Schema({"properties": {"a": {"type": "integer"}, "s": {"type": "string"}}})
    assert same(Call("f", found), Call("f", expected), schema) is alike
