"""Where in a text a marker counts: outside of code fences, code spans, quotes and quoted lines.

Follows Markdown as far as it matters here. A code span or a quote that nobody closes ends with its paragraph, a single
quote with its line; an apostrophe or an inch mark opens nothing. The state depends on the characters alone, never on
how they were cut.
"""

from __future__ import annotations

import re

# One step of the automaton: a stretch of plain characters, a run of fence characters, or one character that matters.
_STEP = re.compile("[^\n<>`~\"'“”„«»‘’{]+|`+|~+|.", re.DOTALL)
_STEP_IN_FENCE = re.compile("[^\n`~]+|`+|~+|\n")
_SPECIAL = frozenset("\n<>`~\"'“”„«»‘’{")
_CLOSERS = {'"': '"', "“": "”", "„": "“”", "«": "»", "»": "«", "'": "'", "‘": "’"}
_LINE_QUOTES = frozenset("'’")
"""Closers of quotes that end with the line at the latest."""
_BEFORE_QUOTE = frozenset(" \t\r\n([{<>=:,;/-–—|*_\0")
"""What may stand before an opening straight quote; NUL stands for the beginning."""
_NEXT_TO_MARKER = frozenset("\"'`“„«»‘’”")


class Prose:
    """The state after everything that was passed so far; a fresh one stands at the beginning of a line."""

    def __init__(self, *, line_start: bool = True, fence: str = "") -> None:
        """fence: the run that opened the code fence around this place."""
        self._line_start = line_start
        self._previous = "\0"
        self._quote = ""
        """Characters that close the open quote; empty outside of one."""
        self._quoted_line = False
        self._code = 0
        """Backticks of the open code span."""
        self._fence = fence
        self._info = False
        self._closing = False
        self._run = ""
        """Fence characters that may not be all of their run yet."""
        self._run_first = False

    @property
    def line_start(self) -> bool:
        """Whether nothing but blanks stands before this place in its line."""
        return self._line_start

    @property
    def quoted(self) -> bool:
        """Whether a marker at this place would be one that the text talks about."""
        return bool(self._quote or self._code) or self._previous in _NEXT_TO_MARKER

    def pass_block(self) -> None:
        """A block was passed that the text talks about; what stands in it closes no quote."""
        self._line_start, self._previous = False, ">"

    def advance(self, text: str, pos: int, *, past: bool = False) -> int:
        """Goes on from `pos` to the next character that may begin a marker, and returns its index, or -1 at the end.

        past: the character at `pos` was looked at and begins none.
        """
        while True:
            fence = self._fence
            for match in (_STEP_IN_FENCE if fence else _STEP).finditer(text, pos):
                token = match[0]
                first = token[0]
                if self._run and first != self._run[0]:
                    self._end_run()
                    if self._fence != fence:
                        pos = match.start()
                        break
                if first not in _SPECIAL:
                    if not token.isspace():
                        self._line_start = self._closing = False
                    self._previous = token[-1]
                    continue
                if not past and first in "<{`" and self._may_begin(first):
                    return match.start()
                past = False
                self._special(token, first)
                if self._fence != fence:
                    pos = match.end()
                    break
            else:
                return -1

    def _may_begin(self, first: str) -> bool:
        if self._fence or self._quoted_line or self._run:
            return False
        return first == "<" or (self._line_start and not self._code and not self._quote)

    def _special(self, token: str, first: str) -> None:
        if first == "\n":
            self._newline()
        elif first in "`~":
            if not self._run:
                self._run_first = self._line_start
            self._run += token
            self._line_start = False
        else:
            if not self._fence and not self._code and not self._quoted_line:
                self._mark(first)
            self._line_start = self._closing = False
        self._previous = first

    def _mark(self, first: str) -> None:
        """A quote or an angle bracket outside of code."""
        if first == ">" and self._line_start:
            self._quoted_line = True
        elif self._quote:
            if first in self._quote:
                self._quote = ""
        elif first in _CLOSERS and (first not in "\"'" or self._previous in _BEFORE_QUOTE):
            self._quote = _CLOSERS[first]

    def _newline(self) -> None:
        if self._closing:
            self._fence = ""
        if self._line_start:  # a blank line ends the paragraph
            self._quote, self._code = "", 0
        elif self._quote in _LINE_QUOTES:
            self._quote = ""
        self._line_start = True
        self._info = self._closing = self._quoted_line = False

    def _end_run(self) -> None:
        run, self._run = self._run, ""
        if self._fence and self._info and run[0] == "`" and self._fence[0] == "`":
            # Backticks behind the run: that was no fence but a code span at the beginning of a line.
            self._code, self._fence, self._info = len(self._fence), "", False
        if self._fence:
            self._closing = self._run_first and run.startswith(self._fence)
        elif self._code:
            if run[0] == "`" and len(run) == self._code:
                self._code = 0
        elif self._run_first and len(run) >= 3:
            self._fence, self._info = run, True
        elif run[0] == "`" and not self._quoted_line:
            self._code = len(run)
