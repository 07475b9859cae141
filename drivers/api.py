"""The contract between the charger's parts and whoever uses them, and its words.

A driver feels one device and says what it is like in these words; it never logs, never retries (the bus does), knows
nothing of OCPP, and raises `DriverError` only. Values are in SI units (W, Wh, A, V, Hz, Celsius); Wh for energy.
`Measurand` and `Phase` are OCPP's own words, so that no table of translations exists anywhere.

Orders are levels, not pulses: `offer(16.0)` may be repeated at will and means the same each time. The controller's own
hardware opens the contactor within the times of IEC 61851-1; what is commanded here is permission and current.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from drivers.record import record


class DriverError(Exception):
    """The device did not do or say what was asked; `str()` is one plain line for a technician."""


class Pilot(StrEnum):
    """Control-pilot state, IEC 61851-1 table A.1. UNKNOWN: the device said something its map does not name."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"
    F = "F"
    UNKNOWN = "?"


class Fault(StrEnum):
    """What hardware may report of itself; the rows of the agent's fault catalogue carry the same ids."""

    OTHER = "other"
    DIODE = "diode"
    GROUND = "ground"
    DC_RESIDUAL = "dc-residual"
    EMERGENCY_STOP = "emergency-stop"
    LOCK_FAILURE = "lock-failure"
    UNLOCK_FAILURE = "unlock-failure"
    METER = "meter"
    CONTACTOR = "contactor"
    OVER_TEMPERATURE = "over-temperature"
    UNDER_VOLTAGE = "under-voltage"
    OVER_VOLTAGE = "over-voltage"
    OVER_CURRENT = "over-current"
    RFID_READER = "rfid-reader"
    INTERNAL = "internal"
    PILOT = "pilot"
    VENTILATION = "ventilation"
    CABLE = "cable"
    COVER = "cover"


class StopButton(StrEnum):
    """Why somebody at the charger pressed stop."""

    LOCAL = "local"
    EMERGENCY = "emergency"
    OTHER = "other"


class Measurand(StrEnum):
    """OCPP's measurands (1.6 section 7.31, 2.0.1 MeasurandEnumType), each with its SI unit in `UNIT`."""

    CURRENT_EXPORT = "Current.Export"
    CURRENT_IMPORT = "Current.Import"
    CURRENT_OFFERED = "Current.Offered"
    ENERGY_ACTIVE_EXPORT_REGISTER = "Energy.Active.Export.Register"
    ENERGY_ACTIVE_IMPORT_REGISTER = "Energy.Active.Import.Register"
    ENERGY_REACTIVE_EXPORT_REGISTER = "Energy.Reactive.Export.Register"
    ENERGY_REACTIVE_IMPORT_REGISTER = "Energy.Reactive.Import.Register"
    ENERGY_ACTIVE_EXPORT_INTERVAL = "Energy.Active.Export.Interval"
    ENERGY_ACTIVE_IMPORT_INTERVAL = "Energy.Active.Import.Interval"
    ENERGY_REACTIVE_EXPORT_INTERVAL = "Energy.Reactive.Export.Interval"
    ENERGY_REACTIVE_IMPORT_INTERVAL = "Energy.Reactive.Import.Interval"
    FREQUENCY = "Frequency"
    POWER_ACTIVE_EXPORT = "Power.Active.Export"
    POWER_ACTIVE_IMPORT = "Power.Active.Import"
    POWER_FACTOR = "Power.Factor"
    POWER_OFFERED = "Power.Offered"
    POWER_REACTIVE_EXPORT = "Power.Reactive.Export"
    POWER_REACTIVE_IMPORT = "Power.Reactive.Import"
    RPM = "RPM"
    SOC = "SoC"
    TEMPERATURE = "Temperature"
    VOLTAGE = "Voltage"


_UNITS = (
    ("Current.", "A"),
    ("Energy.Active.", "Wh"),
    ("Energy.Reactive.", "varh"),
    ("Frequency", "Hz"),
    ("Power.Active.", "W"),
    ("Power.Factor", ""),
    ("Power.Offered", "W"),
    ("Power.Reactive.", "var"),
    ("RPM", "RPM"),
    ("SoC", "Percent"),
    ("Temperature", "Celsius"),
    ("Voltage", "V"),
)
UNIT: dict[Measurand, str] = {m: next(u for head, u in _UNITS if m.value.startswith(head)) for m in Measurand}


