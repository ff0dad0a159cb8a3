"""The files that platforms read, checked for the mistakes that they would not report."""

from __future__ import annotations

import json
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from lib.settings import Settings

ROOT = Path(__file__).parents[1]


def test_vercel_makes_one_function_and_rewrites_nothing() -> None:
    config = json.loads((ROOT / "vercel.json").read_text())
    assert config.keys() == {"$schema", "framework", "functions"}  # with rewrites every path would be /api/index
    assert config["framework"] == "fastapi"
    assert list(config["functions"]) == ["api/index.py"]
    assert config["functions"]["api/index.py"]["maxDuration"] == 300  # the most that every plan has


def test_vercel_bundle_keeps_what_runs_and_leaves_the_rest() -> None:
    glob = json.loads((ROOT / "vercel.json").read_text())["functions"]["api/index.py"]["excludeFiles"]
    assert len(glob) <= 256  # the builder's limit
    patterns = glob.strip("{}").split(",")

    def excluded(name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in patterns)

    unwanted = [".env", ".env.local", "tests/fakes/tokens.py", "bench/relay.py", "serverless.yml", "dist/lambda.zip"]
    assert all(map(excluded, [*unwanted, "docs/deploy.md", "tools/package.py", "bootstrap", "requirements-dev.txt"]))
    assert not any(map(excluded, ["api/index.py", "lib/web/app.py", "requirements.txt", "vercel.json"]))


def test_nothing_takes_precedence_over_requirements_and_entry_point() -> None:
    traps = ["pyproject.toml", "Pipfile", "uv.lock"]
    traps += [f"{name}.py" for name in ("app", "index", "server", "main", "wsgi", "asgi")]
    traps += [f"api/{name}.py" for name in ("app",)]
    assert [name for name in traps if (ROOT / name).exists()] == []


def serverless() -> dict[str, Any]:
    """serverless.yml; CloudFormation's short forms (`!Sub`) as one-key mappings, as osls reads them."""

    class Loader(yaml.SafeLoader):
        pass

    def long_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
        make = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence}[type(node)]
        deep = {} if isinstance(node, yaml.ScalarNode) else {"deep": True}
        return {"Ref" if suffix == "Ref" else f"Fn::{suffix}": make(node, **deep)}  # type: ignore[operator]

    Loader.add_multi_constructor("!", long_form)
    config: dict[str, Any] = yaml.load((ROOT / "serverless.yml").read_text(), Loader)
    return config


def test_lambda_url_and_runtime_loop_both_stream() -> None:
    config = serverless()
    assert config["functions"]["api"] == {
        "handler": "api.aws_lambda.handler",
        "url": {"invokeMode": "RESPONSE_STREAM"},  # and no `cors`: the application answers preflights
    }
    wrapper = config["provider"]["environment"]["AWS_LAMBDA_EXEC_WRAPPER"]
    assert wrapper == f"/var/task/{(ROOT / 'bootstrap').name}"
    assert (ROOT / "bootstrap").stat().st_mode & 0o111
    assert b"\r" not in (ROOT / "bootstrap").read_bytes()


def test_lambda_runs_what_make_package_built() -> None:
    config = serverless()
    assert config["package"] == {"artifact": "dist/lambda.zip"}
    assert "plugins" not in config
    makefile = dict(re.findall(r"(?m)^(LAMBDA_\w+) \?= (\S+)$", (ROOT / "Makefile").read_text()))
    provider = config["provider"]
    assert provider["runtime"] == f"python${{env:LAMBDA_PYTHON, '{makefile['LAMBDA_PYTHON']}'}}"
    assert provider["architecture"] == f"${{env:LAMBDA_ARCH, '{makefile['LAMBDA_ARCH']}'}}"
    assert (provider["timeout"], provider["memorySize"]) == (900, 512)
    assert "snapStart" not in config["functions"]["api"]  # the loop does not speak restore/next


def test_lambda_may_write_its_log_and_with_a_bucket_its_pictures() -> None:
    config = serverless()
    assert "iam" not in config["provider"]  # osls gives the right to write the log
    assert list(config["resources"]["Resources"]) == ["ImageBucketPolicy", "StateTable", "StateTablePolicy"]
    policy = config["resources"]["Resources"]["ImageBucketPolicy"]
    assert policy["Condition"] in config["resources"]["Conditions"]
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["s3:PutObject", "s3:GetObject"]


def test_lambda_may_use_the_table_of_its_state_if_there_is_one() -> None:
    resources = serverless()["resources"]
    policy = resources["Resources"]["StateTablePolicy"]
    assert policy["Condition"] in resources["Conditions"]
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"]
    assert statement["Resource"]["Fn::Sub"].endswith(":table/${env:STATE_TABLE, ''}")


def test_the_table_of_its_state_is_made_as_the_store_expects_it() -> None:
    resources = serverless()["resources"]
    table = resources["Resources"]["StateTable"]
    assert table["Condition"] in resources["Conditions"]
    assert table["DeletionPolicy"] == "Retain"  # renewed tokens may be nowhere else
    made = table["Properties"]
    assert made["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert made["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


@pytest.mark.parametrize("bucket", ["s3://pictures/made", "s3://pictures/made/"])
def test_right_to_pictures_ends_at_the_prefix(bucket: str) -> None:
    policy = serverless()["resources"]["Resources"]["ImageBucketPolicy"]
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert evaluated(statement["Resource"], bucket) == "arn:aws:s3:::pictures/made/*"
    assert evaluated(statement["Resource"], "s3://pictures") == "arn:aws:s3:::pictures/*"


def evaluated(value: Any, bucket: str) -> Any:
    """What CloudFormation makes of an expression, once osls has put the variables in."""
    if isinstance(value, list):
        return [evaluated(item, bucket) for item in value]
    if isinstance(value, str):
        return value.replace("${env:IMAGE_BUCKET, ''}", bucket).replace("${AWS::Partition}", "aws")
    if not isinstance(value, dict):
        return value
    ((name, inner),) = value.items()
    given = evaluated(inner, bucket)
    if name == "Fn::Join":
        return given[0].join(given[1])
    if name == "Fn::Split":
        return given[1].split(given[0])
    return given[1][given[0]] if name == "Fn::Select" else given


def test_lambda_gets_every_setting_from_the_shell() -> None:
    environment = serverless()["provider"]["environment"]
    names = {name.upper() for name in Settings.model_fields} | {"LAMBDA_RESPONSE_MODE"}
    told = {name: value for name, value in environment.items() if name != "AWS_LAMBDA_EXEC_WRAPPER"}
    assert told == {name: f"${{env:{name}, ''}}" for name in names}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-vercel.txt"])
def test_every_requirement_is_pinned_with_hashes(name: str) -> None:
    entries = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n?", "", (ROOT / name).read_text()).strip())
    assert len(entries) > 20
    assert [entry for entry in entries if not re.match(r"[a-z0-9.-]+(\[[a-z,]+\])?==\S+ [^\n]*\\\n", entry)] == []
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("minor", ["11", "99"])
def test_interpreter_is_found_or_its_lack_is_named(minor: str) -> None:
    done = subprocess.run([ROOT / "tools" / "find-python", minor], capture_output=True, text=True, check=False)
    if minor == "99":
        assert done.returncode == 1
        assert "no Python 3.99" in done.stderr
    else:
        version = subprocess.run([done.stdout.strip(), "--version"], capture_output=True, text=True, check=True)
        assert version.stdout.startswith("Python 3.")
