from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lib.errors import InvalidRequest, UpstreamError, Verdict
from lib.scoped_keys import Limits, mint
from lib.types import Caller, Model, Trace
from lib.web.auth import Authenticator
from lib.web.gate import Gate
from lib.web.paths import Table
from lib.web.scopes import Scopes
from lib.web.setup import MODEL, SetupApi, address_of, exports
from lib.web.setup_clients import CLIENTS
from tests.fakes.serving import serving
from tests.web.documented import demo
from tests.web.scripted import AUTHORIZED, KEY, PREFIX, TOKEN, HttpReply, ask

SECRET = b"minting-secret-canary-of-the-gateway"
Address = tuple[str, int]


class Listing:
    """A catalogue of names; an exception is raised and a number of seconds waited for."""

    def __init__(self, *answer: str | float | Exception) -> None:
        self.answer = answer
        self.callers: list[Caller] = []

    async def __call__(self, caller: Caller, trace: Trace) -> list[tuple[Model, str]]:
        self.callers.append(caller)
        for each in self.answer:
            if isinstance(each, Exception):
                raise each
            if isinstance(each, float):
                await asyncio.sleep(each)
        return [(Model(each, hidden=each == "hidden"), "scripted") for each in self.answer if isinstance(each, str)]


def served(listing: Listing | None = None, **options: Any) -> Iterator[Address]:
    auth = Authenticator([KEY], [PREFIX], scopes=Scopes([SECRET], [], time.time))
    api = SetupApi(auth, listing or Listing(), **options)
    with serving(Gate(Table(api.endpoints()), now=time.time), access_log=False) as url:
        yield "127.0.0.1", int(url.rpartition(":")[2])


@pytest.fixture(scope="module")
def setup() -> Iterator[Address]:
    yield from served()


def get(address: Address, query: str = "", **headers: str) -> HttpReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(address, "GET", f"/v1/setup{query}", {**AUTHORIZED, **named})


def test_a_configuration_is_for_the_address_that_was_asked(setup: Address) -> None:
    reply = get(setup, "?client=codex")
    answer = reply.json()
    assert (answer["client"], answer["name"]) == ("codex", "Codex CLI")
    [file] = answer["files"]
    assert file["path"] == "~/.codex/config.toml"
    assert 'base_url = "http://gateway/v1"' in file["content"]
    assert answer["environment"] == {"CHAT2API_KEY": "<your key>"}
    assert reply.headers["cache-control"] == "no-store"
    assert KEY not in reply.body.decode()


def test_every_client_has_an_answer_in_both_forms(setup: Address) -> None:
    for name, client in CLIENTS.items():
        assert set(get(setup, f"?client={name}").json()) == {"client", "name", "files", "environment", "notes"}
        for reply in (get(setup, f"?client={name}&format=text"), get(setup, f"?client={name}", accept="text/plain")):
            assert reply.headers["content-type"] == "text/plain; charset=utf-8"
            assert reply.body.decode().startswith(f"# {client.name}\n")
    assert get(setup, "?client=codex&format=json", accept="text/plain").json()["client"] == "codex"
    assert get(setup, "?client=codex", accept="application/json, text/plain, */*").json()["client"] == "codex"


def test_without_a_client_they_are_listed(setup: Address) -> None:
    answer = get(setup).json()
    assert [each["client"] for each in answer["data"]] == list(CLIENTS)
    assert answer["data"][0] == {"client": "codex", "name": "Codex CLI"}
    assert get(setup, "?format=text").body.decode().count("\n") == len(CLIENTS)


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("?client=emacs", 404, "codex, claude-code"),
        ("?client=", 404, "codex"),
        ("?client=%0a%ff%00", 404, "codex"),
        ("?client=codex&format=xml", 400, "json or text"),
        ("?client=codex&model=a%22%0ab", 400, "name of a model"),
        ("?client=codex&model=", 400, "name of a model"),
    ],
)
def test_what_is_not_there_is_named(setup: Address, query: str, status: int, told: str) -> None:
    reply = get(setup, query)
    assert reply.status == status
    assert told in reply.error["message"]


def test_the_model_is_the_callers_else_the_deployments(setup: Address) -> None:
    assert f'model = "{MODEL}"' in get(setup, "?client=codex&format=text").body.decode()
    assert 'model = "org/m:1"' in get(setup, "?client=codex&format=text&model=org/m:1").body.decode()
    for model, expected in (("gpt-own", "gpt-own"), ('gpt"own', MODEL)):
        for address in served(model=model):
            assert f'model = "{expected}"' in get(address, "?client=codex&format=text").body.decode()


def named(listing: Listing, query: str = "?client=codex", **options: Any) -> str:
    """The model in a configuration."""
    [content] = [get(address, query).json()["files"][0]["content"] for address in served(listing, **options)]
    found = re.search(r'^model = "(.*)"$', content, re.MULTILINE)
    assert found is not None
    return found[1]


def test_without_either_it_is_the_first_of_the_callers_list() -> None:
    listing = Listing("hidden", "text-embedding-3-small", 'gpt"quoted', "openai/gpt-a", "gpt-b")
    assert named(listing) == "openai/gpt-a"
    assert len(listing.callers) == 1
    assert named(listing, model="gpt-own") == "gpt-own"
    assert named(listing, "?client=codex&model=gpt-asked") == "gpt-asked"
    assert len(listing.callers) == 1  # nobody had to be asked


