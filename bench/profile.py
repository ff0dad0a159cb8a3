"""Where the gateway's time goes: import by import when it starts, module by module when it serves.

    python -m bench.profile cold
    python -m bench.profile stream [--paced] [--app MODULE:ATTRIBUTE]
    python -m bench.profile whole

Serving is profiled with cProfile in the serving process, after a warm-up. It makes small Python functions look dearer
than they are: use it to find where to look, and `python -m bench` to see what came of it. Time in C functions is booked
to the module that called them; uvloop's own time is not seen.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from bench.client import Load, Measured
from bench.cold import bundles, interpreter
from bench.loads import measure
from bench.processes import (
    GATEWAY,
    ROOT,
    BenchError,
    cores,
    gateway_environment,
    plain_environment,
    upstream,
)

_SHOWN = 20
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| (\s*)(\S+)")


def profile_cold(module: str) -> None:
    """Print what importing a module of the bundle costs: by package and by module, in ms."""
    with bundles() as (compiled, _):
        command = interpreter("-X", "importtime", "-c", f"import {module}")
        environment = plain_environment({**gateway_environment(9), "PYTHONPATH": str(compiled)})
        for _ in ("leave bytecode", "measure"):
            done = subprocess.run(command, env=environment, cwd=compiled, capture_output=True, text=True)
            if done.returncode != 0:
                raise BenchError(done.stderr[-2000:])
    packages: Counter[str] = Counter()
    own: Counter[str] = Counter()
    with_all: Counter[str] = Counter()
    for self_us, cumulative_us, _, name in _IMPORT.findall(done.stderr):
        packages[name.partition(".")[0]] += int(self_us)
        own[name] += int(self_us)
        with_all[name] = int(cumulative_us)
    print(f"import {module}: {packages.total() / 1000:.0f} ms under -X importtime, {len(own)} modules")
    _print_import("package, all of its own modules", packages)
    _print_import("module alone", own)
    _print_import("module with all that it is the first to import", with_all)


def _print_import(what: str, times_us: Counter[str]) -> None:
    print(f"\n{what}\n" + "\n".join(f"{us / 1000:8.1f} ms  {name}" for name, us in times_us.most_common(_SHOWN)))


def profile_serving(app: str, load: Load) -> None:
    """Print where the time goes while `load` runs; its port and pid are filled in here."""
    os.sched_setaffinity(0, {cores()[0]})
    with upstream() as backend:
        os.environ.update(gateway_environment(backend.port))
        profile = cProfile.Profile()
        measured = uvloop.run(_serve(app, load, profile))
    units = ("token", measured.tokens) if load.kind == "streams" else ("answer", measured.answers)
    print(f"{measured.answers} answers, {measured.tokens} tokens; CPU {measured.cpu_s:.2f} s with the profiler's own")
    _print_serving(pstats.Stats(profile), *units)


async def _serve(app: str, load: Load, profile: cProfile.Profile) -> Measured:
    config = uvicorn.Config(app, port=0, http="httptools", access_log=False, log_level="warning")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if serving.done():
                raise BenchError(f"{app} did not start")
            await asyncio.sleep(0.02)
        load.port, load.pid = server.servers[0].sockets[0].getsockname()[1], os.getpid()
        warm_up = Load(load.kind, load.port, load.pid, streams=load.streams, seconds=0.2)
        await asyncio.to_thread(measure, warm_up)
        profile.enable()
        try:
            return await asyncio.to_thread(measure, load)
        finally:
            profile.disable()
    finally:
        server.should_exit = True
        await serving


def _print_serving(stats: pstats.Stats, unit: str, units: int) -> None:
    functions: dict[tuple[str, int, str], Any] = stats.stats  # type: ignore[attr-defined]  # not in typeshed
    modules: Counter[str] = Counter()
    own: Counter[str] = Counter()
    for (file, line, name), (_, _, own_s, _, callers) in functions.items():
        own[name if file == "~" else f"{_shortened(file)}:{line} {name}"] += own_s
        if file != "~":
            modules[_place(file)] += own_s
            continue
        for (caller_file, _, _), figures in callers.items():
            modules[_place(caller_file)] += figures[2]
        modules["(event loop)"] += own_s - sum(figures[2] for figures in callers.values())
    total = own.total()
    for what, times in (("module, with the C functions that it calls", modules), ("function alone", own)):
        print(f"\n{what}\n{'share':>7} {'µs a ' + unit:>12}")
        for name, seconds in times.most_common(_SHOWN):
            print(f"{seconds / total:7.1%} {seconds / units * 1e6:12.2f}  {name}")


def _place(file: str) -> str:
    """`lib/sse.py` for our own files, `asyncio` for those of a package."""
    own = Path(file).is_relative_to(ROOT) and "site-packages" not in file
    return _shortened(file) if own else _shortened(file).partition("/")[0]


def _shortened(file: str) -> str:
    for base in ("/site-packages/", f"{ROOT}/", f"{Path(asyncio.__file__).parents[1]}/"):
        _, found, rest = file.partition(base)
        if found:
            return rest
    return file


def main(arguments: Sequence[str]) -> int:
    """0, or 1 with the reason on stderr when there was nothing to profile."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description="Where the gateway's time goes.")
    parser.add_argument("what", choices=("cold", "stream", "whole"))
    parser.add_argument("--paced", action="store_true", help="64 streams at 50 tokens a second instead of full speed")
    parser.add_argument("--app", default=GATEWAY.app, metavar="MODULE:ATTRIBUTE", help="something else to profile")
    asked = parser.parse_args(arguments)
    full = Load("streams", 0, 0, streams=16, tokens=5000, repeat=2)
    paced = Load("streams", 0, 0, streams=64, tokens=250, rate=50)
    try:
        if asked.what == "cold":
            profile_cold(asked.app.partition(":")[0])
        elif asked.what == "whole":
            profile_serving(asked.app, Load("whole", 0, 0, streams=16, tokens=2, seconds=3))
        else:
            profile_serving(asked.app, paced if asked.paced else full)
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
