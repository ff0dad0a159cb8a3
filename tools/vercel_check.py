"""What Vercel would make of this tree: its real builder, its real runtime, and a stream that arrives piece by piece.

    python -m tools.vercel_check

Nothing is uploaded and no account is asked for; npm and PyPI are. VERCEL_CLI names a `vercel` that is already there.
Exits with 1 when something is wrong, and with 2 when all is well as far as it went, but the builder could not be run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.fakes.codex_backend import CodexBackend
from tests.fakes.codex_behaviours import stream
from tests.fakes.tokens import jwt
from tests.fakes.vercel_platform import Deployment, deployed, interpreter
from tools.package import ROOT, find_python

PYTHON = "3.12"
"""What Vercel takes when nothing in the tree says otherwise."""

CLI_VERSION = "64.0.2"
OVERRIDES: Sequence[Mapping[str, str]] = ({}, {"sandbox": "4.5.0"})
"""Tried in turn: registries may lack the exact version of a dependency that no build needs."""

MAX_BUNDLE_BYTES = 225 * 1000 * 1000
"""Above it the builder begins to install packages at the cold start."""

UNSEEN = (
    "the edge: routing, TLS, the limits on sizes (4.5 MB) and time, what a visitor gets when they are reached",
    "the import of a repository in the dashboard, and what the project's settings there would change",
    "cancellation: the builder passes `supportsCancellation` on, but only the platform can honour it",
)

_KEY = "sk-vercel-check"
_PROJECT = {"projectId": "x", "orgId": "y", "settings": {}}
_UNWANTED = ("tests/", "bench/", "docs/", "tools/", ".env", "serverless.yml", "README.md", "bootstrap", "requirements-")


class NotRun(Exception):
    """The builder could not be run here; the message says why. It says nothing about the tree."""


class Checks:
    """Prints each result as it comes."""

    def __init__(self) -> None:
        self.failed = 0

    def __call__(self, holds: bool, what: str, otherwise: object = "") -> None:
        if not holds:
            self.failed += 1
        say(f"ok      {what}" if holds else f"FAILED  {what}: {str(otherwise)[:2000]}")


def main() -> None:
    check = Checks()
    builder_ran = True
    with tempfile.TemporaryDirectory(prefix="vercel-") as name:
        folder = Path(name)
        try:
            check_build(check, folder)
        except NotRun as error:
            builder_ran = False
            say(f"NOT RUN the builder: {error}")
            check_source(check, folder)
    for what in UNSEEN:
        say(f"not seen here: {what}")
    sys.exit(1 if check.failed else 0 if builder_ran else 2)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def check_build(check: Checks, folder: Path) -> None:
    """Build a copy, look at the output, start it. Raises NotRun."""
    try:
        python = find_python(PYTHON)
    except SystemExit as error:
        raise NotRun(f"there is no Python {PYTHON} here") from error
    with cli(folder) as command:
        project = copied(folder / "project")
        built = build(command, project, python, folder)
    check(built.returncode == 0, "vercel build ends well", built.stdout + built.stderr)
    if built.returncode:
        return
    function = check_output(check, project / ".vercel" / "output")
    bundle = unpacked(project, function, folder / "task")
    vendored = str(bundle / "_vendor")
    check_serving(check, folder, python, {"PYTHONPATH": vendored}, entry=bundle / "vc__handler__python.py")


def check_source(check: Checks, folder: Path) -> None:
    """Without a build: this tree under the installed `vercel-runtime`."""
    python = interpreter()
    if python is None:
        say(f"NOT RUN the runtime: there is no Python {PYTHON} or newer with vercel-runtime; `make test` sets one up")
        return
    check_serving(check, folder, python, {}, entry=None)


@contextmanager
def cli(folder: Path) -> Iterator[list[str]]:
    """The `vercel` command. Raises NotRun when it cannot be installed."""
    if named := os.environ.get("VERCEL_CLI"):
        yield [named]
        return
    if shutil.which("npm") is None:
        raise NotRun("there is no npm here")
    home = folder / "cli"
    home.mkdir()
    refusals = []
    for overrides in OVERRIDES:
        manifest = {"private": True, "dependencies": {"vercel": CLI_VERSION}, "overrides": overrides}
        (home / "package.json").write_text(json.dumps(manifest))
        command = ["npm", "install", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode == 0:
            changed = "".join(
                f", with {name} {version} in place of what it names" for name, version in overrides.items()
            )
            say(f"vercel {CLI_VERSION} from npm{changed}")
            yield [str(home / "node_modules" / ".bin" / "vercel")]
            return
        refusals.append(_last(done.stderr))
    raise NotRun(f"npm could not install vercel {CLI_VERSION}: {'; '.join(refusals)}")


def copied(target: Path) -> Path:
    """The files that a commit of this tree would have: the builder writes into the folder that it builds."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    (target / ".vercel").mkdir()
    (target / ".vercel" / "project.json").write_text(json.dumps(_PROJECT))
    return target


