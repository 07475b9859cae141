"""What is to be simulated: buses, devices, EVSEs and readers, as plain values. It knows no file format and no OCPP."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SimBus:
    """One Modbus line: serial when `port` is set, else TCP."""

    name: str
    port: str = ""
    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1
    framing: str = "rtu"  # or "ascii"
    host: str = "127.0.0.1"
    tcp_port: int = 0

    @property
    def byte_s(self) -> float:
        """Time one byte takes on the line: start, eight data, parity, stop."""
        if not self.port:
            return 0.0
        return (9 + (self.parity != "N") + self.stop_bits) / self.baud


@dataclass(frozen=True, slots=True)
class SimUnit:
    """A device's register map and where it answers. The same map file as the driver's."""

    map: str
    bus: str
    unit: int
    connector: int = 1  # of a controller with several


@dataclass(frozen=True, slots=True)
class SimBoard:
    """An IO board by its map."""

    name: str
    map: str
    bus: str
    unit: int


@dataclass(frozen=True, slots=True)
class SimChannel:
    """One channel of a board; `inverted`: on is what the board calls off."""

    board: str
    number: int
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class SimWiring:
    """How a charging point made of parts hangs on its boards. `inputs` and `outputs` by what they are:

    outputs contactor, three_phase, lock, unlock, enable, interrupt, fan; inputs mirror, three_phase_mirror,
    residual, dc_residual, emergency, locked, connected, requesting, failed.
    """

    outputs: tuple[tuple[str, SimChannel], ...]
    inputs: tuple[tuple[str, SimChannel], ...] = ()
    volts: SimChannel | None = None  # of the PP resistor's divider
    pull_up_ohm: float = 330.0
    supply_v: float = 5.0
    pilot_a: float = 0.0  # what a pilot module offers while `enable` is on
    lights: tuple[tuple[str, tuple[SimChannel, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class SimEvse:
    """One charging point and what a visitor brings: `cable_a` is the rating of the attached or of the brought cable."""

    number: int
    controller: SimUnit | None = None
    meter: SimUnit | None = None
    attached_cable: bool = False
    cable_a: float = 32.0
    max_current_a: float = 32.0
    phases: int = 3
    start_wh: float = 1_234_567.0
    wiring: SimWiring | None = None
    rapi_port: str = ""  # where an OpenEVSE board answers, instead of `controller`
    boot_offer_a: float = 0.0  # what the controller offers after power-up, before anybody wrote (EVSE-WB register 2000)


@dataclass(frozen=True, slots=True)
class SimReader:
    """A card reader of a `kind` that readers.py knows; `evses` are those it stands for, none means all.

    `form` is how the agent's driver tells an rdm6300 card, or how a Wiegand converter writes one, and `reverse` whether
    the driver turns the bytes round: a tag is tapped by the text that the central system will see.
    """

    kind: str
    port: str
    evses: tuple[int, ...] = ()
    form: str = "hex10"
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class SimStation:
    buses: tuple[SimBus, ...]
    evses: tuple[SimEvse, ...]
    readers: tuple[SimReader, ...] = ()
    seed: int = 1
    latency_s: tuple[float, float] = (0.005, 0.020)  # how long a device thinks before it answers
    slow_s: float = 0.65  # how late answers are in the bus mode "slow": masters mostly give up after half a second
    boards: tuple[SimBoard, ...] = ()
    map_dirs: tuple[str, ...] = ()  # looked through before the maps that come with the drivers
