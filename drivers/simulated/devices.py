"""From a plan to its devices: maps are loaded, and every unit of every bus gets its registers. Does no other I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from drivers.regmap import load_evse, load_meter
from drivers.simulated.charging_point import ChargingPoint
from drivers.simulated.plan import SimUnit, SimWiring
from drivers.simulated.registers import ControllerRegisters, MeterRegisters, Part, SimDevice
from drivers.simulated.verbs import SimError
from drivers.simulated.world import World

SIGNING_DRIVERS = ("em580", "wm3m4")
PYTHON_DRIVERS = ("innogy-ebox", "edgetech-smartevse", "etek", "smartevse")


def build_devices(world: World) -> dict[tuple[str, int], SimDevice]:
    """Every device of the plan by bus and unit; one unit may be controller and meter at once."""
    station, parts = world.station, _parts(world)
    names = {bus.name for bus in station.buses}
    devices: dict[tuple[str, int], SimDevice] = {}
    for (bus, unit), found in parts.items():
        if bus not in names:
            raise SimError(f"there is no bus {bus!r}; there are {', '.join(sorted(names)) or 'none'}")
        if len({(p.kind, p.connector) for p in found}) != len(found):
            raise SimError(f"bus {bus}: unit {unit} is used more than once")
        devices[bus, unit] = _device(f"{bus}/{unit}", found)
    return devices | (_boards(world, devices) if station.boards else {})


def _boards(world: World, taken: Mapping[tuple[str, int], SimDevice]) -> dict[tuple[str, int], SimDevice]:
    """IO boards, and the charging points that are made of their parts."""
    from drivers.io.iomap import load_io
    from drivers.simulated.io_board import BoardDevice, join

    station = world.station
    folders = [Path(folder) for folder in station.map_dirs]
    wired = [(world.points[evse.number], evse.wiring) for evse in station.evses if evse.wiring is not None]
    for point, wiring in wired:
        join(point, wiring)
    boards: dict[tuple[str, int], SimDevice] = {}
    for board in station.boards:
        if (board.bus, board.unit) in {*taken, *boards}:
            raise SimError(f"bus {board.bus}: unit {board.unit} is used more than once")
        if board.bus not in {bus.name for bus in station.buses}:
            raise SimError(f"there is no bus {board.bus!r} for the board {board.name}")
        wires = [(p, w) for p, w in wired if board.name in _boards_of(w)]
        device = BoardDevice(board, load_io(board.map, folders), wires, lambda: world.now_s)
        boards[board.bus, board.unit] = device
    return boards


def _boards_of(wiring: SimWiring) -> set[str]:
    channels = [channel for _, channel in (*wiring.outputs, *wiring.inputs)]
    channels += [wiring.volts] if wiring.volts else []
    return {channel.board for channel in (*channels, *(c for _, lit in wiring.lights for c in lit))}


def _parts(world: World) -> dict[tuple[str, int], list[Part]]:
    folders = [Path(folder) for folder in world.station.map_dirs]
    parts: dict[tuple[str, int], list[Part]] = {}
    for evse in world.station.evses:
        point = world.points[evse.number]
        unit = evse.controller
        if unit is not None:
            part: Part = _controller(unit, folders, point)
            parts.setdefault((unit.bus, unit.unit), []).append(part)
        if evse.meter is not None:
            part = _meter(evse.meter.map, folders, point)
            parts.setdefault((evse.meter.bus, evse.meter.unit), []).append(part)
    return parts


def _controller(unit: SimUnit, folders: Sequence[Path], point: ChargingPoint) -> ControllerRegisters:
    """By its map, or one of a driver in Python by the name of its driver."""
    if unit.map in PYTHON_DRIVERS:
        from drivers.simulated.special import SPECIAL  # seldom wanted

        return SPECIAL[unit.map](point, unit.unit)
    return ControllerRegisters(load_evse(unit.map, folders, unit.connector), point, unit.connector)


def _meter(name: str, folders: Sequence[Path], point: ChargingPoint) -> MeterRegisters:
    """By its map, or one that signs by the name of its driver."""
    if name in SIGNING_DRIVERS:
        from drivers.simulated.signed import SIGNING  # seldom wanted

        return SIGNING[name](point)
    return MeterRegisters(load_meter(name, folders), point)


def _device(name: str, parts: Sequence[Part]) -> SimDevice:
    if not any(hasattr(part, "signer") for part in parts):
        return SimDevice(name, parts)
    from drivers.simulated.signed import SignedDevice

    return SignedDevice(name, parts)
