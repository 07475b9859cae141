"""What a register map says, as frozen values: the words of `regmap`, shared by drivers and simulated hardware.

A map is a list of `Row`s with a meaning. Each class below is one kind of meaning; README.md shows the table of the TOML
file that it comes from. Nothing here reads a file or a bus. They are named tuples, because a dataclass costs five times
as much to define and the agent's start is measured (one is a record: it has a field `count`, which a tuple cannot).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from drivers.api import Fault, Guard, Measurand, Phase
from drivers.record import record
from drivers.registers import Read, Row, decode_text, raw

ANY_MASK = -1  # all bits
NOMINAL_V = 230.0  # by which a power becomes a current


class Expected(NamedTuple):
    """An identification register; without `values` and `texts` any content will do. Read alone, never in a block."""

    row: Row
    values: tuple[int, ...]
    texts: tuple[str, ...] = ()  # of a string: it begins with one of these

    def fits(self, words: Sequence[int]) -> bool:
        """Whether these words are what the map expects."""
        if self.texts:
            return decode_text(self.row, words).startswith(self.texts)
        return not self.values or raw(self.row, words) in self.values


class Serial(NamedTuple):
    """How the device leaves the factory; information for people and for a search, never used to talk."""

    baud: int
    parity: str
    stop_bits: int
    unit: int
    verified: bool
    framing: str = "rtu"


class Tcp(NamedTuple):
    """Where the device answers on Modbus TCP; information, as `Serial`."""

    port: int
    unit: int
    verified: bool


class Device(NamedTuple):
    """What every map says of its device."""

    name: str
    vendor: str
    model: str
    source: str
    verified: bool
    pause_s: float
    max_words: int
    max_gap: int
    write: int  # function that writes one register: 6 or 16
    identify: tuple[Expected, ...]
    serial: Serial | None = None
    tcp: Tcp | None = None


class MeterRow(NamedTuple):
    row: Row
    measurand: Measurand
    phase: Phase | None
    plus: tuple[Row, ...] = ()  # registers of the same kind that are added


class MeterMap(NamedTuple):
    device: Device
    registers: tuple[MeterRow, ...]
    fast: tuple[Read, ...]  # asked in every poll
    slow: tuple[Read, ...]  # asked in every `slow_every`-th poll
    slow_every: int


class Choice(NamedTuple):
    """An enumeration: register value -> word. A value that is not here is not known."""

    row: Row
    words: dict[int, str]
    mask: int = ANY_MASK

    def word(self, words: Sequence[int]) -> str | None:
        """The word that these registers mean; None when it is not known."""
        return self.words.get(raw(self.row, words) & self.mask)

    def value_of(self, word: str) -> int:
        """The first value that means `word`; KeyError when the device cannot say it."""
        for value, known in self.words.items():
            if known == word:
                return value
        raise KeyError(word)


class Flag(NamedTuple):
    """True when the register (or its one bit) has one of `values`; without values when it is not 0."""

    row: Row
    values: tuple[int, ...]
    mask: int = ANY_MASK

    def is_set(self, words: Sequence[int]) -> bool:
        value = raw(self.row, words) & self.mask
        return value in self.values if self.values else value != 0


class Write(NamedTuple):
    """A fixed order: this value into this register."""

    row: Row
    value: int


class Feed(NamedTuple):
    """An order that is repeated as long as the agent lives: in each poll, or every so often."""

    row: Row
    value: int
    every_s: int = 0


class Wake(NamedTuple):
    """What takes the pilot away from the car: `value` is written, `pulse_s` later `back`; without `back` the device
    ends it by itself after that time."""

    row: Row
    value: int
    back: int | None
    pulse_s: float


class Setting(NamedTuple):
    """A register written at every (re)connect, and its value in SI units unless the configuration says otherwise.

    Without a register it is what the device does by itself, and nothing is written.
    """

    row: Row | None
    value: float


class Offer(NamedTuple):
    row: Row
    min_a: float
    max_a: float
    pause: int | None  # register value that withholds power; None: only `Enable` does
    readback: bool
    repeat_s: int | None = None  # it is given again after this time, changed or not
    watts: Row | None = None  # its register as a power; then `row` is what that is on each of the phases that share it

    def shared(self, phases: int) -> Offer:
        """The same for a power that so many phases carry."""
        assert self.watts is not None
        return self._replace(row=per_phase(self.watts, phases))


def per_phase(watts: Row, phases: int = 1) -> Row:
    """A register that holds a power, as the current of each of so many phases."""
    return watts._replace(divide=watts.divide * NOMINAL_V * phases)


class Enable(NamedTuple):
    """A register of its own that gives and withholds power, beside the one for the current."""

    row: Row
    on: int
    off: int
    readback: bool


@record
class StopRegisters:
    kind: Choice
    count: Row | None = None  # presses so far
    seen: Row | None = None  # presses that the agent has taken note of


class EvseMap(NamedTuple):
    device: Device
    pilot: Choice
    charging: Flag | None  # where the pilot's register tells B for C
    contactor: Flag | None
    cable: Row | None
    offer: Offer
    enable: Enable | None
    watchdog: Setting | None
    failsafe: Setting | None
    init: tuple[Write, ...]
    feed: Feed | None
    faults: tuple[tuple[Fault, Flag], ...]
    lock: Flag | None
    unlock: Write | None
    stop_button: StopRegisters | None
    led: Choice | None
    info: tuple[Row, ...]
    reads: tuple[Read, ...]
    phases: Choice | None = None  # by how many the outlet is fed, ordered; read only when that is wanted
    phases_told: Choice | None = None  # where another register tells
    wake: Wake | None = None

    def guard(self, watchdog_s: float | None = None, failsafe_a: float | None = None) -> Guard | None:
        """What the device does without a master, when it is given these settings; None: as the map says."""
        if self.watchdog is None:
            return None
        timeout_s = self.watchdog.value if watchdog_s is None or self.watchdog.row is None else watchdog_s
        if self.failsafe is None:
            return Guard(timeout_s, None)
        own = failsafe_a is None or self.failsafe.row is None
        return Guard(timeout_s, self.failsafe.value if own else failsafe_a)
