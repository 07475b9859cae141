"""The short way of a frame beside the library's: however the bytes are cut, nothing is lost, doubled, overtaken."""

from __future__ import annotations

import asyncio
import random

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from agent.edge.wire import Wire, behind_head, lone_text, masked, wire_size

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


class Pipe(asyncio.Transport):
    """Keeps what is written, as a transport does whose other side takes it all."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.waiting = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...
    def abort(self) -> None: ...


class Line:
    """A wire, the server's protocol at its other end, and what came: `short` by the short way, `got` in all."""

    def __init__(self) -> None:
        self.server = ServerProtocol()
        protocol = ClientProtocol(parse_uri("ws://csms/CP1"))
        self.pipe = Pipe()
        self.wire = Wire(protocol)
        self.wire.connection_made(self.pipe)
        protocol.send_request(protocol.connect())
        self.server.receive_data(b"".join(protocol.data_to_send()))
        (request,) = self.server.events_received()
        self.server.send_response(self.server.accept(request))  # type: ignore[arg-type]
        self.short: list[bytes] = []
        self.got: list[bytes] = []
        self.takes = True
        self.wire.taker = self._take

    def _take(self, frame: bytes) -> bool:
        if self.takes:
            self.short.append(frame)
            self.got.append(frame)
        return self.takes

    def said(self) -> bytes:
        """What the server has to send."""
        return b"".join(self.server.data_to_send())

    def text(self, text: str) -> bytes:
        self.server.send_text(text.encode())
        return self.said()

    async def read(self) -> None:
        """As the link does."""
        while True:
            frame = await self.wire.recv(decode=False)
            self.got.append(frame)
            self.wire.done()


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def line() -> Line:
    line = Line()
    line.wire.data_received(line.said())
    return line


# --- what is a lone text ---


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"\x81\x02hi", b"hi"),
        (b"\x81\x00", b""),
        (b"\x81\x7e\x00\x80" + b"x" * 128, b"x" * 128),
        (b"\x81\x7e\x00\x02hi", b"hi"),  # longer than need be, and allowed by the library as well
        (b"\x81", None),
        (b"\x81\x7e\x00", None),
        (b"\x81\x02h", None),
        (b"\x81\x02hi\x81", None),
        (b"\x01\x02hi", None),  # a first fragment
        (b"\x80\x02hi", None),  # a last one
        (b"\x82\x02hi", None),
        (b"\x89\x02hi", None),
        (b"\xc1\x02hi", None),  # a bit that only an extension gives a meaning
        (b"\x81\x82abcdhi", None),  # masked, which a server may not do
        (b"\x81\x7f" + (4).to_bytes(8, "big") + b"text", None),
        (b"\x81\x7e\x20\x00" + b"x" * 0x2000, None),  # not short
    ],
)
def test_only_one_short_whole_text_is_a_lone_one(data: bytes, body: bytes | None) -> None:
    assert lone_text(data) == body


@pytest.mark.parametrize(
    ("answer", "behind"),
    [
        (ANSWER, 0),
        (ANSWER + b"\x81\x02hi", 4),
        (ANSWER + b"\x81\x04\r\n\r\n", 6),
        (ANSWER[:-1], float("inf")),
        (b"x" * (1 << 16) + b"\r\n\r\n", float("inf")),
    ],
)
def test_what_follows_the_answer_to_the_handshake_is_counted(answer: bytes, behind: float) -> None:
    assert behind_head(answer) == behind


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 4095, 4096, 65535])
def test_the_server_understands_what_we_frame_ourselves(size: int) -> None:
    server = ServerProtocol(state=State.OPEN)
    server.receive_data(masked(b"x" * size, b"\x01\x80\xff\x7f"))
    assert server.events_received() == [Frame(Opcode.TEXT, b"x" * size)]


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_the_size_of_a_frame_is_that_of_its_bytes(size: int) -> None:
    assert wire_size(size) == len(Frame(Opcode.TEXT, b"x" * size).serialize(mask=False))


# --- one connection ---


async def test_a_text_that_comes_alone_is_taken_within_the_call_that_brought_it(line: Line) -> None:
    line.wire.data_received(line.text("one"))
    assert line.short == [b"one"]


