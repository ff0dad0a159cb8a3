"""The content of a Chat Completions stream: every character once, up to the first stop sequence.

Nearly all deltas go on with the part before them, and nothing is looked for in them: the renderer makes their frames
itself, as long as `Texts.at` says so. All others come here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.dialects.chat_body import citations, stop_sequences, within
from lib.dialects.chat_chunks import Chunks
from lib.dialects.chat_logprobs import Tokens, choice_logprobs, wants_logprobs
from lib.dialects.chat_pieces import At
from lib.dialects.chat_sent import Sent
from lib.dialects.output_items import Part
from lib.dialects.pictures import Breaks
from lib.dialects.places import Places
from lib.dialects.stops import Stops


class Texts:
    """All texts and pictures of one answer."""

    def __init__(self, request: CanonicalRequest, chunks: Chunks, sent: Sent, places: Places) -> None:
        self.at: At | None = None
        """The part that text deltas go on with as they come; None when the next one needs a look."""
        self._chunks = chunks
        self._sent = sent
        self._places = places
        self._stops = Stops(stop_sequences(request))
        self._tokens = Tokens() if wants_logprobs(request) else None
        self._is_watched = bool(self._stops) or self._tokens is not None
        """Whether every delta needs a look."""
        self._run: list[str] = []
        self._run_at: At = (0, 0)
        self.keep = self._run.append
        """Takes what was sent of the part at `_run_at` since `_settle`."""
        self._chars = 0
        """Length of the settled content, with what is held back."""
        self._shown = 0
        """Length of the content that the client has, if it is watched."""
        self._breaks = Breaks()
        self._starts: dict[At, int] = {}
        """The text parts that were begun → where in the content."""
        self._cited: dict[At, int] = {}
        """How many annotations of a part were seen."""
        self._told: dict[At, int] = {}
        """How many tokens of a part were seen."""

    @property
    def is_stopped(self) -> bool:
        """Whether a stop sequence was met: nothing new is shown after it."""
        return self._stops.found is not None

    def on_delta(self, at: At, delta: str, event: Event) -> bytes:
        """A delta that needs a look. Raises UpstreamError for log probabilities of the wrong type."""
        logprobs = None if self._tokens is None else event.fields.get("logprobs")
        return self.write(at, delta, logprobs) if delta or logprobs else b""

    def write(self, at: At, delta: str, logprobs: Any = None) -> bytes:
        """More text of a part: of another one than before, behind half a character, or of one that is watched. Raises
        UpstreamError for log probabilities of the wrong type."""
        if self.is_stopped:
            return b""
        self._tell(at, logprobs)
        self._settle()
        key = (at[0], "text", at[1])
        text = self._sent.joined(key, delta)
        self.at = None
        if not text:
            return b""
        self._places.note(at[0], "message")
        ended = self._release() if self._is_watched and at != self._run_at else b""
        lead = self._breaks.before(is_picture=False)
        self._chars += len(lead)
        self._starts.setdefault(at, self._chars)
        self._run_at = at
        self.keep(text)
        if self._is_watched:
            return ended + self._show_watched(lead, self._stops.feed(text))
        if not self._sent.is_held(key):
            self.at = at
        return self._chunks.chunk({"content": lead + text})

    def complete(self, at: At, whole: str, logprobs: Any) -> bytes:
        """What of a finished part was not sent yet. Raises UpstreamError for log probabilities of the wrong type."""
        if self._tokens is not None and type(logprobs) is list:
            self._tell(at, logprobs[self._told.get(at, 0) :])
        self._settle()
        text = self._sent.missing((at[0], "text", at[1]), whole)
        return self.write(at, text) if text else b""

    def show(self, picture: str) -> bytes:
        """A picture in Markdown; nothing for an empty one. No stop sequence is looked for in it."""
        if not picture or self.is_stopped:
            return b""
        self._settle()
        self.at = None
        ended = self._release()
        content = self._breaks.before(is_picture=True) + picture
        self._chars += len(content)
        self._shown += len(content)
        return ended + self._chunks.chunk({"content": content})

    def annotate(self, at: At, annotation: dict[str, Any]) -> bytes:
        """One more annotation of a part."""
        self._cited[at] = self._cited.get(at, 0) + 1
        return self._annotate(at, [annotation])

    def finish_part(self, at: At, part: Part) -> bytes:
        """What of a finished part was not sent yet, with its annotations."""
        text = self.complete(at, part.text or "", part.logprobs)
        return text + self._annotate(at, (part.annotations or [])[self._cited.get(at, 0) :])

    def finish(self) -> bytes:
        """What was held back: no more text follows."""
        halves = "".join(text for key, text in self._sent.leftovers().items() if key[1] == "text")
        if halves and not self._is_watched:
            return self._chunks.chunk({"content": halves})
        ended = self._show_watched("", self._stops.feed(halves)) if halves else b""
        ended += self._release()
        tokens = self._tokens.rest() if self._tokens is not None and not self.is_stopped else ()
        return ended + self._chunks.chunk({"content": ""}, logprobs=choice_logprobs(tokens)) if tokens else ended

    def _tell(self, at: At, logprobs: Any) -> None:
        if self._tokens is not None and logprobs:
            self._told[at] = self._told.get(at, 0) + self._tokens.add(logprobs)

    def _settle(self) -> None:
        if self._run:
            text = "".join(self._run)
            self._run.clear()
            self._chars += len(text)
            self._sent.add((self._run_at[0], "text", self._run_at[1]), text)

    def _release(self) -> bytes:
        """What was held back as the possible beginning of a stop sequence: its text is at its end."""
        held = self._stops.flush()
        return self._show_watched("", held) if held else b""

    def _show_watched(self, lead: str, text: str) -> bytes:
        content = lead + text
        self._shown += len(content)
        tokens = () if self._tokens is None else self._tokens.shown(text) if self._stops else self._tokens.rest()
        return self._chunks.chunk({"content": content}, logprobs=choice_logprobs(tokens)) if content or tokens else b""

    def _annotate(self, at: At, annotations: Sequence[dict[str, Any]]) -> bytes:
        found = citations(annotations, self._starts.get(at, 0))
        if self.is_stopped:
            found = within(found, self._shown)
        return self._chunks.chunk({"annotations": found}) if found else b""
