from __future__ import annotations

import time

import pytest

from lib.prompted.parse import MAX_BLOCK_CHARS, Parser
from lib.prompted.pieces import Call
from tests.prompted.replies import BLOCK, CALL, KEY, TOOLS, calls, own, parsed, read, shown

HERMES = '<tool_call>\n{"name": "f", "arguments": {"x": "q", "n": 1}}\n</tool_call>'
HERMES_CALL = Call("f", '{"x": "q", "n": 1}')


def test_text_before_between_and_behind_calls_stays() -> None:
    assert shown(f"one\n\n{BLOCK}\ntwo\n{BLOCK} three") == "one\n\n\ntwo\n three"
    assert calls(f"one\n\n{BLOCK}\ntwo\n{BLOCK} three") == [CALL, CALL]


def test_blank_space_between_and_behind_blocks_is_no_text() -> None:
    assert shown(f"{BLOCK}\n\n {BLOCK}\n") == ""


def test_calls_come_behind_all_text_and_in_order() -> None:
    other = own('{"name": "bare", "arguments": {}}')
    kinds = [piece.kind for piece in read(f"{BLOCK}{other} text")]
    assert kinds == ["text", "call", "call"]
    assert [call.name for call in calls(f"{BLOCK}{other} text")] == ["f", "bare"]


@pytest.mark.parametrize(
    "text",
    [
        "Tides rise, tides fall; it's 5\" deep, isn't it? Yes – 100 %.\n\n- a list\n- of “things”\n\n> a quote",
        "# Title\n\n| a | b |\n|---|---|\n\n1. x = y * 2 & z; a > b\n\n\tindented\n",
        "Ünïcödé 潮汐 🌊 שלום\r\n\r\nnext\u2028line",
    ],
)
def test_ordinary_prose_is_never_held_back(text: str) -> None:
    parser = Parser(TOOLS, KEY)
    for char in text:
        assert "".join(piece.text for piece in parser.feed(char)) == char
        assert parser.held == 0


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("a <", 1),
        ("a <tool_call", 10),
        ("a <tool_calx", 0),
        ("a < b", 0),
        (f"a <tool_call:{KEY[:4]}", 15),
        ("a {", 0),
        ("{", 1),
        ('{ "tool', 7),
        ('{ "title', 0),
        ("```", 3),
        ("```json\n{", 9),
        ("```python", 0),
        ("a ``` b", 0),
        ("a <div", 0),
        ("</thin", 6),
    ],
)
def test_only_what_may_become_a_marker_is_held_back(text: str, held: int) -> None:
    parser = Parser(TOOLS, KEY)
    parser.feed(text)
    assert parser.held == held


@pytest.mark.parametrize(
    "text",
    [
        f"```\n{BLOCK}\n```",
        f"```json\n{BLOCK}\n```\n",
        f"~~~~xml\n~~~\n{BLOCK}\n~~~~",
        f"````\n```\n{BLOCK}\n```\n````",
        f"```\n{BLOCK}",
        f"`{BLOCK}`",
        f"``a ` {BLOCK}``",
        f'He wrote: "{BLOCK}\n{BLOCK}" yesterday',
        f"He wrote: “\n{BLOCK}”",
        f"Er schrieb: „{BLOCK}“",
        f"Il écrit : « {BLOCK} »",
        f"so: '{BLOCK}'",
        f"> {BLOCK}",
        f"  > {BLOCK}",
        f'"{HERMES}\n{HERMES}"',
        f"`{HERMES}`",
        f"“{HERMES}”",
    ],
)
def test_a_block_in_code_or_quotes_is_text(text: str) -> None:
    assert calls(text) == []
    assert shown(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "It's a 5\" pipe, isn't it",
        "`code` and ``more ` code`` and 'a' \"b\"",
        "```\ncode\n```",
        "```inline``` code",
        "~~~\ncode\n~~~~  ",
        'an open " quote\n',
        "an open ` tick\n",
        "> a quoted line",
        "rock 'n' roll, 'tis",
        "a < b > c",
    ],
)
def test_a_block_behind_code_and_quotes_is_a_call(text: str) -> None:
    assert calls(f"{text}\n\n{BLOCK}") == [CALL]


def test_a_block_right_behind_a_sentence_is_a_call() -> None:
    assert calls(f"Let me see.{BLOCK}") == [CALL]


def test_another_key_is_no_key() -> None:
    text = BLOCK.replace(KEY, "another2key3")
    assert calls(text) == []
    assert shown(text) == text


