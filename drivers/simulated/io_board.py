"""A simulated IO board: its registers by the map that the driver reads, its relays and inputs in the simulated world.

A relay "contactor" is a contact in the coil's circuit of its charging point, beside what the pilot controller decides
by itself; it falls off when the board's host watchdog runs out. Lock, lights and sensors hang on it as `SimWiring`
says. It does no I/O and knows no time but the world's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from drivers.api import Fault
from drivers.io.iomap import IoMap
from drivers.registers import decode, encode
from drivers.simulated.charging_point import ChargingPoint
from drivers.simulated.plan import SimBoard, SimChannel, SimWiring
from drivers.simulated.registers import Answer, SimDevice

ILLEGAL_ADDRESS = 2
NEVER_S = float("inf")
RESISTORS = ((13.0, 1500.0), (20.0, 680.0), (32.0, 220.0), (63.0, 100.0))
NO_PLUG_OHM = 1e6
SHORT_OHM = 10.0  # what a broken cable shows

Wired = Sequence[tuple[ChargingPoint, SimWiring]]


class BoardDevice(SimDevice):
    """One board on a line, and the charging points that are wired to it."""

    def __init__(self, board: SimBoard, io_map: IoMap, wired: Wired, now_s: Callable[[], float]) -> None:
        self.name = f"{board.bus}/{board.unit}"
        self.parts = ()
        self.mode = "ok"
        self.calls = frozenset({0})
        self.map = io_map
        self.evses = tuple(point.config.number for point, _ in wired)
        self._points = [point for point, _ in wired]
        self._now_s = now_s
        self._latch = dict.fromkeys(io_map.outputs.numbers if io_map.outputs else (), False)
        self._until_s: dict[int, float] = {}  # outputs that are on for a time
        self._touched_s = 0.0
        self._started = not io_map.start
        self._acts, self._gates, self._inputs, self._volts = _wire(board.name, wired)
        self._lights = _lights(board.name, wired)
        self._memory = dict.fromkeys(self._registers(), 0)

    def _registers(self) -> Iterable[tuple[str, int]]:
        m = self.map
        for write in (*m.init, *m.settings, *m.start):
            yield (write.row.table, write.row.at)
        if m.watchdog is not None:
            yield (m.watchdog.row.table, m.watchdog.row.at)
        if m.safe is not None and m.outputs is not None:
            yield from (("coil", m.safe.at + k) for k in range(len(m.outputs.numbers)))
            yield from (("coil", m.safe.save),) if m.safe.save is not None else ()
        for expected in m.device.identify:
            yield from ((expected.row.table, expected.row.at + k) for k in range(expected.row.words))

    @property
    def mute(self) -> bool:
        return bool(self._points) and not self._points[0].controller.powered

    # --- its own watchdog ---------------------------------------------------------------------------------------

    @property
    def timeout_s(self) -> float:
        watchdog = self.map.watchdog
        if watchdog is None or not self._started:
            return NEVER_S
        return decode(watchdog.row, [self._memory[watchdog.row.table, watchdog.row.at]]) or NEVER_S

    def _touch(self) -> None:
        """A request came: what ran out before it has fallen off, and the time begins anew."""
        now_s = self._now_s()
        if now_s - self._touched_s >= self.timeout_s:
            self._fall(tuple(self._latch))
        self._fall([output for output, until_s in self._until_s.items() if now_s >= until_s])
        self._touched_s = now_s
        self._arm_gates()

    def _fall(self, outputs: Iterable[int]) -> None:
        for output in tuple(outputs):
            self._until_s.pop(output, None)
            if self._latch[output]:
                self._set(output, False)

    def _arm_gates(self) -> None:
        for output, point in self._gates.items():
            until_s = min(self._touched_s + self.timeout_s, self._until_s.get(output, NEVER_S))
            point.controller.gate_until_s = until_s if self._latch[output] else NEVER_S

    # --- registers ----------------------------------------------------------------------------------------------

    def read(self, table: str, address: int, count: int) -> Answer:
        if self.mute:
            return None
        self._touch()
        image = self._image()
        wanted = [(table, at) for at in range(address, address + count)]
        if count < 1 or any(key not in image for key in wanted):
            return ILLEGAL_ADDRESS
        return [image[key] for key in wanted]

    def _image(self) -> dict[tuple[str, int], int]:
        m, image = self.map, dict(self._memory)
        if m.outputs is not None:
            for k, output in enumerate(m.outputs.numbers):
                image[m.outputs.row.table, m.outputs.readback + k] = int(self._latch[output])
        if m.inputs is not None:
            for k, number in enumerate(m.inputs.numbers):
                image[m.inputs.row.table, m.inputs.row.at + k] = int(self._inputs.get(number, lambda: False)())
        if m.analog is not None:
            for k, number in enumerate(m.analog.numbers):
                volts = self._volts.get(number, lambda: 0.0)()
                image[m.analog.row.table, m.analog.row.at + k] = encode(m.analog.row, volts)[0]
        return image

    def write(self, table: str, address: int, words: Sequence[int]) -> int | None:
        if self.mute:
            return None
        self._touch()
        for k, word in enumerate(words):
            if not self._take(table, address + k, word):
                return ILLEGAL_ADDRESS
        self._arm_gates()
        return 0

    def _take(self, table: str, at: int, word: int) -> bool:
        outputs = self.map.outputs
        if outputs is not None and table == outputs.row.table and 0 <= at - outputs.row.at < len(outputs.numbers):
            self._command(outputs.numbers[at - outputs.row.at], word)
            return True
        if (table, at) not in self._memory:
            return False
        self._memory[table, at] = word
        self._started |= any((write.row.table, write.row.at) == (table, at) for write in self.map.start)
        return True

    def _command(self, output: int, word: int) -> None:
        """A coil takes any word; of command words a board ignores those that it does not know."""
        outputs = self.map.outputs
        assert outputs is not None
        self._until_s.pop(output, None)
        if outputs.on is None:
            self._set(output, bool(word))
        elif word in (outputs.on, outputs.off):
            self._set(output, word == outputs.on)
        elif outputs.hold is not None and outputs.hold <= word <= outputs.hold + 255:
            self._until_s[output] = self._now_s() + word - outputs.hold
            self._set(output, True)

    def _set(self, output: int, on: bool) -> None:
        was, self._latch[output] = self._latch[output], on
        if was != on and output in self._acts:
            self._acts[output](on)
        for point, words in self._lights:
            point.controller.led = next((word for word, lit in words if lit == self._lit(words)), "")

    def _lit(self, words: _Words) -> frozenset[int]:
        return frozenset(output for _, lit in words for output in lit if self._latch[output])


_Words = Sequence[tuple[str, frozenset[int]]]


def _lights(name: str, wired: Wired) -> list[tuple[ChargingPoint, _Words]]:
    found: list[tuple[ChargingPoint, _Words]] = []
    for point, wiring in wired:
        words = [(word, frozenset(c.number for c in lights if c.board == name)) for word, lights in wiring.lights]
        if any(lit for _, lit in words):
            found.append((point, words))
    return found


def _wire(
    name: str, wired: Wired
) -> tuple[
    dict[int, Callable[[bool], None]],
    dict[int, ChargingPoint],
    dict[int, Callable[[], bool]],
    dict[int, Callable[[], float]],
]:
    """What the board's channels do, switch, sense and measure."""
    acts: dict[int, Callable[[bool], None]] = {}
    gates: dict[int, ChargingPoint] = {}
    inputs: dict[int, Callable[[], bool]] = {}
    volts: dict[int, Callable[[], float]] = {}
    for point, wiring in wired:
        for role, channel in wiring.outputs:
            if channel.board == name:
                acts[channel.number] = _act(role, channel, point, wiring)
                if role == "contactor":
                    gates[channel.number] = point
        for role, channel in wiring.inputs:
            if channel.board == name:
                inputs[channel.number] = _sense(role, channel, point)
        if wiring.volts is not None and wiring.volts.board == name:
            volts[wiring.volts.number] = _divider(point, wiring)
    return acts, gates, inputs, volts


