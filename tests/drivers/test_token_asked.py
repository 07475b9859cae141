"""Readers of every kind on real pseudo-terminals, against the simulated ones; a reader that is asked goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from drivers import registry
from drivers.api import DriverError, IdToken
from drivers.simulated.plan import SimReader
from drivers.simulated.readers import CardReader
from drivers.token import polling
from drivers.token.normalise import Spelling
from drivers.token.pn532 import Pn532
from drivers.token.reader import SerialTokenReader
from tests.drivers.bus_helpers import until

UID = "04A1B2C3D4E580"
KINDS = [
    ("rdm6300", "rdm6300", "hex10", "010063E9AE"),
    ("ascii-line", "ascii_line", "", "CARD-1"),
    ("wiegand", "wiegand", "hex", "04A1B2C3"),
    ("wiegand", "wiegand", "decimal", "04A1B2C3"),
    ("wiegand", "wiegand", "facility", "007BB26E"),
    ("pn532", "pn532", "", UID),
    ("sl025", "sl025", "", UID),
    ("acs", "acs", "", UID),
]
Make = Callable[..., tuple[CardReader, SerialTokenReader]]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[tuple[CardReader, SerialTokenReader]] = []

    def one(driver: str, kind: str, form: str = "", **options: object) -> tuple[CardReader, SerialTokenReader]:
        port = str(tmp_path / "ttyCARD")
        given = options | ({"form": form} if form else {})
        made.append((CardReader(SimReader(kind, port, form=form)), registry.find(driver)(port, **given)))
        made[-1][0].open()
        return made[-1]

    yield one
    for hardware, reader in made:
        await reader.close()
        hardware.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "ANSWER_S", 0.1)
    monkeypatch.setattr(polling, "POLL_S", 0.02)


async def waiting_for_a_card(reader: SerialTokenReader) -> asyncio.Task[IdToken]:
    task = asyncio.create_task(reader.token())
    await until(lambda: reader._port is not None)
    return task


async def bounded(task: asyncio.Task[IdToken]) -> str:
    async with asyncio.timeout(15.0):
        return (await task).value


@pytest.mark.parametrize(("driver", "kind", "form", "tag"), KINDS)
async def test_a_card_at_every_kind_of_reader_is_told(make: Make, driver: str, kind: str, form: str, tag: str) -> None:
    hardware, reader = make(driver, kind, form, spelling=Spelling(strip_separators=False))
    waiting = await waiting_for_a_card(reader)
    hardware.tap(tag)
    assert await bounded(waiting) == tag


@pytest.mark.parametrize("kind", ["pn532", "sl025", "acs"])
async def test_a_card_that_stays_at_a_reader_that_is_asked_is_told_once(make: Make, kind: str) -> None:
    hardware, reader = make(kind, kind)
    waiting = await waiting_for_a_card(reader)
    hardware.tap(UID)
    await bounded(waiting)
    seen = reader._seen_at[UID]
    await until(lambda: reader._seen_at[UID] > seen + 0.1)  # it has been read again and again
    hardware.tap("DEADBEEF")
    assert await bounded(asyncio.create_task(reader.token())) == "DEADBEEF"


@pytest.mark.parametrize("kind", ["pn532", "sl025", "acs"])
async def test_a_card_that_draws_its_uid_by_lot_is_never_told(make: Make, kind: str) -> None:
    hardware, reader = make(kind, kind)
    waiting = await waiting_for_a_card(reader)
    hardware.tap("08112233")
    hardware.tap(UID)
    assert await bounded(waiting) == UID


async def test_a_reader_that_does_not_answer_is_an_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    hardware, reader = make("pn532", "pn532")
    monkeypatch.setattr(hardware, "_heard", None)
    monkeypatch.setattr(hardware.port, "_heard", lambda data: None)
    with pytest.raises(DriverError, match=r"card reader on .*ttyCARD: does not answer$"):
        await bounded(asyncio.create_task(reader.token()))


@pytest.mark.parametrize(("driver", "kind", "form", "tag"), KINDS)
async def test_a_reader_that_is_plugged_in_again_is_used_again(
    make: Make, driver: str, kind: str, form: str, tag: str
) -> None:
    hardware, reader = make(driver, kind, form, spelling=Spelling(strip_separators=False))
    waiting = await waiting_for_a_card(reader)
    hardware.close()
    with pytest.raises(DriverError, match="went away"):
        await bounded(waiting)
    hardware.open()
    waiting = await waiting_for_a_card(reader)
    hardware.tap(tag)
    assert await bounded(waiting) == tag


async def test_a_reader_that_lost_its_power_for_a_moment_is_greeted_again(make: Make) -> None:
    hardware, reader = make("pn532", "pn532")
    assert isinstance(reader, Pn532)
    waiting = await waiting_for_a_card(reader)
    await until(lambda: reader._greeted == 2)
    heard = hardware.port._heard
    hardware.port._heard = lambda data: None
    await until(lambda: reader._silent == 1)
    hardware.port._heard = heard
    await until(lambda: reader._greeted == 2)
    hardware.tap(UID)
    assert await bounded(waiting) == UID


@pytest.mark.parametrize(("kind", "tag"), [("pn532", "0011"), ("wiegand", "not a card"), ("sl025", "04A1B2C")])
async def test_a_tag_that_the_format_cannot_carry_is_refused(make: Make, kind: str, tag: str) -> None:
    hardware, _ = make(kind, kind, "hex" if kind == "wiegand" else "")
    with pytest.raises(ValueError, match="a card at"):
        hardware.tap(tag)