async def test_a_text_that_nobody_takes_at_once_is_kept_and_so_are_those_behind_it(line: Line) -> None:
    line.takes = False
    line.wire.data_received(line.text("one"))
    line.takes = True
    line.wire.data_received(line.text("two"))
    assert line.short == []
    reader = asyncio.create_task(line.read())
    await turn()
    line.wire.data_received(line.text("three"))
    reader.cancel()
    assert (line.got, line.short) == ([b"one", b"two", b"three"], [b"three"])


async def test_the_middle_of_a_fragmented_message_leaves_the_short_way_shut(line: Line) -> None:
    line.server.send_text(b"o", fin=False)
    line.wire.data_received(line.said())
    line.wire.data_received(b"\x81\x03two")  # which breaks the protocol, and is the library's to judge
    assert line.short == []
    assert line.wire.state is not State.OPEN


async def test_a_length_that_is_written_longer_than_need_be_shuts_the_short_way_only(line: Line) -> None:
    reader = asyncio.create_task(line.read())
    line.wire.data_received(b"\x81\x7e\x00\x02hi\x81\x7e\x00\x02ho")
    await turn()
    line.wire.data_received(line.text("one"))
    await turn()
    reader.cancel()
    assert (line.got, line.short) == ([b"hi", b"ho", b"one"], [])


async def test_nothing_is_taken_at_once_when_the_connection_is_closing(line: Line) -> None:
    text = line.text("one")
    line.server.send_close(1001)
    line.wire.data_received(line.said())
    line.wire.data_received(text)
    assert line.short == []


async def test_what_is_said_is_one_write_that_the_server_understands(line: Line) -> None:
    assert line.wire.say('[3,"ä",{}]')
    (written,) = line.pipe.written
    line.server.receive_data(written)
    assert line.server.events_received() == [Frame(Opcode.TEXT, '[3,"ä",{}]'.encode())]


async def test_each_frame_has_a_mask_of_its_own(line: Line) -> None:
    for _ in range(100):
        line.wire.say("x")
    assert len({written[2:6] for written in line.pipe.written}) == 100


async def test_nothing_is_said_behind_what_waits_to_be_written(line: Line) -> None:
    line.pipe.waiting = 1
    assert not line.wire.say("x")
    assert line.pipe.written == []


async def test_nothing_is_said_when_the_connection_is_closing(line: Line) -> None:
    line.server.send_close(1001)
    line.wire.data_received(line.said())
    written = len(line.pipe.written)
    assert not line.wire.say("x")
    assert len(line.pipe.written) == written


def _chatter(rng: random.Random, line: Line) -> tuple[list[bytes], list[bytes]]:
    """Messages of a server, and the bytes that carry them: whole, in fragments, with pings between."""
    wanted, pieces = [], [line.said()]
    for number in range(12):
        body = f"{number}:".encode() + b"\r\n\r\n" * rng.choice((0, 0, 1, 40, 1200))
        wanted.append(body)
        if rng.random() < 0.2:
            cut = rng.randrange(len(body))
            line.server.send_text(body[:cut], fin=False)
            line.server.send_ping(b"are you there?")
            line.server.send_continuation(body[cut:], fin=True)
        else:
            line.server.send_text(body)
        pieces.append(line.said())
    return wanted, pieces


def _cut(rng: random.Random, pieces: list[bytes]) -> list[bytes]:
    """As a network may hand them over: as they were sent, some joined, some cut."""
    whole, chunks = b"".join(pieces), []
    ends = {sum(map(len, pieces[: n + 1])) for n in range(len(pieces)) if rng.random() < 0.7}
    ends |= {rng.randrange(1, len(whole)) for _ in range(rng.randrange(4))} | {len(whole)}
    begin = 0
    for end in sorted(ends):
        chunks.append(whole[begin:end])
        begin = end
    return [chunk for chunk in chunks if chunk]


async def test_however_the_bytes_are_cut_every_message_comes_once_whole_and_in_order() -> None:
    short = 0
    for seed in range(200):
        rng = random.Random(seed)
        line = Line()
        wanted, pieces = _chatter(rng, line)
        reader = None
        for chunk in _cut(rng, pieces):
            line.takes = rng.random() < 0.8
            line.wire.data_received(chunk)
            if reader is None and line.wire.state is State.OPEN:
                reader = asyncio.create_task(line.read())
            if rng.random() < 0.7:
                await turn()
        await turn()
        assert reader is not None
        reader.cancel()
        assert line.got == wanted, seed
        short += len(line.short)
    assert short > 200  # else the short way was never tried
