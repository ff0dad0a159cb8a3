"""The gates on the maximum, because averages hide the one file that nobody can read.

300 lines a file and 60 lines a function in `api` and `lib`; 400 lines a file in `tests`, `bench` and `tools`, where a
table of cases may stand in one piece. Lists every offender and exits with 1.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FILE_LINES = {"api": 300, "lib": 300, "tests": 400, "bench": 400, "tools": 400}
MAX_FUNCTION_LINES = 60


def offenders(root: Path) -> Iterator[str]:
    """One line for each file or function over its limit, below the five source folders of `root`."""
    for folder, max_lines in MAX_FILE_LINES.items():
        for path in sorted((root / folder).rglob("*.py")):
            name, text = path.relative_to(root), path.read_text(encoding="utf-8")
            if (lines := text.count("\n")) > max_lines:
                yield f"{name}: {lines} lines, at most {max_lines}"
            yield from (f"{name}{function}" for function in _long_functions(ast.parse(text, str(path))))


def _long_functions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f":{node.lineno}: {node.name} has {lines} lines, at most {MAX_FUNCTION_LINES}"


if __name__ == "__main__":
    sys.exit("\n".join(offenders(Path(__file__).parent.parent)) or 0)
