"""Card readers on real pseudo-terminals: told once, unplugged, back again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers.api import Closes, DriverError, IdToken, TokenReader
from drivers.token.ascii_line import AsciiLine
from drivers.token.rdm6300 import Rdm6300, frame_of
from drivers.token.reader import MAX_AGE_S, MAX_KEPT, SerialTokenReader
from tests.drivers.bus_helpers import Pty, until

CARD = bytes.fromhex("010063E9AE")
OTHER = bytes.fromhex("0200112233")
AGAIN_S = 0.5


@pytest.fixture
async def pty(tmp_path: Path) -> AsyncIterator[Pty]:
    found = Pty(tmp_path / "ttyCARD")
    found.plug()
    yield found
    found.unplug()


@pytest.fixture
async def rdm(pty: Pty) -> AsyncIterator[Rdm6300]:
    reader = Rdm6300(str(pty.path), again_after_s=AGAIN_S)
    yield reader
    await reader.close()


async def opened(reader: SerialTokenReader) -> asyncio.Task[IdToken]:
    """A call of `token()` that has come as far as waiting for a card."""
    task = asyncio.create_task(reader.token())
    await until(lambda: reader._port is not None)
    return task


async def bounded(task: asyncio.Task[IdToken]) -> IdToken:
    async with asyncio.timeout(15.0):
        return await task


async def test_a_card_is_told(pty: Pty, rdm: Rdm6300) -> None:
    waiting = await opened(rdm)
    pty.send(frame_of(CARD))
    assert await bounded(waiting) == IdToken("010063E9AE", "ISO14443")


async def test_a_card_that_stays_is_told_once(pty: Pty, rdm: Rdm6300) -> None:
    waiting = await opened(rdm)
    for _ in range(8):  # together for longer than it takes the reader to forget a card
        pty.send(frame_of(CARD))
        await asyncio.sleep(AGAIN_S / 6)
    pty.send(frame_of(OTHER))
    told = [await bounded(waiting), await bounded(asyncio.create_task(rdm.token()))]
    assert [t.value for t in told] == ["010063E9AE", "0200112233"]


async def test_a_card_that_came_back_is_told_again(pty: Pty, rdm: Rdm6300) -> None:
    waiting = await opened(rdm)
    pty.send(frame_of(CARD))
    first = await bounded(waiting)
    await asyncio.sleep(1.1 * AGAIN_S)
    pty.send(frame_of(CARD))
    assert await bounded(asyncio.create_task(rdm.token())) == first


async def test_garbage_on_the_line_does_no_harm(pty: Pty, rdm: Rdm6300) -> None:
    waiting = await opened(rdm)
    pty.send(b"\x02\x02\xff garbage \x03\x02" + frame_of(CARD) + frame_of(CARD))
    assert (await bounded(waiting)).value == "010063E9AE"


async def test_a_card_between_two_calls_is_kept(pty: Pty, rdm: Rdm6300) -> None:
    waiting = await opened(rdm)
    pty.send(frame_of(CARD))
    await bounded(waiting)
    pty.send(frame_of(OTHER))
    await until(lambda: bool(rdm._cards))
    assert (await bounded(asyncio.create_task(rdm.token()))).value == "0200112233"


async def test_a_card_of_long_ago_is_not_told(pty: Pty, rdm: Rdm6300) -> None:
    waiting = await opened(rdm)
    rdm._on_card("OLD", asyncio.get_running_loop().time() - MAX_AGE_S - 1)
    pty.send(frame_of(CARD))
    assert (await bounded(waiting)).value == "010063E9AE"


async def test_only_the_last_cards_are_kept(rdm: Rdm6300) -> None:
    for number in range(3 * MAX_KEPT):
        rdm._on_card(f"CARD{number}", asyncio.get_running_loop().time())
    assert len(rdm._cards) == MAX_KEPT


async def test_an_absent_reader_is_an_error_of_one_line(tmp_path: Path) -> None:
    reader = Rdm6300(str(tmp_path / "none"))
    with pytest.raises(DriverError, match=r"card reader on .*none: cannot be opened: No such file or directory$"):
        await reader.token()


async def test_an_unplugged_reader_is_an_error(pty: Pty, rdm: Rdm6300) -> None:
    waiting = await opened(rdm)
    pty.unplug()
    with pytest.raises(DriverError, match=r"card reader on .*ttyCARD: went away(: Input/output error)?$"):
        await bounded(waiting)


async def test_a_reader_that_is_back_is_used_again(pty: Pty, rdm: Rdm6300) -> None:
    waiting = await opened(rdm)
    pty.unplug()
    with pytest.raises(DriverError):
        await bounded(waiting)
    pty.plug()
    waiting = await opened(rdm)
    pty.send(frame_of(CARD))
    assert (await bounded(waiting)).value == "010063E9AE"


async def test_a_cancelled_wait_loses_no_card(pty: Pty, rdm: Rdm6300) -> None:
    waiting = await opened(rdm)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    pty.send(frame_of(CARD))
    assert (await bounded(asyncio.create_task(rdm.token()))).value == "010063E9AE"


async def test_a_line_of_text_is_a_card(pty: Pty) -> None:
    reader = AsciiLine(str(pty.path), kind="Local")
    waiting = await opened(reader)
    pty.send(b"04:a1:b2:c3\r\n")
    assert await bounded(waiting) == IdToken("04A1B2C3", "Local")
    await reader.close()


async def test_half_a_line_of_long_ago_is_no_part_of_a_card(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = AsciiLine(str(pty.path))
    waiting = await opened(reader)
    pty.send(b"04A1")
    await until(lambda: reader._heard_at > 0)
    monkeypatch.setattr("drivers.token.reader.MAX_PAUSE_S", 0.0)
    pty.send(b"B2C3\n")
    assert (await bounded(waiting)).value == "B2C3"
    await reader.close()


async def test_a_reader_keeps_the_contract(rdm: Rdm6300) -> None:
    assert isinstance(rdm, TokenReader)
    assert isinstance(rdm, Closes)
