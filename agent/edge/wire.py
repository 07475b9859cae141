"""One WebSocket connection of the library, with a short way for what nearly every message is: one whole short text.

The library turns a frame into objects, a queue's item and a wake of a task, and a text into a frame by way of several
contexts; that takes longer than to understand a command and to answer it. Here such a frame goes to `taker` within the
call that brought it, and such a text to the transport in one piece. Rules kept:

* All else is the library's: the handshakes, control frames, fragments, frames in pieces or several at once, long ones,
  broken ones, and every frame while an earlier message of its has not been `done`. So the order is kept, and whoever
  takes no frame slows the server down.
* The short way in is open only while the library stands between two frames; `_open` counts what it was given and has
  not made into frames. What it takes otherwise than we count (a length that is written longer than need be) keeps the
  count above zero, and the short way shut.
* No extension is negotiated (`agent.edge.connection.arguments`), so no bit of a frame's head has another meaning.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import State

WHOLE_TEXT = 0x80 | Opcode.TEXT
MASKED = 0x80
LONGEST_HEAD = 125  # of a frame whose length fits into the second byte
TWO_MORE = 126  # says that the length stands in the two bytes behind
LONGEST_SHORT = 4096
LONGEST_ANSWER = 1 << 16  # to a handshake; behind a longer one the short way stays shut
MASKS = 16  # fetched at a time, each for one frame
_END_OF_HEAD = b"\r\n\r\n"
_MESSAGE_BEGINS = (Opcode.TEXT, Opcode.BINARY)


class Wire(ClientConnection):
    """`taker` is offered each short text that comes alone; False: it is to be had by `recv`, as all others are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.taker: Callable[[bytes], bool] | None = None
        self._open: float = 0  # bytes
        self._head = b""  # of the answer to the handshake, while it comes
        self._masks: list[bytes] = []
        self._undone = 0  # messages that the library has begun to take, and nobody has called `done`

    @property
    def cut_by(self) -> BaseException | None:
        """Why the connection has ended, if not as it should; the library has two names for it, by its version."""
        found: BaseException | None = getattr(self, "connection_exc", None) or getattr(self, "recv_exc", None)
        return found

    def done(self) -> None:
        """What `recv` gave has been dealt with."""
        self._undone -= 1

    def data_received(self, data: bytes) -> None:
        if not self._open and not self._undone and self.taker is not None and self.protocol.state is State.OPEN:
            body = lone_text(data)
            if body is not None and self.taker(body):
                return
        self._open += len(data)
        if self.response is None:
            self._head = (self._head + data)[:LONGEST_ANSWER]
        super().data_received(data)

    def process_event(self, event: Any) -> None:
        if isinstance(event, Frame):
            self._open -= wire_size(len(event.data))
            self._undone += event.opcode in _MESSAGE_BEGINS
        else:
            self._open = behind_head(self._head)
            self._head = b""
        super().process_event(event)

    @property
    def clear(self) -> bool:
        """Open, and nothing waits to be written: a text goes to the operating system, or into the buffer, at once."""
        return self.protocol.state is State.OPEN and not self.transport.get_write_buffer_size()

    def say(self, text: str) -> bool:
        """Send a text of less than 64 KiB; False: not at once, since the connection is not `clear`."""
        if not self.clear:
            return False
        mask = self._masks.pop() if self._masks else os.urandom(4)
        self.transport.write(masked(text.encode(), mask))
        if not self._masks:  # asked for in stock, and when nobody waits
            fresh = os.urandom(4 * MASKS)
            self._masks = [fresh[at : at + 4] for at in range(0, 4 * MASKS, 4)]
        return True


def lone_text(data: bytes) -> bytes | None:
    """The payload, if these bytes are one short, whole, unmasked text frame and nothing else."""
    size = len(data)
    if not 2 <= size <= LONGEST_SHORT or data[0] != WHOLE_TEXT:
        return None
    if data[1] <= LONGEST_HEAD:
        return data[2:] if data[1] == size - 2 else None
    if data[1] != TWO_MORE or size < 4:
        return None
    return data[4:] if (data[2] << 8 | data[3]) == size - 4 else None


def behind_head(answer: bytes) -> float:
    """How many of these bytes follow the head of an HTTP answer; infinitely many if that cannot be told."""
    end = answer.find(_END_OF_HEAD)
    return float("inf") if end < 0 or len(answer) >= LONGEST_ANSWER else len(answer) - end - len(_END_OF_HEAD)


def wire_size(length: int) -> int:
    """Bytes of a server's frame with so long a payload (RFC 6455 section 5.2)."""
    return length + (2 if length <= LONGEST_HEAD else 4 if length < 1 << 16 else 10)


def masked(payload: bytes, mask: bytes) -> bytes:
    """A client's text frame (RFC 6455 sections 5.2 and 5.3), of a payload shorter than 64 KiB."""
    size = len(payload)
    length = bytes((MASKED | size,)) if size <= LONGEST_HEAD else bytes((MASKED | TWO_MORE, size >> 8, size & 0xFF))
    pattern = (mask * (size // 4 + 1))[:size]
    body = int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")
    return b"".join((bytes((WHOLE_TEXT,)), length, mask, body.to_bytes(size, "big")))
