from __future__ import annotations

from pathlib import Path

from tools.size_gates import MAX_FILE_LINES, MAX_FUNCTION_LINES, offenders


def test_file_at_the_limit_passes_and_one_line_more_does_not(tmp_path: Path) -> None:
    for folder, limit in MAX_FILE_LINES.items():
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "good.py").write_text("\n" * limit)
        (tmp_path / folder / "deep" / "long.py").write_text("\n" * (limit + 1))
    assert list(offenders(tmp_path)) == [
        f"{folder}/deep/long.py: {limit + 1} lines, at most {limit}" for folder, limit in MAX_FILE_LINES.items()
    ]


def test_function_at_the_limit_passes_and_one_line_more_does_not(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    body = "    pass\n" * (MAX_FUNCTION_LINES - 1)
    source = f"def good():\n{body}async def long():\n    pass\n{body}"
    (tmp_path / "lib" / "some.py").write_text(source)
    assert list(offenders(tmp_path)) == [
        f"lib/some.py:{MAX_FUNCTION_LINES + 1}: long has {MAX_FUNCTION_LINES + 1} lines, at most {MAX_FUNCTION_LINES}"
    ]
