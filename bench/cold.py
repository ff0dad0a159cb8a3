"""The section `cold`: a fresh process up to the end of its imports, and up to its first answer.

What is measured is what a platform would start: a copy of the installed runtime requirements with `api/` and `lib/`,
and nothing else on the path. In one copy an earlier start has left its bytecode, in the other there is none and none is
written. The standard library has its bytecode in both cases, as it has on the platforms.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import answers
from bench.loads import Size
from bench.processes import ROOT, BenchError, cores, gateway_environment, output, upstream
from bench.report import OURS, Aim, Metric, Samples

CONTROL = "control-imports"

WITH = Metric("cold import, with bytecode", "ms", CONTROL, 0, Aim(at_most=1.25, ratio=True))
WITHOUT = Metric("cold import, without bytecode", "ms", CONTROL, 0, Aim(at_most=1.25, ratio=True))
FIRST_ANSWER = Metric("cold import and first answer", "ms", CONTROL)

# The process leaves without tidying up: a platform freezes it, it does not end it.
_TELL = "os.write(1, str(time.monotonic()).encode()); os._exit(0)"
_NOTHING = f"import os, time; {_TELL}"
_CONTROL_IMPORT = f"import os, time, fastapi, httpx, mangum, pydantic_settings; {_TELL}"
_OUR_IMPORT = f"import os, time; from api.index import app; {_TELL}"

_CONTROL_ANSWER = f"""
import fastapi, httpx, mangum, pydantic_settings
import asyncio, os, time
async def main():
    app = fastapi.FastAPI()
    async with httpx.AsyncClient() as client:
        answer = await client.post(os.environ["CHATGPT_BASE_URL"] + "{answers.UPSTREAM_PATH}", content=b"bench:2@0")
        assert b"response.completed" in answer.content
        {_TELL}
asyncio.run(main())
"""

_OUR_ANSWER = f"""
from api.index import app
import asyncio, os, time
body = {answers.request(answers.Wanted(2, 0), stream=False)!r}
headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"authorization", b"Bearer sk-bench"),
           (b"content-length", str(len(body)).encode())]
scope = {{"type": "http", "asgi": {{"version": "3.0", "spec_version": "2.4"}}, "http_version": "1.1",
         "method": "POST", "scheme": "http", "path": "{answers.GATEWAY_PATH}",
         "raw_path": b"{answers.GATEWAY_PATH}", "root_path": "", "query_string": b"", "headers": headers,
         "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}}
async def main():
    asked = False
    async def receive():
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {{"type": "http.request", "body": body, "more_body": False}}
    async def send(message):
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message
        elif not message.get("more_body"):
            {_TELL}
    await app(scope, receive, send)
asyncio.run(main())
"""


def cold(samples: Samples, size: Size) -> None:
    """Import times of the gateway, of the control and of nothing, in turn."""
    with upstream() as backend, bundles() as (compiled, plain):
        environment = gateway_environment(backend.port)
        runs = [(metric, bundle, *run) for metric, bundle in ((WITH, compiled), (WITHOUT, plain)) for run in IMPORTS]
        runs += [(FIRST_ANSWER, compiled, *run) for run in ANSWERS]
        for _, bundle, _, code in runs:
            # Proves every run once, brings the files into the page cache and leaves bytecode where some is wanted.
            start(bundle, code, environment, write_bytecode=bundle is compiled)
        for round_ in range(size.cold_starts):
            sys.stderr.write(f"bench: cold: round {round_ + 1} of {size.cold_starts}\n")
            for metric, bundle, target, code in runs:
                samples.add(metric, target, start(bundle, code, environment))


IMPORTS = (("nothing", _NOTHING), (CONTROL, _CONTROL_IMPORT), (OURS, _OUR_IMPORT))
ANSWERS = ((CONTROL, _CONTROL_ANSWER), (OURS, _OUR_ANSWER))
"""(target, what its process does)"""


@contextmanager
def bundles() -> Iterator[tuple[Path, Path]]:
    """Two folders with all that the function needs: one to be given bytecode by a first start, one to stay without."""
    with tempfile.TemporaryDirectory(prefix="bench-cold-") as folder:
        plain, compiled = Path(folder, "plain"), Path(folder, "compiled")
        for source, target in _files():
            (plain / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, plain / target)
        shutil.copytree(plain, compiled)
        yield compiled, plain


def _files() -> Iterator[tuple[Path, Path]]:
    """Files of the pinned runtime requirements and of the gateway, each with its place in the bundle."""
    names = re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    for name in names:
        try:
            files = importlib.metadata.files(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # pinned for another platform
        for file in files or ():
            if file.suffix != ".pyc" and ".." not in file.parts:
                yield Path(str(file.locate())), Path(file)
    for folder in ("api", "lib"):
        for source in (ROOT / folder).rglob("*.py"):
            yield source, source.relative_to(ROOT)


def interpreter(*flags: str, python: str = sys.executable) -> list[str]:
    """Python without the site-packages of the environment that the bench runs in and without the current directory."""
    return [python, "-S", "-P", *flags]


def start(
    bundle: Path, code: str, environment: dict[str, str], *, write_bytecode: bool = False, python: str = sys.executable
) -> float:
    """Milliseconds from starting the process to the end of its code."""
    command = interpreter(*(() if write_bytecode else ("-B",)), "-c", code, python=python)
    started_at = time.monotonic()
    out = output(command, cores()[0], {**environment, "PYTHONPATH": str(bundle)}, cwd=bundle)
    if not out:
        raise BenchError(f"a cold start printed nothing: {code[:80]!r}")
    return (float(out) - started_at) * 1000
