"""Lines of a chip through a stand-in for libgpiod's Python package, version 2: its names, its signatures, its errors.

No kernel here has gpio-sim, so what a real chip does is not tested.
"""

from __future__ import annotations

import asyncio
import errno
import sys
from enum import Enum, IntEnum
from types import ModuleType
from typing import Any

import pytest

from drivers.api import Closes, DigitalIo, DriverError
from drivers.io.gpio import Gpio


class Value(Enum):
    INACTIVE = 0
    ACTIVE = 1


class Direction(IntEnum):
    INPUT = 2
    OUTPUT = 3


class Bias(IntEnum):
    AS_IS = 1
    DISABLED = 3
    PULL_UP = 4
    PULL_DOWN = 5


class LineSettings:
    def __init__(
        self,
        direction: Direction = Direction.INPUT,
        bias: Bias = Bias.AS_IS,
        output_value: Value = Value.INACTIVE,
    ) -> None:
        self.direction, self.bias, self.output_value = direction, bias, output_value


class Chip:
    """The chip and the one request that holds its lines."""

    def __init__(self) -> None:
        self.levels: dict[int, Value] = {}
        self.settings: dict[int, LineSettings] = {}
        self.taken = False
        self.error: OSError | None = None

    def request_lines(self, path: str, config: dict[Any, LineSettings], consumer: str) -> Chip:
        if path != "/dev/gpiochip0":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        if self.taken:
            raise OSError(errno.EBUSY, "Device or resource busy")
        self.taken = True
        for lines, settings in config.items():
            for line in lines:
                self.settings[line] = settings
                self.levels.setdefault(line, Value.INACTIVE)
        return self

    def get_values(self, lines: list[int]) -> list[Value]:
        if self.error:
            raise self.error
        return [self.levels[line] for line in lines]

    def set_values(self, values: dict[int, Value]) -> None:
        if self.error:
            raise self.error
        self.levels |= values

    def release(self) -> None:
        self.taken = False


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Chip:
    found = Chip()
    package: Any = ModuleType("gpiod")
    line: Any = ModuleType("gpiod.line")
    package.request_lines, package.LineSettings = found.request_lines, LineSettings
    line.Value, line.Direction, line.Bias = Value, Direction, Bias
    monkeypatch.setitem(sys.modules, "gpiod", package)
    monkeypatch.setitem(sys.modules, "gpiod.line", line)
    return found


def gpio(**options: Any) -> Gpio:
    return Gpio(**{"chip": "/dev/gpiochip0", "outputs": [17], "inputs": [22, 23]} | options)


def test_outputs_are_low_when_they_are_taken(chip: Chip) -> None:
    assert asyncio.run(gpio().read()).outputs == {17: False}
    assert chip.settings[17].direction is Direction.OUTPUT


def test_an_output_is_set_and_read_back(chip: Chip) -> None:
    board = gpio()
    asyncio.run(board.set(17, True))
    assert (chip.levels[17], asyncio.run(board.read()).outputs) == (Value.ACTIVE, {17: True})


def test_inputs_are_read_with_their_bias(chip: Chip) -> None:
    chip.levels[23] = Value.ACTIVE
    assert asyncio.run(gpio(bias="pull-up").read()).inputs == {22: False, 23: True}
    assert chip.settings[22].bias is Bias.PULL_UP


def test_a_line_that_is_no_output_is_refused(chip: Chip) -> None:
    with pytest.raises(DriverError, match="line 22 is no output; add it to outputs"):
        asyncio.run(gpio().set(22, True))


def test_a_line_cannot_be_both() -> None:
    with pytest.raises(DriverError, match="line 22 is an output and an input"):
        gpio(outputs=[22])


def test_a_chip_that_is_not_there_is_an_error_of_one_line(chip: Chip) -> None:
    with pytest.raises(DriverError, match=r"^GPIO /dev/gpiochip9: cannot be opened: No such file or directory$"):
        asyncio.run(gpio(chip="/dev/gpiochip9").read())


def test_lines_that_somebody_else_holds_are_an_error(chip: Chip) -> None:
    chip.taken = True
    with pytest.raises(DriverError, match="cannot be opened: Device or resource busy"):
        asyncio.run(gpio().read())


def test_a_chip_that_went_away_is_taken_again(chip: Chip) -> None:
    board = gpio()
    asyncio.run(board.read())
    chip.error = OSError(errno.ENODEV, "No such device")
    with pytest.raises(DriverError, match="went away: No such device"):
        asyncio.run(board.read())
    chip.error = None
    assert asyncio.run(board.read()).outputs == {17: False}


def test_the_lines_are_given_back(chip: Chip) -> None:
    board = gpio()
    asyncio.run(board.read())
    asyncio.run(board.close())
    assert not chip.taken


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(DriverError, match=r"needs the package gpiod; install chargepoint-agent\[gpio\]"):
        asyncio.run(gpio().read())


def test_it_is_an_io_board_without_a_guard(chip: Chip) -> None:
    board = gpio()
    assert isinstance(board, DigitalIo)
    assert isinstance(board, Closes)
    assert board.guard_s is None
