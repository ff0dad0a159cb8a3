"""Builds the bundle for AWS Lambda: dist/lambda.zip, with nothing in it but what runs.

    python -m tools.package [--python 3.12] [--arch arm64|x86_64] [--into FOLDER]

The same sources and pins give the same bytes: files are sorted, times and modes are fixed, and bytecode is compiled in
one process with a fixed hash seed. The bytecode's hashes are unchecked, so Lambda's Python neither looks at the sources
nor tries to write anything. It has to be compiled by a Python of the version that will run it. The requirements go
without their sources, which are two fifths of their weight; the gateway's own stay, for tracebacks.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lib.web.instance import BUNDLE_FILE

ROOT = Path(__file__).parents[1]

# Lambda is the server, and its own Python brings boto3 with all that it needs. brotli would be an eighth of the bundle,
# for answers in an encoding that nothing asks for; without it they are a clear error.
LEFT_OUT = frozenset(
    {
        "brotli",
        "uvicorn",
        "uvloop",
        "click",
        "boto3",
        "botocore",
        "s3transfer",
        "jmespath",
        "python-dateutil",
        "six",
        "urllib3",
    }
)
PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
EXECUTABLES = frozenset({"bootstrap"})
MAX_ZIP_BYTES = 12 * 1000 * 1000

_OWN = ("api", "lib")
_NOT_RUN = (".pyi", ".pyx", ".pxd", ".c", ".h", ".cpp", ".typed", ".pyc", ".md", ".rst", ".txt")
# Beside tests and metadata: a second HTML parser, and the C half of PyYAML, whose plain loader reads one small file.
_UNUSED = re.compile(r"(^|/)(tests?|__pycache__|bin|[^/]+\.dist-info)/|^selectolax/(parser|modest)|^(yaml/)?_yaml")
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)==.*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
_EPOCH = (1980, 1, 1, 0, 0, 0)

_COMPILE = """
import compileall, os, py_compile, sys
tree, own = sys.argv[1], sys.argv[2:]
whole = True
for name in sorted(os.listdir(tree)):
    path = os.path.join(tree, name)
    compiled = compileall.compile_dir if os.path.isdir(path) else compileall.compile_file
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    whole &= bool(compiled(path, quiet=1, invalidation_mode=mode, legacy=name not in own,
                           stripdir=tree, prependdir="/var/task"))
sys.exit(not whole)
"""


def main() -> None:
    options = _options()
    interpreter = find_python(options.python)
    target = Path(options.into)
    with tempfile.TemporaryDirectory(prefix="package-") as folder:
        tree = Path(folder)
        install(tree, options.python, options.arch)
        copy_sources(tree)
        compile_all(tree, interpreter)
        (tree / BUNDLE_FILE).write_text(f"{digest_of(tree)}\n")
        target.mkdir(parents=True, exist_ok=True)
        archive = target / "lambda.zip"
        files = write_zip(tree, archive)
    size = archive.stat().st_size
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    shown = archive.relative_to(ROOT) if archive.is_relative_to(ROOT) else archive
    sys.stdout.write(
        f"{shown}: {files} files, {size / 1e6:.1f} MB, for Python {options.python} on {options.arch}\nsha256 {digest}\n"
    )
    if size > MAX_ZIP_BYTES:
        sys.exit(f"The bundle is larger than {MAX_ZIP_BYTES / 1e6:.0f} MB.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.package")
    parser.add_argument("--python", default="3.12", choices=("3.11", "3.12", "3.13"), help="Lambda's Python")
    parser.add_argument("--arch", default="arm64", choices=sorted(PLATFORMS))
    parser.add_argument("--into", default=str(ROOT / "dist"), help="where lambda.zip goes")
    return parser.parse_args()


def find_python(version: str) -> str:
    """An interpreter of exactly this version. Exits when there is none."""
    candidates = [sys.executable, f"python{version}"]
    homes = [
        Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions",
        Path.home() / ".local/share/uv/python",
    ]
    candidates += [str(found) for home in homes for found in sorted(home.glob(f"*{version}*/bin/python"))]
    for candidate in candidates:
        asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            said = subprocess.run(asked, capture_output=True, text=True, timeout=20)
        except OSError:
            continue
        if said.stdout.strip() == version:
            return candidate
    sys.exit(
        f"The bytecode needs a Python {version}, and there is none here. Install one, or build for the Python that you "
        "have (make package LAMBDA_PYTHON=3.11) and set the same LAMBDA_PYTHON when you deploy."
    )


def install(tree: Path, python: str, arch: str) -> None:
    """The pinned requirements as wheels for Lambda's Linux, checked against their hashes."""
    pinned = tree / "requirements.txt"
    whole = (ROOT / "requirements.txt").read_text()
    pinned.write_text("".join(match[0] for match in _REQUIREMENT.finditer(whole) if match[1] not in LEFT_OUT))
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(tree), "--no-deps"]
    command += ["--python-platform", PLATFORMS[arch], "--python-version", python, "--only-binary", ":all:"]
    subprocess.run([*command, "--require-hashes", "-r", str(pinned)], check=True)
    pinned.unlink()


def copy_sources(tree: Path) -> None:
    """What of this repository runs."""
    for name in _OWN:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in EXECUTABLES:
        shutil.copy(ROOT / name, tree / name)


def compile_all(tree: Path, interpreter: str) -> None:
    """Bytecode for everything that is left, and nothing else is left than what runs."""
    for path in list(_files(tree)):
        if _UNUSED.search(path.relative_to(tree).as_posix()) or path.name.endswith(_NOT_RUN):
            path.unlink()
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run([interpreter, "-c", _COMPILE, str(tree), *_OWN], check=True, env=environment)
    for path in list(_files(tree)):
        if path.suffix == ".py" and path.relative_to(tree).parts[0] not in _OWN:
            path.unlink()


def digest_of(tree: Path) -> str:
    """SHA-256 over names and contents, in their order: what the status page shows of a bundle."""
    digest = hashlib.sha256()
    for path in sorted(_files(tree)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(tree).as_posix()}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()


def write_zip(tree: Path, archive: Path) -> int:
    """The same bytes for the same files. Returns how many there are."""
    names = sorted(path.relative_to(tree).as_posix() for path in _files(tree))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name in names:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = (0o100755 if name in EXECUTABLES else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, (tree / name).read_bytes(), compresslevel=9)
    return len(names)


def _files(tree: Path) -> Iterator[Path]:
    return (path for path in tree.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