def test_a_whole_gateway_names_the_first_that_it_lists() -> None:
    with demo() as gateway:
        first = gateway.http.get("/v1/models").json()["data"][0]["id"]
        answer = gateway.http.get("/v1/setup", params={"client": "codex"}).json()
        assert f'model = "{first}"' in answer["files"][0]["content"]


def test_a_list_that_cannot_be_had_stops_nobody() -> None:
    down = UpstreamError("It is down.", verdict=Verdict.SERVICE, code="upstream_unreachable")
    for listing in (Listing(), Listing("hidden"), Listing("whisper-1"), Listing(down)):
        assert named(listing) == MODEL
    began = time.monotonic()
    assert named(Listing(30.0, "gpt-a"), wait_s=0.1) == MODEL
    assert time.monotonic() - began < 5


def test_the_list_is_asked_for_only_where_a_model_is_named() -> None:
    listing = Listing("gpt-a")
    for address in served(listing):
        for query in ("", "?client=claude-code", "?client=anthropic-python", "?client=cherry-studio"):
            assert get(address, query).status == 200
    assert listing.callers == []


def test_the_list_is_the_callers_own() -> None:
    listing = Listing("gpt-a")
    for address in served(listing):
        for key in (KEY, f"{PREFIX}{TOKEN}", mint(SECRET, "k", Limits(models=("gpt-5*",)))):
            ask(address, "GET", "/v1/setup?client=codex", {"x-api-key": key})
    assert [caller.token for caller in listing.callers] == [None, TOKEN, None]
    assert listing.callers[2].allowed_models == (("gpt-5*",),)


@pytest.mark.parametrize(("pattern", "expected"), [("gpt-a", "gpt-a"), ("gpt-own", "gpt-own"), ("gpt-o*", "gpt-own")])
def test_the_operators_model_is_for_keys_that_may_use_it(pattern: str, expected: str) -> None:
    key = mint(SECRET, "k", Limits(models=(pattern,)))
    for address in served(Listing("gpt-a"), model="gpt-own"):
        answer = ask(address, "GET", "/v1/setup?client=codex&format=text", {"x-api-key": key})
        assert f'model = "{expected}"' in answer.body.decode()


@pytest.mark.parametrize("public_url", ["https://gateway.example.org", "https://gateway.example.org/v1"])
def test_the_operators_address_wins(public_url: str) -> None:
    for address in served(public_url=public_url):
        for host in ("evil.example.com", "a b"):
            answer = get(address, "?client=nextchat", x_forwarded_proto="http", host=host).json()
            assert answer["environment"]["BASE_URL"] == "https://gateway.example.org"


def test_any_caller_is_answered_and_no_one_else(setup: Address) -> None:
    for key in (f"{PREFIX}{TOKEN}", mint(SECRET, "k", Limits(endpoints=("chat",)))):
        assert ask(setup, "GET", "/setup", {"x-api-key": key}).status == 200
    assert ask(setup, "GET", "/v1/setup", {}).status == 401


def scope(host: str, *, proto: str | None = None, root: str = "", scheme: str = "http") -> dict[str, Any]:
    headers = [(b"host", host.encode("latin-1"))]
    if proto is not None:
        headers.append((b"x-forwarded-proto", proto.encode()))
    return {"headers": headers, "root_path": root, "scheme": scheme}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (scope("gateway.example.org"), "http://gateway.example.org"),
        (scope("gateway.example.org:8443", scheme="https"), "https://gateway.example.org:8443"),
        (scope("gateway.example.org", proto="https"), "https://gateway.example.org"),
        (scope("gateway.example.org", proto="HTTPS, http"), "https://gateway.example.org"),
        (scope("gateway.example.org", proto="javascript"), "http://gateway.example.org"),
        (scope("127.0.0.1:3040"), "http://127.0.0.1:3040"),
        (scope("[::1]:3040"), "http://[::1]:3040"),
        (scope("gateway.example.org", root="/prod"), "http://gateway.example.org/prod"),
    ],
)
def test_the_address_is_what_the_client_used(given: dict[str, Any], expected: str) -> None:
    assert address_of(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        scope(""),
        scope("a b"),
        scope('a"b'),
        scope("a/b"),
        scope("user@host"),
        scope("a:"),
        scope("a:0"),
        scope("a:65536"),
        scope("a:1:2"),
        scope("-a"),
        scope("a.b-"),
        scope("$(id)"),
        scope("a\nb"),
        scope("a\n"),
        scope("h\xf6st"),
        scope("a" * 300),
        scope("[::1"),
        scope("[g]"),
        scope("a", root="/x y"),
        scope("a", root='/"'),
        {"headers": [], "scheme": "http"},
    ],
)
def test_what_is_no_address_is_shown_to_nobody(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        address_of(given)
    assert caught.value.code == "invalid_host"


def test_a_shell_reads_the_environment_as_it_is() -> None:
    lines = exports({"A": "<your key>", "B": "-all,+m", "C": "it's"})
    done = subprocess.run(
        ["sh", "-c", lines + "env"], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert {"A=<your key>", "B=-all,+m", "C=it's"} <= set(done.stdout.splitlines())
    assert shlex.split(lines)[1] == "A=<your key>"