def join(point: ChargingPoint, wiring: SimWiring) -> None:
    """What of a charging point is done by others once it is made of parts."""
    roles = {role for role, _ in (*wiring.outputs, *wiring.inputs)}
    point.controller.gate = False
    point.controller.phases = point.controller.boot_phases = 1 if "three_phase" in roles else 3
    point.controller.motor_lock = True
    point.controller.lockable = "lock" in roles
    point.buttons = frozenset({"emergency"} & roles)
    senses = {
        "residual": Fault.GROUND,
        "dc_residual": Fault.DC_RESIDUAL,
        "cover": Fault.COVER,
        "lock": Fault.LOCK_FAILURE,
        "unlock": Fault.UNLOCK_FAILURE,
    }
    point.senses |= {fault for role, fault in senses.items() if role in roles}
    if wiring.volts is not None:
        point.senses |= {Fault.CABLE}


def _act(role: str, channel: SimChannel, point: ChargingPoint, wiring: SimWiring) -> Callable[[bool], None]:
    do = _DOES[role]

    def act(on: bool) -> None:
        do(point, wiring, on != channel.inverted)
        point.settle()

    return act


def _gate(point: ChargingPoint, _wiring: SimWiring, on: bool) -> None:
    point.controller.gate = on


def _offer(point: ChargingPoint, wiring: SimWiring, on: bool) -> None:
    point.controller.order_a = wiring.pilot_a if on else 0.0