class Phase(StrEnum):
    """Which conductor a value was measured on; no phase means the total."""

    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    N = "N"
    L1_N = "L1-N"
    L2_N = "L2-N"
    L3_N = "L3-N"
    L1_L2 = "L1-L2"
    L2_L3 = "L2-L3"
    L3_L1 = "L3-L1"


@record
class Sample:
    """One value, in the SI unit of its measurand (`UNIT`)."""

    measurand: Measurand
    value: float
    phase: Phase | None = None


@record
class EvseReading:
    """All that a controller tells in one poll. None means: this hardware cannot tell."""

    pilot: Pilot
    contactor: bool | None = None  # True closed; the mirror contact where there is one
    offered_a: float | None = None  # what the controller holds as its order, 0 = withheld; compared with what we want
    cable_a: float | None = None  # cable rating by the PP resistor; 0 = no cable in the socket; None = attached cable
    faults: tuple[Fault, ...] = ()  # sorted, without repeats
    locked: bool | None = None
    stop_button: StopButton | None = None  # pressed since the last poll
    raw: str = ""  # the device's own words, for people: "vehicle state 3, flags 0x0001"
    temperature_c: float | None = None  # the hottest place that it knows of
    phases: int | None = None  # by how many the outlet is fed, 1 or 3, where that can be switched


@record
class Guard:
    """What a controller does by itself when nobody asks it any more."""

    timeout_s: float
    current_a: float | None  # then it offers this; None: what is set in the device itself


def gap(guard: Guard | None) -> str | None:
    """What would stay switched on after the death of the master, in words; None when nothing would."""
    if guard is None:
        return "has no watchdog: if the agent dies while charging, the last offer stands"
    if guard.current_a is None:
        after = f"{guard.timeout_s:g} s after the agent has died it offers what is set in the device itself"
        return f"has a fail-safe current that cannot be set from here: {after}; set that to 0 A"
    return None


@record
class IdToken:
    """A card or other token. `kind` is one of OCPP 2.0.1's IdTokenEnumType words, "Central", "ISO14443", "Local" ..."""

    value: str
    kind: str = "ISO14443"

    def __repr__(self) -> str:
        return f"IdToken({shorten(self.value)}, {self.kind})"


def shorten(token: str) -> str:
    """A token as it may be shown to people: never more than four characters, never all of it."""
    return f"..{token[-4:]}" if len(token) > 6 else f"..{token[-1:]}"


@record
class SignedSession:
    """What a meter signs beside its own values: whose energy it is, where it flowed, and the time of now."""

    transaction: str
    token: IdToken | None
    place: str  # charge point and EVSE, as OCMF writes them: "CP001 1"
    utc: float | None  # epoch seconds; None: nobody knows the time, so the meter's own clock counts
    zone_min: int = 0  # minutes of the local time ahead of UTC


@record
class SignedData:
    """What a meter has signed, as it came from it. `public_key`: base64 of DER (SubjectPublicKeyInfo), "" not told."""

    text: str
    encoding: str = "OCMF"
    method: str = ""  # of the signature, in the words of the encoding: "ECDSA-secp256r1-SHA256"
    public_key: str = ""

    def __repr__(self) -> str:  # a card's number stands in the text
        return f"SignedData({self.encoding}, {len(self.text)} characters, {self.method})"


@runtime_checkable
class EvseController(Protocol):
    """The hardware that owns control pilot and contactor of one EVSE (IEC 61851-1, Mode 3)."""

    async def read(self) -> EvseReading: ...

    async def offer(self, current_a: float) -> None:
        """Offer this current on the pilot; 0 (and all below 6 A) withholds power. Safe to repeat.

        Writes the watchdog and fail-safe registers first whenever the link to the device was (re)made.
        """
        ...


@dataclass(frozen=True, slots=True)
class IoReading:
    """All channels of an IO board in one poll, by the board's own numbers. Outputs are its latch, not any contact."""

    outputs: Mapping[int, bool]
    inputs: Mapping[int, bool]
    volts: Mapping[int, float] = field(default_factory=dict)  # analogue inputs


