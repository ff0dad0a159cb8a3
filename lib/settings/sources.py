"""The configuration file: what `VERCEL_CONFIG_FILE` names, as a source of settings below the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic_settings import InitSettingsSource

from lib.settings.reading import Placed
from lib.settings.values import Problem, Unusable

VARIABLE = "VERCEL_CONFIG_FILE"
FILE_ACCOUNTS = f"{VARIABLE} chatgpts"
MAX_FILE_BYTES = 8 * 1024 * 1024

_TOP = {"log_level": "log_level", "proxy": "proxy", "chatgpt_base_url": "chatgpt_base_url", "chatgpts": "chatgpts"}
_AUTH = {"access_tokens": "auth_tokens", "access_token_prefix": "access_token_prefix"}


class ConfigFile(InitSettingsSource):
    """Yields the file's values as `Placed`, and a Problem when something is wrong with the file itself."""

    def __call__(self) -> dict[str, Any]:
        path = self.current_state.get("vercel_config_file")
        if not isinstance(path, str) or not path.strip():
            return {}
        try:
            document = _load(path.strip().strip("\"'"))
        except Unusable as problem:
            return {"config_file_problem": Problem(VARIABLE, str(problem))}
        found = _picked(document, _TOP, "")
        auth = document.get("auth")
        if isinstance(auth, Mapping):
            found |= _picked(auth, _AUTH, "auth.")
        if "access_token_prefixes" in self.current_state:
            # The environment has two names for what the file has one for: either of them wins.
            found.pop("access_token_prefix", None)
        if not set(document) <= {*_TOP, "auth"} or not isinstance(auth, Mapping | None):
            found["config_file_problem"] = Problem(VARIABLE, "the file has entries that are not known")
        return found


def _picked(members: Mapping[Any, Any], names: Mapping[str, str], parent: str) -> dict[str, Any]:
    return {
        field: Placed(members[name], f"{VARIABLE} {parent}{name}")
        for name, field in names.items()
        if members.get(name) is not None
    }


def _load(path: str) -> Mapping[Any, Any]:
    try:
        if not os.path.isfile(path):
            raise Unusable("the file does not exist")
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError:
        raise Unusable("the file cannot be read") from None
    if len(content) > MAX_FILE_BYTES:
        raise Unusable("the file is too large")
    document = _yaml(content)
    if document is None:
        return {}
    if not isinstance(document, Mapping):
        raise Unusable("the file must hold a mapping")
    return document


def _yaml(content: bytes) -> Any:
    import yaml  # only deployments with a configuration file pay for it

    kept = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "merge", "str", "seq", "map")}

    class Texts(yaml.SafeLoader):
        """Leaves scalars as they are written: a token of digits is a token, a date stays a text."""

        yaml_implicit_resolvers = {
            first: [entry for entry in entries if entry[0] in kept]
            for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }
        yaml_constructors = {
            tag: constructor for tag, constructor in yaml.SafeLoader.yaml_constructors.items() if tag in kept
        }

    try:
        return yaml.load(content, Loader=Texts)
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise Unusable(f"the file is not valid YAML{line}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise Unusable("the file is not valid YAML") from None
