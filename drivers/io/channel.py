"""One output or input of an IO board, and a poll of several boards that asks each of them once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from drivers.api import DigitalIo, DriverError, IoReading


class Channel(NamedTuple):
    """`inverted`: on is what the board calls off, as of a contact that opens when something is wrong."""

    board: DigitalIo
    number: int
    name: str
    inverted: bool = False

    async def set(self, on: bool) -> None:
        await self.board.set(self.number, on != self.inverted)


class Poll:
    """Boards are asked when the first of their channels is wanted."""

    def __init__(self) -> None:
        self._readings: dict[int, IoReading] = {}

    async def _reading(self, channel: Channel) -> IoReading:
        key = id(channel.board)
        if key not in self._readings:
            self._readings[key] = await channel.board.read()
        return self._readings[key]

    async def input(self, channel: Channel) -> bool:
        return _level((await self._reading(channel)).inputs, channel, "input") != channel.inverted

    async def output(self, channel: Channel) -> bool:
        return _level((await self._reading(channel)).outputs, channel, "output") != channel.inverted

    async def volts(self, channel: Channel) -> float | None:
        """None: the board has no value just now."""
        return (await self._reading(channel)).volts.get(channel.number)


def _level(levels: Mapping[int, bool], channel: Channel, kind: str) -> bool:
    level = levels.get(channel.number)
    if level is None:
        raise DriverError(f"{channel.name}: the board has no such {kind}")
    return level