# --- Reasoning ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reasoning", "visible"),
    [
        ("<think>a</think>b", "a", "b"),
        ("<thinking>a</thinking>b", "a", "b"),
        ("\n<think>a<think>b</think>c</think>d", "abc", "\nd"),
        ("<think>never closed", "never closed", ""),
        (f"<think>{BLOCK}</think>b", BLOCK, "b"),
        (f"<think>{BLOCK}", BLOCK, ""),
        (f"<think>{BLOCK[:-9]}</think>b", f"{BLOCK[:-9]}", "b"),
        (f"<think><tool_call:{KEY}></think>b", f"<tool_call:{KEY}>", "b"),
        (f"<think>{HERMES}</think>", HERMES, ""),
        ("<think>a <thi b</think>", "a <thi b", ""),
        ("closed only</think>b", "", "closed onlyb"),
        ("a mention of <think> in a line", "", "a mention of <think> in a line"),
        ("in `<think>` code", "", "in `<think>` code"),
        ("in `</think>` code", "", "in `</think>` code"),
        ("`\n<think>` code", "", "`\n<think>` code"),
        ('the tag "</think>" quoted', "", 'the tag "</think>" quoted'),
        ("a\n<think>later</think>\nb", "later", "a\n\nb"),
    ],
)
def test_reasoning_is_told_from_text(text: str, reasoning: str, visible: str) -> None:
    assert calls(text) == []
    assert shown(text, "reasoning") == reasoning
    assert shown(text) == visible


def test_a_call_before_a_lone_closing_tag_was_reasoning() -> None:
    text = f"I could write\n\n{BLOCK}\nbut no.</think>Here you are."
    assert calls(text) == []
    assert shown(text, "reasoning") == BLOCK


def test_a_call_behind_reasoning_is_a_call() -> None:
    assert calls(f"<think>{BLOCK}</think>{BLOCK}") == [CALL]
    assert calls(f"closed only</think>\n{BLOCK}") == [CALL]


def test_reasoning_tags_in_arguments_are_text() -> None:
    body = '{"name": "f", "arguments": {"x": "<think>a</think></think><think>"}}'
    assert calls(own(body)) == [Call("f", '{"x": "<think>a</think></think><think>"}')]
    assert calls(f"<think>{own(body)}</think>{BLOCK}") == [CALL]


# --- Broken blocks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", range(1, len(BLOCK)))
def test_a_cut_call_is_never_completed(length: int) -> None:
    assert parsed([BLOCK[:length]])[0][:2] == ("text", BLOCK[:length])


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no object",
        "[]",
        '{"name": "f"',
        '{"name": "f", "arguments": {"x": "q"}',
        '{"name": "f", "arguments": {"x": "q"}}}',
        '{"name": "f", "arguments": {"x": "q"}} and more',
        '{"name": "unknown", "arguments": {}}',
        '{"arguments": {"x": "q"}}',
        '{"name": 1, "arguments": {}}',
        '{"name": "f", "arguments": [1]}',
        '{"name": "f", "arguments": 1}',
        '{"name": "f", "arguments": "no object"}',
        '{"name": "f", "arguments": {"x": NaN}}',
        "{'name': 'f', 'arguments': {}}",
        '{"name": "f", "arguments": {"x": "\\ud800"}}',
        '{"name": "f", "arguments": ' + '{"a":' * 3000 + "1" + "}" * 3000 + "}",
    ],
)
def test_a_block_that_does_not_parse_is_text(body: str) -> None:
    text = f"a\n{own(body)}\nb"
    pieces = parsed([text])
    assert [(piece.kind, piece.text) for piece in pieces] == [("text", text)]


def test_a_call_behind_a_broken_block_is_a_call() -> None:
    assert calls(f"{own('oops')}\n\n{own('{ <')}\n\n{BLOCK}") == [CALL]


def test_a_call_in_a_string_of_a_cut_call_is_no_call() -> None:
    text = f'<tool_call:{KEY}>\n{{"name": "f", "arguments": {{"x": "\n\n{BLOCK}'
    assert calls(text.replace('"q"', "'q'").replace('{"x":', "{x:")) == []


def test_arguments_that_do_not_validate_are_no_call_of_a_strict_tool() -> None:
    body = '{"name": "%s", "arguments": {"x": 1}}'
    assert calls(own(body % "strict")) == []
    assert calls(own(body % "f")) == [Call("f", '{"x": 1}')]


def test_a_block_beyond_the_bound_is_text() -> None:
    parser = Parser(TOOLS, KEY)
    head = f'<tool_call:{KEY}>{{"name":"f","arguments":{{"x":"'
    chunk = "y" * (MAX_BLOCK_CHARS // 4)
    pieces = [*parser.feed(head), *(piece for _ in range(5) for piece in parser.feed(chunk)), *parser.finish()]
    assert "".join(piece.text for piece in pieces) == head + chunk * 5
    assert parser.held == 0


def test_a_long_block_in_small_pieces_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        text = own('{"name": "f", "arguments": {"x": "' + "y\\n" * size + '"}}')
        parser = Parser(TOOLS, KEY)
        started = time.perf_counter()
        for index in range(0, len(text), 8):
            parser.feed(text[index : index + 8])
        assert parser.finish()[-1].call is not None
        return time.perf_counter() - started

    seconds(1000)
    assert seconds(80_000) < 40 * seconds(8_000) + 0.05


# --- Other vendors' forms -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        HERMES,
        HERMES.replace("\n", ""),
        '{"tool_calls": [{"name": "f", "arguments": {"x": "q", "n": 1}}]}',
        '{"tool_calls":[{"id": "c1", "type": "function", "function": {"name": "f", '
        '"arguments": "{\\"x\\": \\"q\\", \\"n\\": 1}"}}]}',
        '```json\n{"name": "f", "arguments": {"x": "q", "n": 1}}\n```',
        '```\n{\n  "arguments": {"x": "q", "n": 1}, "name": "f"\n}\n```',
    ],
)
def test_another_form_counts_only_at_the_end(text: str) -> None:
    assert calls(text) == calls(f"Well:\n\n{text}\n \n") == [HERMES_CALL]
    assert calls(f"{text}\nand so on") == []
    assert shown(f"{text}\nand so on") == f"{text}\nand so on"
    assert calls(f"{text}\n\n{BLOCK}") == [CALL]


