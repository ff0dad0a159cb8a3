"""Proves the parser of prompted tool calls: `make prove-tools`, or with a corpus of one's own `CASES=FILE`.

A corpus has one JSON object a line: `id`, `user` (the question), `tools` (OpenAI tool definitions) and `calls` (the
expected ones, `name` and `arguments`). The calls of each case are written as the model is asked to write them, and in
the form of another vendor; text, reasoning, code and quotes with calls that must not count are put around them. Each
reply is cut at every single byte, byte by byte, and at random places, so inside of characters, too. Every cut must
give the same pieces: the expected calls, the visible text, and nothing lost.

The last line says how many cases, cuts and failures there were; with a failure the exit status is 1.
"""

from __future__ import annotations

import asyncio
import codecs
import multiprocessing
import random
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from lib.canonical.build import Builder, usage
from lib.canonical.events import COMPLETED, Event
from lib.canonical.request import CanonicalRequest
from lib.prompted import arguments, check
from lib.prompted.encode import encode_call
from lib.prompted.parse import Parser
from lib.prompted.pieces import CALL, DISCARD, Call, Piece
from lib.prompted.schema import Schema
from lib.prompted.tools import CallableTool, Toolset, callable_tools
from lib.prompted.trigger import derive_key, opening
from lib.prompted.wrap import PromptedUpstream
from lib.types import Answer, Lease, Model, Window

CORPUS = Path(__file__).parent.parent / "tests" / "prompted" / "corpus.jsonl"
_SECRET = b"a secret for the proof"
_RANDOM_CUTS = 12
_SHOWN_FAILURES = 20
_NO_MARKER = frozenset("<{`")


class Said(msgspec.Struct):
    """An expected call; its arguments as they stand in the corpus."""

    name: str
    arguments: msgspec.Raw


class Case(msgspec.Struct):
    """One line of a corpus."""

    id: str
    user: str
    tools: list[dict[str, Any]]
    calls: list[Said]


class Reply(NamedTuple):
    """What a model might write, and what must be read in it."""

    form: str
    text: str
    calls: tuple[Call, ...]
    visible: str | None = None
    """The text that must be left, where that is known."""


class Result(NamedTuple):
    """Of one case."""

    cuts: int
    prose: int
    held: int
    failures: list[str]


# --- Replies --------------------------------------------------------------------------------------------------------


