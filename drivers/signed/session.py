"""What a driver of a signing meter needs of a bus: short reads of long texts, commands, and waiting for a signature.

A command is no level: the bus may repeat it when the answer was lost, and a meter refuses it the second time. So when a
command fails, what the meter's state has become decides whether it was heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from drivers.api import DriverError
from drivers.bus import Bus

READ_WORDS = 50  # more than all of them answer at once is nobody's
WRITE_WORDS = 100
POLL_S = 0.05


class Registers:
    """The holding registers of one meter."""

    def __init__(self, bus: Bus, unit: int, label: str) -> None:
        self._bus, self._unit, self._label = bus, unit, label

    async def one(self, address: int) -> int:
        return (await self._bus.read(self._unit, "holding", address, 1))[0]

    async def many(self, address: int, count: int) -> list[int]:
        """In reads of `READ_WORDS`; the caller knows a bound of `count`."""
        words: list[int] = []
        while len(words) < count:
            part = min(READ_WORDS, count - len(words))
            words += await self._bus.read(self._unit, "holding", address + len(words), part)
        return words

    async def block(self, address: int, count: int) -> list[int]:
        """In one read, where a meter wants that."""
        return await self._bus.read(self._unit, "holding", address, count)

    async def write(self, address: int, words: Sequence[int]) -> None:
        for start in range(0, len(words), WRITE_WORDS):
            await self._bus.write(self._unit, address + start, words[start : start + WRITE_WORDS])

    async def command(self, address: int, code: int, state: int, reached: Collection[int]) -> None:
        """Give a command; a failure counts only when the register `state` holds none of `reached` afterwards."""
        try:
            await self._bus.write(self._unit, address, [code])
        except DriverError:
            if await self.one(state) not in reached:
                raise

    async def until(self, address: int, ends: Callable[[int], bool], what: str, deadline_s: float) -> int:
        """Read a register again and again until its value is one that ends the waiting."""
        value = -1
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    value = await self.one(address)
                    if ends(value):
                        return value
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise self.error(
                f"{what} takes more than {deadline_s:g} s (its register {address} holds {value})"
            ) from None

    def error(self, why: str) -> DriverError:
        return DriverError(f"{self._label} on {self._bus.name}: {why}")
