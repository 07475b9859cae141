"""A simulated OpenEVSE board: RAPI on a pseudo-terminal, over a charging point of the world.

Written apart from the driver: the check, the states and the heartbeat supervision are its own.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.api import Fault
from drivers.simulated.charging_point import NEVER_S, ChargingPoint
from drivers.simulated.port import Port

LEAST_A = 6
LINE_MAX = 32
SENSES = {
    Fault.DIODE: 5, Fault.GROUND: 6, Fault.CONTACTOR: 8, Fault.OVER_TEMPERATURE: 10, Fault.OVER_CURRENT: 11,
}  # fmt: skip
_PILOTS = {"A": 1, "B": 2, "C": 3, "D": 4}


class RapiBoard:
    """`now()` brings the world to the present before it is looked at; `mode` is ok, timeout or garbage."""

    def __init__(self, path: str, point: ChargingPoint, now: Callable[[], None]) -> None:
        self.path = path
        self.point = point
        self.mode = "ok"
        self.asked: list[str] = []
        self._now = now
        self._port = Port(path, self._heard)
        self._rest = b""
        self._asleep, self._disabled = True, False
        self._capacity_a = LEAST_A
        self._trigger = 0
        point.senses = frozenset(SENSES)

    def open(self) -> None:
        self._port.open()

    def close(self) -> None:
        self._port.close()

    def say(self, text: str) -> None:
        """A line that nobody asked for."""
        self._port.write(_line(text))

    def reboot(self) -> None:
        """It forgets what was volatile."""
        self._asleep, self._capacity_a = True, LEAST_A
        self.point.controller.watchdog_s = 0.0
        self._order()
        self.say("AB 00 8.2.1")

    def _heard(self, data: bytes) -> None:
        self._rest = (self._rest + data)[-4 * LINE_MAX :]
        while b"\r" in self._rest:
            line, _, self._rest = self._rest.partition(b"\r")
            body, mark, _check = line.partition(b"^")
            if mark and len(line) <= LINE_MAX and _line(body.decode("ascii", "replace")[1:]) == line + b"\r":
                self._command(body.decode()[1:].split())

    def _command(self, words: list[str]) -> None:
        if self.mode == "timeout" or not self.point.controller.powered:
            return
        self._now()
        self.asked.append(" ".join(words))
        if not self._asleep and self.point.controller.order_a < self._capacity_a:  # it has missed a pulse
            self._trigger, self._capacity_a = 2, LEAST_A
        act = _COMMANDS.get(words[0])
        answer = act(self, words[1:]) if act else "NK"
        self._order()
        self._port.write(_line(answer) if self.mode == "ok" else b"$O" + _line(answer)[3:].swapcase())

    def _order(self) -> None:
        controller = self.point.controller
        controller.order_a = 0.0 if self._asleep else float(self._capacity_a)
        controller.failsafe_a = 0.0 if self._asleep else float(LEAST_A)
        self.point.settle()

    def _state(self, _words: list[str]) -> str:
        fault = next((SENSES[fault] for fault in self.point.controller.faults if fault in SENSES), 0)
        pilot = _PILOTS.get(self.point.pilot, 0)
        return f"OK {fault or (0xFF if self._disabled else 0xFE if self._asleep else pilot):02x} 0 {pilot:02x} 0000"

    def _amps(self, _words: list[str]) -> str:
        return f"OK {self._capacity_a:g} 0000"

    def _set_amps(self, words: list[str]) -> str:
        wanted_a = int(words[0])
        self._capacity_a = int(max(LEAST_A, min(wanted_a, self.point.controller.max_a)))
        return f"{'OK' if self._capacity_a == wanted_a else 'NK'} {self._capacity_a}"

    def _sleep(self, _words: list[str]) -> str:
        self._asleep, self._disabled = True, False
        self.point.controller.hold_off(0.0)
        return "OK"

    def _disable(self, _words: list[str]) -> str:
        """State F, the relay open."""
        self._disabled = True
        self.point.controller.hold_off(NEVER_S)
        return "OK"

    def _wake(self, _words: list[str]) -> str:
        self._asleep, self._disabled = False, False
        self.point.controller.hold_off(0.0)
        return "OK"

    def _heartbeat(self, words: list[str]) -> str:
        controller = self.point.controller
        if len(words) == 2:
            controller.watchdog_s = float(words[0])
        if words == ["165"]:
            self._trigger = 0
        controller.touched(self.point.now_s)
        return f"OK {controller.watchdog_s:g} {LEAST_A} {self._trigger}"

    def _version(self, _words: list[str]) -> str:
        return "OK 8.2.1 5.1.0"


_COMMANDS: dict[str, Callable[[RapiBoard, list[str]], str]] = {
    "GS": RapiBoard._state,
    "GE": RapiBoard._amps,
    "GV": RapiBoard._version,
    "SC": RapiBoard._set_amps,
    "FS": RapiBoard._sleep,
    "FD": RapiBoard._disable,
    "FE": RapiBoard._wake,
    "SY": RapiBoard._heartbeat,
}


def _line(text: str) -> bytes:
    value = 0
    for letter in f"${text}":
        value ^= ord(letter)
    return f"${text}^{value:02X}\r".encode("ascii", "replace")
