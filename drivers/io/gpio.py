"""Lines of the board's own chip (`DigitalIo`) by libgpiod's Python package, version 2 (extra `gpio`).

Lines are numbered as the chip numbers them. Outputs are low when they are taken. When the agent dies the kernel gives
the lines back and most chips keep their last level: **nothing here falls off by itself** (no `guard_s`), so a
contactor on such a line needs a guard in hardware. All calls are short and do not block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from drivers.api import DriverError, IoReading
from drivers.reason import reason

if TYPE_CHECKING:
    import gpiod

CONSUMER = "chargepoint"
BIASES = {"as-is": "AS_IS", "pull-up": "PULL_UP", "pull-down": "PULL_DOWN", "none": "DISABLED"}


class Gpio:
    """`outputs` and `inputs` of one chip such as /dev/gpiochip0."""

    guard_s: float | None = None

    def __init__(self, chip: str, outputs: Sequence[int] = (), inputs: Sequence[int] = (), bias: str = "as-is") -> None:
        if bias not in BIASES:
            raise DriverError(f"GPIO {chip}: bias is {bias!r}; use one of {', '.join(BIASES)}")
        if both := sorted(set(outputs) & set(inputs)):
            raise DriverError(f"GPIO {chip}: line {both[0]} is an output and an input")
        self._chip = chip
        self._outputs = tuple(outputs)
        self._inputs = tuple(inputs)
        self._bias = BIASES[bias]
        self._lines: gpiod.LineRequest | None = None

    async def read(self) -> IoReading:
        lines = self._open()
        wanted = [*self._outputs, *self._inputs]
        try:
            values = lines.get_values(wanted)
        except (OSError, ValueError) as error:
            raise self._failed(error) from None
        levels = {line: value.value == 1 for line, value in zip(wanted, values, strict=True)}
        return IoReading({n: levels[n] for n in self._outputs}, {n: levels[n] for n in self._inputs})

    async def set(self, output: int, on: bool) -> None:
        from gpiod.line import Value

        if output not in self._outputs:
            raise DriverError(f"GPIO {self._chip}: line {output} is no output; add it to outputs")
        lines = self._open()
        try:
            lines.set_values({output: Value.ACTIVE if on else Value.INACTIVE})
        except (OSError, ValueError) as error:
            raise self._failed(error) from None

    async def close(self) -> None:
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.release()

    def _open(self) -> gpiod.LineRequest:
        if self._lines is None:
            self._lines = self._request()
        return self._lines

    def _request(self) -> gpiod.LineRequest:
        try:
            import gpiod
            from gpiod.line import Bias, Direction, Value
        except ImportError:
            raise DriverError(f"GPIO {self._chip}: needs the package gpiod; install chargepoint-agent[gpio]") from None
        out = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.INACTIVE)
        into = gpiod.LineSettings(direction=Direction.INPUT, bias=getattr(Bias, self._bias))
        config: Any = {group: settings for group, settings in ((self._outputs, out), (self._inputs, into)) if group}
        try:
            return gpiod.request_lines(self._chip, consumer=CONSUMER, config=config)
        except (OSError, ValueError) as error:
            raise DriverError(f"GPIO {self._chip}: cannot be opened: {reason(error)}") from None

    def _failed(self, error: Exception) -> DriverError:
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.release()
        return DriverError(f"GPIO {self._chip}: went away: {reason(error)}")
