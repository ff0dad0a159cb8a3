"""Regular expressions of JSON schemas in linear time.

A schema comes from the caller and a value from a model, so a pattern that backtracks for ever is nobody's surprise.
Here all ways through a pattern are walked at once (Thompson's construction, Pike's machine): the time is at most the
length of the text times the size of the pattern. What needs backtracking (look-around, back references) or Unicode
tables (`\\p{…}`) is not supported, and neither are patterns that unfold to more than `MAX_SIZE` steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

MAX_SIZE = 2000
MAX_TEXT = 10_000
"""Longer texts are not looked at."""

Test = Callable[[str], bool]


class UnsupportedError(Exception):
    """A pattern that is malformed, too large, or outside of the supported language."""


def found(pattern: str, text: str) -> bool | None:
    """Whether the pattern occurs in the text, as `pattern` of JSON Schema means it. None: it cannot be told."""
    if len(text) > MAX_TEXT:
        return None
    program = _compiled(pattern)
    return None if program is None else _run(program, text)


def size(pattern: str) -> int:
    """How many steps each character of a text may take."""
    return len(_compiled(pattern) or ())


# --- Program --------------------------------------------------------------------------------------------------------


class _Step(NamedTuple):
    """One instruction: take a character that passes `test`, or go on to each of `next` (relative) at once."""

    test: Test | None
    next: tuple[int, ...] = (1,)
    anchor: str = ""
    """`^` or `$`: go on only there."""


Program = list[_Step]


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> Program | None:
    """None: not supported."""
    if len(pattern) > MAX_SIZE:
        return None
    parser = _Parser(pattern)
    try:
        program = parser.alternatives()
    except (UnsupportedError, RecursionError):
        return None
    return program if parser.at_end else None


def _run(program: Program, text: str) -> bool:
    end = len(program)
    current: set[int] = set()
    for index in range(len(text) + 1):
        reached = _follow(program, {*current, 0}, first=index == 0, last=index == len(text))
        if end in reached:
            return True
        if index < len(text):
            char = text[index]
            current = {at + 1 for at in reached if (test := program[at].test) is not None and test(char)}
    return False


def _follow(program: Program, starts: Iterable[int], *, first: bool, last: bool) -> set[int]:
    """Every place that can be reached without a character."""
    reached: set[int] = set()
    waiting = list(starts)
    while waiting:
        at = waiting.pop()
        if at in reached:
            continue
        reached.add(at)
        if at == len(program):
            continue
        step = program[at]
        if step.test is None and (not step.anchor or (first if step.anchor == "^" else last)):
            waiting += [at + offset for offset in step.next]
    return reached


# --- Parser ---------------------------------------------------------------------------------------------------------


def _digit(char: str) -> bool:
    return "0" <= char <= "9"


def _word(char: str) -> bool:
    return char == "_" or (char.isascii() and char.isalnum())


def _not(test: Test) -> Test:
    return lambda char: not test(char)


_CLASSES: dict[str, Test] = {"d": _digit, "w": _word, "s": str.isspace}
_CLASSES |= {name.upper(): _not(test) for name, test in _CLASSES.items()}
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_HEX = {"x": 2, "u": 4}
_QUANTIFIERS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._pos = 0

    @property
    def at_end(self) -> bool:
        return self._pos == len(self._pattern)

    def alternatives(self) -> Program:
        program = self._sequence()
        while self._take("|"):
            other = self._sequence()
            skip = _Step(None, (len(other) + 1,))
            program = [_Step(None, (1, len(program) + 2)), *program, skip, *other]
        return program

    def _sequence(self) -> Program:
        program: Program = []
        while not self.at_end and self._peek() not in "|)":
            program += self._repeated(self._atom())
            if len(program) > MAX_SIZE:
                raise UnsupportedError("too large")
        return program

    def _repeated(self, atom: Program) -> Program:
        bounds = self._quantifier()
        if bounds is None:
            return atom
        self._take("?")  # lazy or greedy makes no difference to whether there is a match
        if self._quantifier() is not None:
            raise UnsupportedError("nothing to repeat")
        least, most = bounds
        if (most or least + 1) * (len(atom) + 1) > MAX_SIZE:
            raise UnsupportedError("too large")
        program = atom * least
        if most is None:
            return [*program, _Step(None, (1, len(atom) + 2)), *atom, _Step(None, (-len(atom) - 1,))]
        optional: Program = []
        for _ in range(most - least):
            optional = [_Step(None, (1, len(atom) + len(optional) + 1)), *atom, *optional]
        return program + optional

    def _quantifier(self) -> tuple[int, int | None] | None:
        if self.at_end:
            return None
        bounds = _QUANTIFIERS.get(self._peek())
        if bounds is not None:
            self._pos += 1
            return bounds
        closing = self._pattern.find("}", self._pos)
        if self._peek() != "{" or closing < 0:
            return None
        least, comma, most = self._pattern[self._pos + 1 : closing].partition(",")
        if not _is_count(least) or (most and not _is_count(most)):
            return None  # a brace that stands for itself
        self._pos = closing + 1
        if not comma:
            return int(least), int(least)
        if most and int(most) < int(least):
            raise UnsupportedError("bounds out of order")
        return int(least), int(most) if most else None

    def _atom(self) -> Program:
        char = self._next()
        if char == "(":
            return self._group()
        if char == "[":
            return [_Step(self._set())]
        if char in "^$":
            return [_Step(None, anchor=char)]
        if char == ".":
            return [_Step(lambda other: other not in "\n\r\u2028\u2029")]
        if char in _QUANTIFIERS:
            raise UnsupportedError("nothing to repeat")
        if char == "\\":
            named = _CLASSES.get(self._peek())
            if named is not None:
                self._pos += 1
                return [_Step(named)]
            char = self._escape()
        return [_Step(char.__eq__)]

    def _group(self) -> Program:
        if self._take("?") and not self._take(":"):
            closing = self._pattern.find(">", self._pos)
            if not self._take("<") or closing < 0 or self._peek() in "=!":
                raise UnsupportedError("look-around")
            self._pos = closing + 1
        program = self.alternatives()
        if not self._take(")"):
            raise UnsupportedError("an unbalanced bracket")
        return program

    def _set(self) -> Test:
        negated = self._take("^")
        tests: list[Test] = []
        while not self._take("]"):
            member = self._member()
            if isinstance(member, str) and self._pattern[self._pos : self._pos + 1] == "-":
                self._pos += 1
                if self._peek() == "]":
                    tests.append("-".__eq__)
                else:
                    last = self._member()
                    if not isinstance(last, str):
                        raise UnsupportedError("a range to a class")
                    tests.append(_range(member, last))
                    continue
            tests.append(member.__eq__ if isinstance(member, str) else member)
        members = tuple(tests)

        def test(char: str) -> bool:
            return any(member(char) for member in members) != negated

        return test

    def _member(self) -> str | Test:
        char = self._next()
        if char != "\\":
            return char
        named = _CLASSES.get(self._peek())
        if named is None:
            return "\b" if self._take("b") else self._escape()
        self._pos += 1
        return named

    def _escape(self) -> str:
        char = self._next()
        if char in _CONTROL:
            return _CONTROL[char]
        if char in _HEX:
            digits = self._pattern[self._pos : self._pos + _HEX[char]]
            if len(digits) != _HEX[char] or not set(digits) <= set("0123456789abcdefABCDEF"):
                raise UnsupportedError("a broken escape")
            self._pos += len(digits)
            return chr(int(digits, 16))
        if char.isascii() and char.isalnum():
            raise UnsupportedError("a back reference or an unknown escape")
        return char

    def _peek(self) -> str:
        if self.at_end:
            raise UnsupportedError("it ends too early")
        return self._pattern[self._pos]

    def _next(self) -> str:
        char = self._peek()
        self._pos += 1
        return char

    def _take(self, char: str) -> bool:
        if not self._pattern.startswith(char, self._pos):
            return False
        self._pos += 1
        return True


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 5


def _range(first: str, last: str) -> Test:
    return lambda char: first <= char <= last
