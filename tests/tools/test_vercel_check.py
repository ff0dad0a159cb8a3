"""The parts of `make vercel-check` that need no npm."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools.package import ROOT
from tools.vercel_check import Checks, NotRun, check_output, cli, copied, unpacked

SETTINGS = json.loads((ROOT / "vercel.json").read_text())["functions"]["api/index.py"]


def built(project: Path, **changed: Any) -> Path:
    """What the builder writes for a good tree; `changed`: members of the function's settings. Returns the output."""
    files = {"api/index.py": "api/index.py", "_vendor/a.py": ".vercel/python/a.py"} | changed.pop("files", {})
    for source in files.values():
        (project / source).parent.mkdir(parents=True, exist_ok=True)
        (project / source).write_text("x = 1\n")
    output = project / ".vercel" / "output"
    function = output / "functions" / "fastapi.func"
    function.mkdir(parents=True)
    (function / "vc__handler__python.py").write_text("")
    told = {name: SETTINGS[name] for name in ("maxDuration", "supportsCancellation")}
    config = {"runtime": "python3.12", "supportsResponseStreaming": True, **told, "filePathMap": files, **changed}
    (function / ".vc-config.json").write_text(json.dumps(config))
    kept = {"type": "request.path", "op": "set", "args": "/$1"}
    route = {"src": "/(.*)", "dest": "/fastapi", "transforms": [kept]}
    (output / "config.json").write_text(json.dumps({"version": 3, "routes": [{"handle": "rewrite"}, route]}))
    return output


def test_good_output_passes_and_unpacks_to_what_the_platform_has(tmp_path: Path) -> None:
    check = Checks()
    function = check_output(check, built(tmp_path))
    assert check.failed == 0
    task = unpacked(tmp_path, function, tmp_path / "task")
    files = sorted(path.relative_to(task).as_posix() for path in task.rglob("*.py"))
    assert files == ["_vendor/a.py", "api/index.py", "vc__handler__python.py"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"runtime": "python3.9"}, "python3.9"),
        ({"supportsResponseStreaming": False}, "answers are streamed"),
        ({"maxDuration": 10}, "settings of vercel.json"),
        ({"files": {".env": ".env"}}, "no tests, documents or secrets"),
        ({"files": {"tests/a.py": "tests/a.py"}}, "no tests, documents or secrets"),
    ],
)
def test_each_mistake_fails_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], told: str
) -> None:
    check = Checks()
    check_output(check, built(tmp_path, **changed))
    failures = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAILED")]
    assert check.failed == len(failures) == 1
    assert told in failures[0]


def test_public_file_fails(tmp_path: Path) -> None:
    output = built(tmp_path)
    (output / "static").mkdir()
    (output / "static" / "requirements.txt").touch()
    check = Checks()
    check_output(check, output)
    assert check.failed == 1


def test_copy_has_what_a_commit_would_have(tmp_path: Path) -> None:
    project = copied(tmp_path / "project")
    assert (project / "api" / "index.py").is_file()
    assert (project / ".vercel" / "project.json").is_file()
    assert [name for name in (".git", ".venv", ".env", "dist") if (project / name).exists()] == []


def test_builder_that_cannot_be_had_is_told_apart_from_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VERCEL_CLI", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotRun, match="no npm"), cli(tmp_path):
        pass
    npm = tmp_path / "npm"
    npm.write_text(
        "#!/bin/sh\necho 'npm error code ETARGET' >&2\necho 'npm error notarget No match for x@1.' >&2\nexit 1\n"
    )
    npm.chmod(0o755)
    assert subprocess.run([npm], capture_output=True, check=False).returncode == 1
    with pytest.raises(NotRun, match=r"notarget No match for x@1\."), cli(tmp_path):
        pass
