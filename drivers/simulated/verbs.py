"""What a hand can do to the simulated hardware, as a table of verbs: `Hands.do(verb, args)`.

Each verb changes the world at once and never waits; a mistake is a `SimError` of one line. Card readers are ports
outside of the world and come as an argument, so a simulation on a virtual clock can use the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

from drivers.api import Fault, Measurand, StopButton
from drivers.simulated.charging_point import ChargingPoint
from drivers.simulated.registers import MODES, ControllerRegisters, MeterRegisters, SimDevice
from drivers.simulated.world import World

KINDS = ("evse", "meter", "io")


class SimError(ValueError):
    """The hardware cannot do that; `str()` is one line."""


class Reader(Protocol):
    """A card reader as hands know it."""

    def serves(self, evses: tuple[int, ...]) -> bool: ...
    def tap(self, tag: str) -> None: ...
    def open(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Verb:
    """`needs` and `may` name the arguments and their types (float takes an integer too)."""

    act: Callable[[Hands, dict[str, Any]], str | None]
    needs: dict[str, type]
    may: dict[str, type]


class Hands:
    """Everything that people do at the charger, and what they can look at."""

    def __init__(self, world: World, devices: Sequence[SimDevice], readers: Sequence[Reader] = ()) -> None:
        self.world = world
        self.devices = devices
        self.readers = readers
        self.controllers = {p.point.config.number: p for p in _parts(devices) if isinstance(p, ControllerRegisters)}
        self.meters = {p.point.config.number: p for p in _parts(devices) if isinstance(p, MeterRegisters)}
        for point in world.points.values():
            point.on_fault = self._fault_outside

    def do(self, verb: str, args: Mapping[str, Any]) -> str:
        """Do it and return what there is to print, "" for nothing; SimError when it cannot be done."""
        row = VERBS.get(verb)
        if row is None:
            raise SimError(f"no verb {verb!r}; known are {', '.join(VERBS)}")
        taken = _check(verb, row, args)
        try:
            return row.act(self, taken) or ""
        except SimError:
            raise
        except ValueError as error:
            where = f"evse {taken['evse']}: " if "evse" in taken else ""
            raise SimError(f"{where}{error}") from None

    # Cable, car, card

    def point(self, args: dict[str, Any]) -> ChargingPoint:
        point = self.world.points.get(args["evse"])
        if point is None:
            raise SimError(f"there is no evse {args['evse']}; there are {', '.join(map(str, self.world.points))}")
        return point

    def plug_in(self, args: dict[str, Any]) -> None:
        point, ev = self.point(args), _one_of("ev", args.get("ev", "auto"), ("auto", "hold", "sleepy", "none"))
        if "after" in args and "then" not in args:
            raise SimError("plug-in: --after needs --then")
        fault = self._then(args) if "then" in args else None
        point.plug_in(ev)
        if fault is not None:
            point.plan_fault(fault, args.get("after", 0.0))

    def _then(self, args: dict[str, Any]) -> Fault:
        head, _, name = args["then"].partition(":")
        if head != "fault":
            raise SimError(f"then: {args['then']!r} is not fault:NAME")
        return self._fault(args, name)

    def unplug(self, args: dict[str, Any]) -> None:
        self.point(args).unplug()

    def ev_unplug(self, args: dict[str, Any]) -> None:
        point = self.point(args)
        if point.car is None and point.forced is None:
            raise SimError(f"evse {args['evse']}: no car is plugged in")
        point.unplug_car()

    def tap(self, args: dict[str, Any]) -> None:
        if not self.world.powered:
            raise SimError("the station has no power, its readers are dark")
        evses = tuple(args.get("evses", ()))
        reader = next((r for r in self.readers if r.serves(evses)), None)
        if reader is None:
            names = ", ".join(map(str, evses))
            raise SimError(f"no reader serves evse {names}" if evses else "there is no card reader")
        reader.tap(args["tag"])
        self.world.on_event(self.world.now_s, 0, f"card ..{args['tag'][-4:]} at the reader")

    def ev_state(self, args: dict[str, Any]) -> None:
        point, state = self.point(args), _one_of("state", args["state"], tuple("ABCDEF"))
        registers = self.controllers.get(args["evse"])
        if registers is not None and not registers.can_show(state):
            raise SimError(f"evse {args['evse']}: the map {registers.device.name} has no word for pilot state {state}")
        point.force(state)

    def ev_draw(self, args: dict[str, Any]) -> None:
        if not 0 <= args["amps"] <= 80 or not 1 <= args.get("phases", 1) <= 3 or not 0 <= args.get("soc", 0) <= 100:
            raise SimError("ev-draw takes 0 to 80 A, 1 to 3 phases, 0 to 100 percent")
        self.point(args).draw(args["amps"], args.get("phases"), args.get("soc"))

    # Faults

    def fault(self, args: dict[str, Any]) -> None:
        self.point(args).fault(self._fault(args, args["name"]), True)

    def fault_clear(self, args: dict[str, Any]) -> None:
        self.point(args).fault(self._fault(args, args["name"]), False)

    def _fault(self, args: dict[str, Any], name: str) -> Fault:
        """The fault, if this hardware has any way to have it or to tell of it."""
        fault, number = Fault(_one_of("fault", name, tuple(Fault))), args["evse"]
        if fault in self.point(args).senses or self._exists(fault, number):
            return fault
        registers = self.controllers.get(number)
        map_name = f"the map {registers.device.name}" if registers else "it has no controller map and so"
        raise SimError(f"evse {number}: {map_name} has no way to report {fault}")

    def _exists(self, fault: Fault, number: int) -> bool:
        """True when the fault shows by itself, without a bit for it."""
        measures = {r.measurand for r in self.meters[number].map.registers} if number in self.meters else set()
        registers = self.controllers.get(number)
        warm = registers is not None and any(row.key.startswith("temperature") for row in registers.map.info)
        shows: dict[Fault, bool] = {
            Fault.CONTACTOR: True,
            Fault.METER: number in self.meters,
            Fault.RFID_READER: any(r.serves((number,)) for r in self.readers),
            Fault.UNDER_VOLTAGE: Measurand.VOLTAGE in measures,
            Fault.OVER_VOLTAGE: Measurand.VOLTAGE in measures,
            Fault.OVER_CURRENT: Measurand.CURRENT_IMPORT in measures,
            Fault.OVER_TEMPERATURE: warm or Measurand.TEMPERATURE in measures,
        }
        return shows.get(fault, False)

    def _fault_outside(self, fault: Fault, _present: bool) -> None:
        """A reader is gone as long as any EVSE that it serves has the fault."""
        if fault is not Fault.RFID_READER:
            return
        broken = [n for n, p in self.world.points.items() if fault in p.faults]
        for reader in self.readers:
            if any(reader.serves((n,)) for n in broken):
                reader.close()
            else:
                reader.open()

    # Meter, button, bus, power

    def meter(self, args: dict[str, Any]) -> None:
        point, registers = self.point(args), self.meters.get(args["evse"])
        if registers is None:
            raise SimError(f"evse {args['evse']}: has no meter")
        if len(args) == 1:
            raise SimError("meter needs --wh, --rate-w, --signed-start, --signed-stop or --silent")
        meter = point.meter
        if "wh" in args:
            registers.show_wh(args["wh"])  # ValueError when the register cannot hold it
            meter.set_wh(args["wh"])
            meter.silent = False
        meter.rate_w = args.get("rate_w", meter.rate_w)
        meter.silent = bool(args.get("silent", meter.silent))
        meter.signed_start = args.get("signed_start", meter.signed_start)
        meter.signed_stop = args.get("signed_stop", meter.signed_stop)
        point.tell("meter: " + ", ".join(f"{key} {value}" for key, value in args.items() if key != "evse"))

    def stop_button(self, args: dict[str, Any]) -> None:
        point, registers = self.point(args), self.controllers.get(args["evse"])
        reason = _one_of("reason", args.get("reason", "local"), tuple(StopButton))
        stop = registers.map.stop_button if registers else None
        if reason in point.buttons:  # it stays pressed until reset
            point.controller.press(reason)
            point.tell(f"stop button: {reason}")
            return
        if registers is None or stop is None or reason not in stop.kind.words.values():
            name = registers.device.name if registers else "none"
            raise SimError(f"evse {args['evse']}: the map {name} has no {reason} stop button")
        point.controller.press(reason)
        point.tell(f"stop button: {reason}")

    def bus(self, args: dict[str, Any]) -> None:
        kind, mode = _one_of("device", args["device"], KINDS), _one_of("mode", args["mode"], MODES)
        if "evse" in args:
            self.point(args)
        if kind == "io":
            self._io(mode)
            return
        hit = [d for d in self.devices if any(p.kind == kind for p in d.parts)]
        if "evse" in args:
            hit = [d for d in hit if any(p.point.config.number == args["evse"] for p in d.parts)]
        if not hit:
            raise SimError(f"there is no {kind} on a bus")
        self.world.on_event(self.world.now_s, args.get("evse", 0), f"{kind} on the bus: {mode}")
        for device in hit:
            device.mode = mode
            if kind == "meter" and mode == "ok":
                device.point.meter.silent = False

    def _io(self, mode: str) -> None:
        boards = [device for device in self.devices if not device.parts]
        if not boards:
            raise SimError("there is no IO board")
        self.world.on_event(self.world.now_s, 0, f"IO boards on the bus: {mode}")
        for board in boards:
            board.mode = mode

    def contactor(self, args: dict[str, Any]) -> None:
        point, state = self.point(args), _one_of("state", args["state"], ("ok", "stuck"))
        point.controller.hold(state == "stuck")
        point.tell(f"contactor {state}")
        point.settle()

    def power(self, args: dict[str, Any]) -> None:
        on = _one_of("power", args["to"], ("fail", "restore")) == "restore"
        if on != self.world.powered:
            self.world.power(on)

    def reset(self, _args: dict[str, Any]) -> None:
        for device in self.devices:
            device.mode = "ok"
        self.world.reset()

    # Looking

    def get(self, args: dict[str, Any]) -> str:
        point, key = self.point(args), _one_of("key", args["key"], tuple(SEEN))
        registers = self.meters.get(args["evse"])
        if key == "meter-wh" and registers is not None:
            return number_text(registers.show_wh(point.meter.energy_wh))
        return SEEN[key](point)


SEEN: dict[str, Callable[[ChargingPoint], str]] = {
    "lock": lambda p: "locked" if p.controller.locked else "unlocked",
    "offered-ma": lambda p: str(round(p.controller.pwm_a * 1000)),
    "contactor": lambda p: "closed" if p.controller.closed else "open",
    "ev-state": lambda p: p.pilot,
    "relay-count": lambda p: str(p.controller.relay_count),
    "meter-wh": lambda p: number_text(p.meter.energy_wh),
    "led": lambda p: p.controller.led or "off",
    "signed-start": lambda p: p.meter.signed_start,
    "signed-stop": lambda p: p.meter.signed_stop,
    "power-w": lambda p: number_text(p.power_w),
    "drawn-ma": lambda p: str(round(p.amps * 1000)),
    "phases": lambda p: str(p.controller.phases),
    "live-switches": lambda p: str(p.controller.live_switches),
    "order-ma": lambda p: str(round(p.controller.order_a * 1000)),
}
_EVSE: dict[str, type] = {"evse": int}
VERBS: dict[str, Verb] = {
    "plug-in": Verb(Hands.plug_in, _EVSE, {"ev": str, "then": str, "after": float}),
    "unplug": Verb(Hands.unplug, _EVSE, {}),
    "ev-unplug": Verb(Hands.ev_unplug, _EVSE, {}),
    "tap": Verb(Hands.tap, {"tag": str}, {"evses": list}),
    "ev-state": Verb(Hands.ev_state, {"state": str, **_EVSE}, {}),
    "ev-draw": Verb(Hands.ev_draw, {"amps": float, **_EVSE}, {"phases": int, "soc": float}),
    "fault": Verb(Hands.fault, {"name": str, **_EVSE}, {}),
    "fault-clear": Verb(Hands.fault_clear, {"name": str, **_EVSE}, {}),
    "meter": Verb(
        Hands.meter, _EVSE,
        {"wh": float, "rate_w": float, "signed_start": str, "signed_stop": str, "silent": bool},
    ),
    "stop-button": Verb(Hands.stop_button, _EVSE, {"reason": str}),
    "contactor": Verb(Hands.contactor, {"state": str, **_EVSE}, {}),
    "bus": Verb(Hands.bus, {"device": str, "mode": str}, _EVSE),
    "power": Verb(Hands.power, {"to": str}, {}),
    "get": Verb(Hands.get, {"key": str, **_EVSE}, {}),
    "reset": Verb(Hands.reset, {}, {}),
}  # fmt: skip


def number_text(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def same(seen: str, wanted: str) -> bool:
    """Equal as words, or as numbers."""
    if seen == wanted:
        return True
    try:
        return float(seen) == float(wanted)
    except ValueError:
        return False


def _check(verb: str, row: Verb, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with their types made sure of; what is None was not given."""
    given = {key: value for key, value in args.items() if value is not None}
    known = {**row.needs, **row.may}
    for key in row.needs:
        if key not in given:
            raise SimError(f"{verb} needs {key}")
    for key, value in given.items():
        if key not in known:
            raise SimError(f"{verb} has no argument {key}")
        kind = known[key]
        if kind is float and type(value) is int:
            given[key] = float(value)
        elif kind is float and type(value) is float and not isfinite(value):
            raise SimError(f"{verb}: {key} is not a number")
        elif type(value) is not kind:
            raise SimError(f"{verb}: {key} is {value!r}, expected {kind.__name__}")
    return given


def _one_of(what: str, value: str, words: Sequence[str]) -> str:
    if value not in words:
        raise SimError(f"{what} {value!r} is not known; use one of {', '.join(words)}")
    return value


def _parts(devices: Sequence[SimDevice]) -> list[ControllerRegisters | MeterRegisters]:
    return [part for device in devices for part in device.parts]