def _feed(point: ChargingPoint, _wiring: SimWiring, on: bool) -> None:
    point.controller.feed(3 if on else 1)


def _cut(point: ChargingPoint, _wiring: SimWiring, on: bool) -> None:
    point.controller.cut = on


def _lock(point: ChargingPoint, wiring: SimWiring, on: bool) -> None:
    is_magnet = all(role != "unlock" for role, _ in wiring.outputs)
    if on and Fault.LOCK_FAILURE not in point.faults:
        point.controller.locked = True
    elif not on and is_magnet and Fault.UNLOCK_FAILURE not in point.faults:
        point.controller.locked = False


def _unlock(point: ChargingPoint, _wiring: SimWiring, on: bool) -> None:
    if on and Fault.UNLOCK_FAILURE not in point.faults:
        point.controller.locked = False


_DOES: Mapping[str, Callable[[ChargingPoint, SimWiring, bool], None]] = {
    "contactor": _gate,
    "enable": _offer,
    "three_phase": _feed,
    "interrupt": _cut,
    "fan": lambda _point, _wiring, _on: None,
    "lock": _lock,
    "unlock": _unlock,
}
_SENSES: Mapping[str, Callable[[ChargingPoint], bool]] = {
    "mirror": lambda p: p.controller.closed,
    "residual": lambda p: Fault.GROUND in p.faults,
    "dc_residual": lambda p: Fault.DC_RESIDUAL in p.faults,
    "cover": lambda p: Fault.COVER in p.faults,
    "emergency": lambda p: p.controller.stop_button == "emergency" or Fault.EMERGENCY_STOP in p.faults,
    "three_phase_mirror": lambda p: p.controller.phases == 3,
    "locked": lambda p: p.controller.locked,
    "connected": lambda p: p.pilot in "BCD",
    "requesting": lambda p: p.pilot in "CD",
    "failed": lambda p: p.pilot in "EF",
}


def _sense(role: str, channel: SimChannel, point: ChargingPoint) -> Callable[[], bool]:
    sense = _SENSES[role]
    return lambda: sense(point) != channel.inverted


def _divider(point: ChargingPoint, wiring: SimWiring) -> Callable[[], float]:
    def volts() -> float:
        ohm = next((ohm for rating, ohm in RESISTORS if rating == point.cable_a), NO_PLUG_OHM)
        ohm = SHORT_OHM if Fault.CABLE in point.faults else ohm
        return wiring.supply_v * ohm / (ohm + wiring.pull_up_ohm)

    return volts