def build(command: Sequence[str], project: Path, python: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`vercel build`, with this Python and our own uv first on the path."""
    asked = [python, "-c", "import os, sys; print(os.path.dirname(os.path.realpath(sys.executable)))"]
    home = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    path = os.pathsep.join([home, str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "VERCEL_TELEMETRY_DISABLED": "1", "NO_UPDATE_NOTIFIER": "1"}
    whole = [*command, "build", "--yes", "--global-config", str(folder / "config")]
    return subprocess.run(whole, cwd=project, env=env, capture_output=True, text=True, check=False, timeout=600)


def check_output(check: Checks, output: Path) -> Path:
    """What the builder wrote. Returns the folder of the one function."""
    functions = sorted(path.parent for path in output.rglob(".vc-config.json"))
    names = [path.relative_to(output).as_posix() for path in functions]
    check(len(functions) == 1, f"one function: {', '.join(names)}", names)
    last = json.loads((output / "config.json").read_text())["routes"][-1]
    to_it = {"src": "/(.*)", "dest": f"/{functions[0].name.removesuffix('.func')}"}
    kept = [{"type": "request.path", "op": "set", "args": "/$1"}]
    check({**to_it, "transforms": kept} == last, "every path goes to it, unchanged", last)
    static = [path for path in (output / "static").rglob("*") if path.is_file()]
    check(not static, "nothing is a public file", static)
    config = json.loads((functions[0] / ".vc-config.json").read_text())
    wanted = json.loads((ROOT / "vercel.json").read_text())["functions"]["api/index.py"]
    check(config["runtime"] == f"python{PYTHON}", f"runtime {config['runtime']}", config["runtime"])
    check(config.get("supportsResponseStreaming") is True, "answers are streamed", config)
    told = {name: config.get(name) for name in ("maxDuration", "supportsCancellation")}
    check(told.items() <= wanted.items(), f"the settings of vercel.json arrive: {told}", told)
    files: dict[str, str] = config["filePathMap"]
    unwanted = [name for name in files if name.startswith(_UNWANTED)]
    check(not unwanted, "no tests, documents or secrets are in the bundle", unwanted)
    size = sum((output.parents[1] / source).stat().st_size for source in files.values())
    own = sum(not name.startswith("_vendor/") for name in files)
    check(size < MAX_BUNDLE_BYTES, f"{len(files)} files ({own} of the tree), {size / 1e6:.0f} MB unpacked", size)
    return functions[0]


def unpacked(project: Path, function: Path, task: Path) -> Path:
    """The bundle as it lies on the platform's disk."""
    config = json.loads((function / ".vc-config.json").read_text())
    for name, source in config["filePathMap"].items():
        (task / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(project / source, task / name)
    for path in function.glob("*.py"):
        shutil.copy(path, task / path.name)
    return task


def check_serving(check: Checks, folder: Path, python: str, env: Mapping[str, str], *, entry: Path | None) -> None:
    """Start the function as the platform does, and ask it."""
    scratch = folder / "scratch"
    scratch.mkdir()
    # -S: no package but those of the bundle.
    flags = ["-S"] if entry else []
    with CodexBackend() as backend:
        settings = {"AUTH_TOKENS": _KEY, "CHATGPT_ACCESS_TOKENS": jwt(), "CHATGPT_BASE_URL": backend.url}
        try:
            with deployed(python, cwd=scratch, env={**settings, **env}, entry=entry, flags=flags) as deployment:
                began = deployment.messages[0]["payload"]
                check(True, f"vercel-runtime starts it ({began['initDuration']} ms)")
                _ask(check, deployment, backend)
        except RuntimeError as error:
            check(False, "vercel-runtime starts it", f"{error}\n{(scratch / 'vercel.log').read_text()[-1500:]}")


def _ask(check: Checks, deployment: Deployment, backend: CodexBackend) -> None:
    headers = {
        "authorization": f"Bearer {_KEY}",
        "x-vercel-internal-invocation-id": "check",
        "x-vercel-internal-request-id": "1",
    }
    body: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}
    address = f"http://127.0.0.1:{deployment.port}"
    with httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=20) as client:
        for path, status in (("/ping", 200), ("/v1/models", 200), ("/docs", 200), ("/lib/relay.py", 404)):
            answer = client.get(path)
            check(answer.status_code == status, f"GET {path}: {status}", answer.text)
        whole = client.post("/v1/chat/completions", json=body)
        check(whole.status_code == 200, "a whole answer", whole.text)
        backend.script(stream("text", stall_after=6))
        with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as answer:
            lines = (line for line in answer.iter_lines() if '"content":' in line)
            first = next(lines, None)
            early = first is not None and not backend.generations[-1].finished
            check(early, "a stream arrives while the upstream is still at it", first)
        closed = backend.generations[-1].closed.wait(5)
        check(closed, "the upstream is let go when the client leaves")


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if "error" in line] or text.splitlines() or ["no output"]
    return lines[min(1, len(lines) - 1)].removeprefix("npm error ").strip()[:200]


if __name__ == "__main__":
    main()