@runtime_checkable
class DigitalIo(Protocol):
    """A board with relays or outputs and with inputs."""

    guard_s: float | None  # its outputs fall off by themselves so long after the last request; None: they stay

    async def read(self) -> IoReading:
        """One poll; keeps the host watchdog alive, and writes it anew whenever the board was lost."""
        ...

    async def set(self, output: int, on: bool) -> None:
        """A level, safe to repeat. Before anything is switched on the host watchdog and its safe values are written."""
        ...


@runtime_checkable
class EnergyMeter(Protocol):
    async def read(self) -> Sequence[Sample]:
        """All samples of one poll; always with `Energy.Active.Import.Register` without a phase, in Wh."""
        ...


@runtime_checkable
class Measures(Protocol):
    """Ability: a meter of which it is known before it is asked what it can tell. For any other nothing is ruled out."""

    def measures(self) -> frozenset[Measurand]: ...


@runtime_checkable
class ReadsMore(Protocol):
    """Ability: a meter that does not read all its values in every poll."""

    async def read_all(self) -> Sequence[Sample]:
        """As `read`, with nothing left out."""
        ...


@runtime_checkable
class TokenReader(Protocol):
    async def token(self) -> IdToken:
        """Wait for a card. DriverError when the reader is gone; calling again tries to reach it anew."""
        ...


@runtime_checkable
class Unlocks(Protocol):
    """Ability: the connector lock can be driven."""

    async def unlock(self) -> bool:
        """True when the connector is open afterwards. Refuses (False) while the contactor is closed."""
        ...


@runtime_checkable
class SwitchesPhases(Protocol):
    """Ability: the outlet can be fed by one phase or by three; each reading tells by how many."""

    async def switch_phases(self, phases: int) -> bool:
        """A level, safe to repeat. Refuses (False) while the contactor is closed or an order for current stands."""
        ...


@runtime_checkable
class OrdersPower(Protocol):
    """Ability: what it is ordered is a power, which is shared by the phases that the car uses."""

    def share(self, phases: int) -> None:
        """By how many, from the next order on; one until it is told. Too few give no phase more than was ordered."""
        ...


@runtime_checkable
class WakesCars(Protocol):
    """Ability: the pilot can be taken away from the car for some seconds, which wakes many that sleep."""

    async def wake(self) -> bool:
        """Begin it, and return at once; it ends by itself, also when nobody asks any more. Until then each reading
        tells the pilot as it was before. Refuses (False) unless a car is connected that does not ask for power."""
        ...


@runtime_checkable
class Identifies(Protocol):
    """Ability: the device can say who it is."""

    async def identity(self) -> str: ...


@runtime_checkable
class Numbered(Protocol):
    """Ability: a meter tells which one of its kind it is, so that an exchanged one is noticed."""

    async def number(self) -> str:
        """Its serial number, the same for as long as it lives; "" when it has none."""
        ...


@runtime_checkable
class ShowsState(Protocol):
    """Ability: an indicator (LED, display) that shows one word of the station's state."""

    async def show(self, state: str) -> None: ...


@runtime_checkable
class FailsSafe(Protocol):
    """Ability: the controller notices that its master is gone. Who cannot tell counts as one that does not."""

    def guard(self) -> Guard | None:
        """None: nothing happens, the last order stands for ever."""
        ...


@runtime_checkable
class SignsMeterData(Protocol):
    """Ability: the meter signs what it has counted, from the beginning to the end of a session of its own.

    Each order may take half a minute, and may be given again after a restart: `begin` gives up a session that somebody
    left open, `end` tells the result once more when the session had ended already.
    """

    async def begin(self, session: SignedSession) -> SignedData | None:
        """Open the session; what is signed at its beginning, None where a meter signs at the end only."""
        ...

    async def end(self, session: SignedSession) -> SignedData:
        """Close it. DriverError when there is none, or its result is not this session's."""
        ...

    async def public_key(self) -> str:
        """Base64 of DER (SubjectPublicKeyInfo). DriverError when the meter cannot sign as it is set up."""
        ...


@runtime_checkable
class Closes(Protocol):
    """Ability: there is something to release when the agent stops."""

    async def close(self) -> None: ...