def replies_of(case: Case, tools: Toolset, key: str) -> Iterator[Reply]:
    """The replies that one case is tried with."""
    calls = tuple(Call(said.name, bytes(said.arguments).decode()) for said in case.calls)
    blocks = "\n".join(encode_call(call, key) for call in calls)
    prose = case.user if _NO_MARKER.isdisjoint(case.user) else "Let me see."
    yield Reply("plain", blocks, calls, "")
    before = (
        f"{prose}\n\nIt's 5\" wide & “fine”; one writes `{opening(key)}`, or > so:\n\n"
        f"```xml\n{blocks}\n```\n\n> {opening(key)}\n\n"
    )
    # Nested and closed, holding whole calls; then text that shows the form without meaning it.
    thought = f"<think>So: <think>{blocks}</think>\n{blocks}\n</think>"
    yield Reply("embedded", f"{thought}{before}{blocks}\n", calls, before if calls else f"{before}\n")
    yield Reply("quoted", f'He wrote:\n\n"{blocks}" and left.', ())
    yield Reply("cut", f"{prose}\n\n{blocks}"[:-1], calls[:-1])
    # Every reply is cut at each of its bytes: a few forms for each case, all of them over the corpus.
    forms = list(_foreign(calls, tools, prose))
    turn = crc32(case.id.encode())
    yield from {forms[turn % len(forms)], forms[turn // 7 % len(forms)], forms[turn // 49 % len(forms)]}


def _foreign(calls: tuple[Call, ...], tools: Toolset, prose: str) -> Iterator[Reply]:
    """In other vendors' forms, which ask for arguments that validate, and count only at the end."""
    values = [arguments.decode(call.arguments) for call in calls]
    valid = all(
        call.name in tools and _is_valid(value, Schema(tools[call.name].schema))
        for call, value in zip(calls, values, strict=True)
    )
    pairs = list(zip(calls, values, strict=True))
    blocks = "".join(map(_object, calls))
    forms = {
        "hermes": "\n".join(f"<tool_call>\n{_object(call)}\n</tool_call>" for call in calls),
        "tool_calls": f'{{"tool_calls": [{", ".join(map(_object, calls))}]}}',
    }
    if len(calls) == 1:
        forms["fenced"] = f"```json\n{_object(calls[0])}\n```"
    if all(_fits_tags(call, value, tools) for call, value in pairs):
        if "<![CDATA[" not in blocks:  # there is no other way to say it in these tags
            forms["function"] = "\n".join(_function(call, value) for call, value in pairs)
        forms["invoke"] = "\n".join(_invoke(call, value) for call, value in pairs)
    for form, text in forms.items():
        yield Reply(form, f"{prose}\n\n{text}\n", calls if valid else ())
        yield Reply(f"{form}, not at the end", f"{prose}\n\n{text}\nThat is how it is written.", ())


def _is_valid(value: Any, schema: Schema) -> bool:
    return check.problem(schema, arguments.coerce(value, schema)) is None


def _object(call: Call) -> str:
    return f'{{"name": {arguments.encode(call.name)}, "arguments": {call.arguments}}}'


def _fits_tags(call: Call, value: Any, tools: Toolset) -> bool:
    """Whether tags, which have nothing but text, can say this call."""
    if call.name not in tools or any(char in call.name for char in '"<>\n'):
        return False
    schema = Schema(tools[call.name].schema)
    return all(
        schema.property(name).allows_text() == isinstance(item, str) and not any(char in name for char in '"<>\n')
        for name, item in value.items()
    )


def _function(call: Call, value: dict[str, Any]) -> str:
    inner = "".join(
        f"<parameter={name}>\n{item if isinstance(item, str) else arguments.encode(item)}\n</parameter>\n"
        for name, item in value.items()
    )
    return f"<tool_call>\n<function={call.name}>\n{inner}</function>\n</tool_call>"


def _invoke(call: Call, value: dict[str, Any]) -> str:
    inner = "".join(
        f'<parameter name="{name}">{_cdata(item if isinstance(item, str) else arguments.encode(item))}</parameter>\n'
        for name, item in value.items()
    )
    return f'<function_calls>\n<invoke name="{call.name}">\n{inner}</invoke>\n</function_calls>'


def _cdata(text: str) -> str:
    return "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>"


# --- Cuts -----------------------------------------------------------------------------------------------------------


def cuts_of(data: bytes, seed: str) -> Iterator[Sequence[bytes]]:
    """Every way in which a reply is cut."""
    for index in range(1, len(data)):
        yield data[:index], data[index:]
    yield [data[index : index + 1] for index in range(len(data))]
    chance = random.Random(seed)  # the same cuts in every run
    for _ in range(_RANDOM_CUTS):
        places = [0, *sorted(chance.choices(range(len(data) + 1), k=chance.randint(2, 12))), len(data)]
        yield [data[start:end] for start, end in zip(places, places[1:], strict=False)]


def parse(chunks: Iterable[bytes], tools: Toolset, key: str) -> list[Piece]:
    """The pieces of a reply, neighbours of one kind joined."""
    parser = Parser(tools, key)
    decoder = codecs.getincrementaldecoder("utf-8")()
    pieces: list[Piece] = []
    for chunk in chunks:
        pieces += parser.feed(decoder.decode(chunk))
    return coalesced(pieces + parser.finish())


def coalesced(pieces: Iterable[Piece]) -> list[Piece]:
    """With neighbours of one kind in one piece."""
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last and last.kind == piece.kind != CALL and last.at + len(last.text) == piece.at:
            joined[-1] = Piece(piece.kind, last.text + piece.text, last.at)
        else:
            joined.append(piece)
    return joined


def same(found: Call, expected: Call, schema: Schema) -> bool:
    """Whether a call is the expected one; a text that the schema wants as something else may have become that."""
    if found.name != expected.name:
        return False
    if found.arguments == expected.arguments:
        return True
    return _same_value(arguments.decode(found.arguments), arguments.decode(expected.arguments), schema)


def _same_value(found: Any, expected: Any, schema: Schema) -> bool:
    if isinstance(found, dict) and isinstance(expected, dict):
        return list(found) == list(expected) and all(
            _same_value(found[name], expected[name], schema.property(name)) for name in found
        )
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(
            _same_value(one, other, schema.item(index))
            for index, (one, other) in enumerate(zip(found, expected, strict=True))
        )
    if isinstance(expected, str) and not isinstance(found, str):
        said = expected if not isinstance(found, bool) else expected.lower()
        return not schema.allows_text() and _same_value(found, arguments.decode(said), Schema({}))
    return type(found) is type(expected) and bool(found == expected) and str(found) == str(expected)


# --- One case -------------------------------------------------------------------------------------------------------


def prove(case: Case) -> Result:
    """Everything that is tried with one case."""
    request = _request(case)
    tools = callable_tools(request)
    key = derive_key(_SECRET, tools, case.id)
    cuts, failures = 0, []
    for reply in replies_of(case, tools, key):
        whole = parse([reply.text.encode()], tools, key)
        problem = _problem(whole, reply, tools)
        for chunks in cuts_of(reply.text.encode(), case.id):
            cuts += 1
            if problem is None and parse(chunks, tools, key) != whole:
                problem = f"another result when cut as {[len(chunk) for chunk in chunks][:20]}"
        if problem is not None:
            failures.append(f"{case.id}, {reply.form}: {problem}")
    problem = asyncio.run(_journey(request, case, key))
    if problem is not None:
        failures.append(f"{case.id}, through the upstream: {problem}")
    prose, held = _held_back(case.user, tools, key)
    return Result(cuts, prose, held, failures)


def _request(case: Case) -> CanonicalRequest:
    tools = [{"type": "function", **tool.get("function", tool)} for tool in case.tools]
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": case.user}]}
    return CanonicalRequest(model="m", input=[said], tools=tools, affinity=case.id)


def _problem(pieces: Sequence[Piece], reply: Reply, tools: Toolset) -> str | None:
    found = [piece.call for piece in pieces if piece.call is not None]
    if len(found) != len(reply.calls):
        return f"{len(found)} calls instead of {len(reply.calls)}"
    for one, other in zip(found, reply.calls, strict=True):
        if not same(one, other, _schema_of(other, tools)):
            return f"{one} instead of {other}"
    if "".join(piece.text for piece in sorted(pieces, key=lambda piece: piece.at)) != reply.text:
        return "something was lost"
    if any(piece.kind == DISCARD and not _is_marker(piece.text) for piece in pieces):
        return "more than a marker was discarded"
    visible = "".join(piece.text for piece in pieces if piece.kind == "text")
    return None if reply.visible in (None, visible) else f"the visible text is {visible!r}"


def _schema_of(call: Call, tools: Toolset) -> Schema:
    return Schema(tools.get(call.name, CallableTool(call.name)).schema)


def _is_marker(text: str) -> bool:
    return text.isspace() or text in ("<think>", "</think>", "<think></think>")


def _held_back(text: str, tools: Toolset, key: str) -> tuple[int, int]:
    """How many characters of ordinary prose there were, and how many had to wait."""
    if not _NO_MARKER.isdisjoint(text):
        return 0, 0
    parser, held = Parser(tools, key), 0
    for char in text:
        parser.feed(char)
        held += parser.held
    return len(text), held


async def _journey(request: CanonicalRequest, case: Case, key: str) -> str | None:
    """The calls as they come out of the whole upstream, as canonical events."""
    expected = [Call(said.name, bytes(said.arguments).decode()) for said in case.calls]
    text = "Here you are.\n\n" + "\n".join(encode_call(call, key) for call in expected)
    upstream = PromptedUpstream(_Speaking(text, case.id), _SECRET)
    answer = await upstream.open(request, Lease("a1", "speaking", {}), timeout_s=1)
    events = [event async for batch in answer for event in batch]
    await answer.aclose()
    if [event.fields["sequence_number"] for event in events] != list(range(len(events))):
        return "gaps in the sequence numbers"
    if events[-1].type not in COMPLETED:
        return "no terminal event"
    items = [item for item in events[-1].fields["response"]["output"] if item["type"] == "function_call"]
    tools = callable_tools(request)
    if len(items) != len(expected):
        return f"{len(items)} calls instead of {len(expected)}"
    for item, call in zip(items, expected, strict=True):
        if not same(Call(item["name"], item["arguments"]), call, _schema_of(call, tools)):
            return f"{item} instead of {call}"
    ids = {item["call_id"] for item in items}
    return None if len(ids) == len(items) and all(len(name) <= 40 for name in ids) else "ids that are no ids"


class _Speaking:
    """`lib.types.Upstream` and `Answer` that says one text, in pieces."""

    name = "speaking"
    accepts = frozenset({"model", "input"})
    windows: Sequence[Window] = ()

    def __init__(self, text: str, seed: str) -> None:
        self._text = text
        self._chance = random.Random(seed)
        self._request = CanonicalRequest(model="m", input=[])

    async def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> Answer:
        self._request = request
        return self

    async def models(self, lease: Lease) -> list[Model]:
        return []

    async def __aiter__(self) -> AsyncIterator[list[Event]]:
        builder = Builder(self._request, response_id="inner", created_at=0)
        yield builder.start()
        rest = self._text
        while rest:
            size = self._chance.randint(1, 9)
            yield builder.text(rest[:size])
            rest = rest[size:]
        yield builder.finish(usage(1, 1))

    async def aclose(self) -> None:
        return None


# --- All of them ----------------------------------------------------------------------------------------------------


def main(path: str | None = None) -> int:
    """Prints the failures and the summary; the exit status."""
    started = time.monotonic()
    lines = Path(path or CORPUS).read_bytes().splitlines()
    cases = [msgspec.json.decode(line, type=Case) for line in lines if line.strip()]
    with multiprocessing.Pool() as pool:
        results = list(pool.imap_unordered(prove, cases, chunksize=4))
    failures = sorted(failure for result in results for failure in result.failures)
    out = sys.stdout.write
    for failure in failures[:_SHOWN_FAILURES]:
        out(f"{failure}\n")
    prose, held = sum(result.prose for result in results), sum(result.held for result in results)
    out(
        f"{len(cases)} cases, {sum(result.cuts for result in results)} cuts, {len(failures)} failures, "
        f"{held} of {prose} characters of prose held back, {time.monotonic() - started:.0f} s\n"
    )
    return 1 if failures or held or not cases else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
