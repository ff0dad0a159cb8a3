"""python -m bench [cold] [stream] [forward] [whole] [--quick] [--rounds N] [--json FILE]"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench import loads
from bench.cold import cold
from bench.processes import BenchError
from bench.report import Samples

SECTIONS = {"cold": cold, "stream": loads.stream, "forward": loads.forward, "whole": loads.whole}


def main(arguments: Sequence[str]) -> int:
    """0 when everything was measured, met or not; 1 when an answer was wrong or a process failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="The gateway against its controls.")
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)}; all without one")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works, measures little")
    parser.add_argument("--rounds", type=int, help="rounds, and cold starts, instead of the usual number")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    size = loads.QUICK if asked.quick else loads.NORMAL
    if asked.rounds:
        size = dataclasses.replace(size, rounds=asked.rounds, cold_starts=asked.rounds)
    samples = Samples()
    failed = False
    for name, section in SECTIONS.items():
        if asked.sections and name not in asked.sections:
            continue
        try:
            section(samples, size)
        except BenchError as error:
            sys.stderr.write(f"bench: {name}: {error}\n")
            failed = True
    print(samples.table())
    if asked.json is not None:
        document = {"machine": machine(), "size": dataclasses.asdict(size), "figures": samples.document()}
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    return int(failed)


def machine() -> dict[str, object]:
    """Where and with what the figures were taken."""
    packages = ("uvicorn", "uvloop", "httptools", "httpx", "fastapi", "starlette", "pydantic", "msgspec")
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
