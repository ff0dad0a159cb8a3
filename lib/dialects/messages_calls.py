"""The tool blocks of a Messages stream: calls for the client to make, and searches that the upstream made."""

from __future__ import annotations

from lib.dialects.messages_blocks import INPUT, Blocks, encode
from lib.dialects.messages_body import input_of, payload_of, search_blocks, tool_use_block
from lib.dialects.output_items import OutputItem

Key = tuple[int, str]


class Calls:
    """All calls of one answer; true once there is one. Parallel ones may be written side by side."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._sent: dict[int, list[str]] = {}
        """Output index → the pieces of the input that were sent."""

    def __bool__(self) -> bool:
        return bool(self._sent)

    def __contains__(self, index: int) -> bool:
        """Whether the call at this output index has begun."""
        return index in self._sent

    def announce(self, index: int, item: OutputItem) -> bytes:
        """The beginning of a call; nothing for one that is known."""
        if index in self._sent:
            return b""
        self._sent[index] = []
        return self._blocks.begin(_key(index), tool_use_block(item, {}), is_call=True)

    def write(self, index: int, piece: str) -> bytes:
        """More of a call's input. One that was never announced has no name to go by: its finished item will bring
        everything."""
        if not piece or index not in self._sent:
            return b""
        self._sent[index].append(piece)
        return self._blocks.delta(_key(index), INPUT, piece)

    def finish(self, index: int, item: OutputItem) -> bytes:
        """What of a finished call was not sent yet. Raises UpstreamError for one that no client could make."""
        is_cut = item.status == "incomplete"
        if is_cut and index not in self._sent:
            return b""
        frames = self.announce(index, item)
        sent = "".join(self._sent[index])
        payload = payload_of(item)
        if payload.startswith(sent):
            frames += self.write(index, payload[len(sent) :])
        if not is_cut:
            input_of(item, "".join(self._sent[index]))
        return frames + self._blocks.end(_key(index))

    def search(self, index: int, item: OutputItem) -> bytes:
        """A finished search, with what it found."""
        found = search_blocks(item)
        if found is None:
            return b""
        use, result = found
        blocks, key, result_key = self._blocks, (index, "search"), (index, "result")
        frames = blocks.begin(key, {**use, "input": {}}) + blocks.delta(key, INPUT, encode(use["input"]).decode())
        return frames + blocks.end(key) + blocks.begin(result_key, result) + blocks.end(result_key)


def _key(index: int) -> Key:
    return (index, "call")