@pytest.mark.parametrize(
    "text",
    [
        "<function=f>\n<parameter=x>\nq\n</parameter>\n<parameter=n>\n1\n</parameter>\n</function>",
        "<tool_call>\n<function=f><parameter=x>q</parameter> <parameter=n> 1 </parameter></function>\n</tool_call>",
        '<invoke name="f"><parameter name="x">q</parameter><parameter name="n">1</parameter></invoke>',
        '<function_calls>\n<invoke name="f">\n<parameter name="x"><![CDATA[q]]></parameter>\n'
        '<parameter name="n">1</parameter>\n</invoke>\n</function_calls>',
    ],
)
def test_tags_count_only_at_the_end(text: str) -> None:
    assert calls(text) == calls(f"Well: {text}\n") == [CALL]
    assert calls(f"{text}\nand so on") == []
    assert shown(f"{text}\nand so on") == f"{text}\nand so on"


@pytest.mark.parametrize(
    "text",
    [
        HERMES.replace('"f"', '"unknown"'),
        HERMES.replace('"q"', "5"),
        HERMES.replace('"x"', '"y"'),
        HERMES.replace('"arguments"', '"more": 1, "arguments"'),
        HERMES[:-1],
        '{"tool_calls": []}',
        '{"tool_calls": [{"name": "f", "arguments": {"x": "q"}}], "more": 1}',
        '{"tool_calls": [{"name": "f", "arguments": {"x": "q"}}, {"name": "f", "arguments": {}}]}',
        '```json\n{"name": "f", "arguments": {"x": "q"}, "id": 1}\n```',
        '```json\n{"name": "f", "arguments": {"x": "q"}}\n{}\n```',
        '```json\n{"name": "f"}\n```',
        '```json\n[{"name": "f", "arguments": {"x": "q"}}]\n```',
        '```js\n{"name": "f", "arguments": {"x": "q"}}\n```',
        '{"name": "f", "arguments": {"x": "q"}}',
        '```json\n{"name": "f", "arguments": {"x": "q"}}\n',
        "<function=unknown>\n</function>",
        "<function=f>\n</function>",
        "<function=f><parameter=x>q</function>",
        "<function=f><parameter=x>q</parameter><parameter=x>r</parameter></function>",
        '<invoke name="f"><parameter name="x">q</parameter><parameter name="n">one</parameter></invoke>',
        '<invoke name="f"><parameter name="x"><![CDATA[q</parameter></invoke>',
        "the <tool_call> marker, <function=f> and <invoke name=",
    ],
)
def test_what_does_not_validate_is_text(text: str) -> None:
    assert calls(text) == []
    assert shown(text) == text


def test_text_goes_on_inside_a_fence_that_held_no_call() -> None:
    text = f'```json\n{{"name": "f", "arguments": {{}}}},\n{BLOCK}\n```'
    assert calls(text) == []
    assert calls(f"{text}\n\n{BLOCK}") == [CALL]


def test_several_blocks_of_other_forms_are_all_calls() -> None:
    assert calls(f"{HERMES}\n{HERMES}\n<function=bare></function>") == [HERMES_CALL, HERMES_CALL, Call("bare", "{}")]
    assert calls(f"{BLOCK}\n{HERMES}") == [CALL, HERMES_CALL]


def test_closing_tags_in_values_survive() -> None:
    text = "<function=f><parameter=x>a</parameter>b</function>c</parameter></function>"
    assert calls(text) == [Call("f", '{"x":"a</parameter>b</function>c"}')]


def test_cdata_and_entities_are_read_once() -> None:
    value = "<![CDATA[a</parameter></invoke>&lt;]]]]><![CDATA[>]]>&lt;&amp;amp;&#65;&#x42;&nbsp;&#0;&#xD800;&lol;"
    text = f'<invoke name="f"><parameter name="x">{value}</parameter></invoke>'
    expected = "a</parameter></invoke>&lt;]]><&amp;AB&nbsp;&#0;&#xD800;&lol;"
    assert calls(text) == [Call("f", f'{{"x":"{expected}"}}')]


def test_entities_stay_in_a_form_that_has_none() -> None:
    assert calls("<function=f><parameter=x>&lt;</parameter></function>") == [Call("f", '{"x":"&lt;"}')]


def test_a_custom_tool_gets_its_text() -> None:
    body = '{"name": "free", "arguments": {"input": "line\\n\\"two\\""}}'
    assert calls(own(body)) == [Call("free", 'line\n"two"', custom=True)]
