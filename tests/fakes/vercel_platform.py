"""What Vercel does around a Python function: the IPC socket, the generated entry file, HTTP to the announced port.

The process in the middle is the real `vercel-runtime`. It needs Python 3.12: `interpreter()` finds one that has it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

# The form that the builder writes beside the bundle: names of module, file and variable, then the runtime.
_ENTRY_FILE = """
import os
os.environ.update({{
    "__VC_HANDLER_MODULE_NAME": "api.index",
    "__VC_HANDLER_ENTRYPOINT": "api/index.py",
    "__VC_HANDLER_ENTRYPOINT_ABS": {entrypoint!r},
    "__VC_HANDLER_VARIABLE_NAME": "app",
}})
from vercel_runtime.vc_init import *
"""


@functools.cache
def interpreter() -> str | None:
    """A Python that has the gateway's requirements and `vercel-runtime`: this one, or that of `.venv-vercel`."""
    for python in (sys.executable, str(ROOT / ".venv-vercel" / "bin" / "python")):
        command = [python, "-c", "import vercel_runtime, fastapi, msgspec"]
        with contextlib.suppress(FileNotFoundError):
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return python
    return None


@dataclass
class Deployment:
    """One running instance."""

    port: int
    process: subprocess.Popen[bytes]
    messages: list[dict[str, Any]] = field(default_factory=list)
    """What the process sent over the IPC socket, the start message first."""

    def ended(self) -> list[int]:
        """The ids of the requests that the runtime reported as ended."""
        return [sent["payload"]["context"]["requestId"] for sent in self.messages if sent["type"] == "end"]


@contextlib.contextmanager
def deployed(
    python: str,
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    entry: Path | None = None,
    flags: Sequence[str] = (),
) -> Iterator[Deployment]:
    """`api/index.py` under the real runtime, started as the platform starts it. `cwd` is scratch: it takes the socket
    and the output, and keeps a developer's `.env` out. `entry`: the builder's own entry file, in place of one for this
    tree. `flags`: Python's. Raises RuntimeError when it does not start."""
    if entry is None:
        entry = cwd / "vc__handler__python.py"
        entry.write_text(_ENTRY_FILE.format(entrypoint=str(ROOT / "api" / "index.py")))
    address = str(cwd / "ipc.sock")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "VERCEL": "1",
        "VERCEL_IPC_PATH": address,
        **(env or {}),
    }
    with socket.socket(socket.AF_UNIX) as listener, (cwd / "vercel.log").open("wb") as log:
        listener.bind(address)
        listener.listen(1)
        listener.settimeout(20)
        process = subprocess.Popen([python, *flags, str(entry)], cwd=cwd, env=environment, stdout=log, stderr=log)
        try:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as incoming:
                yield from _handshake(process, incoming)
        finally:
            process.kill()
            process.wait(10)


def _handshake(process: subprocess.Popen[bytes], incoming: Any) -> Iterator[Deployment]:
    messages = _messages(incoming)
    first = next(messages, {})
    if first.get("type") != "server-started":
        raise RuntimeError(f"the function did not start: {first}")
    deployment = Deployment(first["payload"]["httpPort"], process, [first])
    # Read on in the background: a full socket would block the function.
    reader = threading.Thread(target=lambda: deployment.messages.extend(messages), daemon=True)
    reader.start()
    try:
        yield deployment
    finally:
        process.kill()
        reader.join(10)


def _messages(incoming: Any) -> Iterator[dict[str, Any]]:
    buffer = b""
    while data := incoming.read1(65536):
        *complete, buffer = (buffer + data).split(b"\0")
        yield from map(json.loads, complete)
