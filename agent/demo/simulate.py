"""`chargepoint simulate --config FILE --socket PATH`: be the hardware that this agent configuration describes.

Every bus, controller, meter and card reader of the file appears at its configured port, with the physical world behind
it; `chargepoint sim --socket PATH VERB ...` drives it. The agent needs no special mode and cannot tell the difference.
Exit codes: 0 ended by SIGTERM or SIGINT, 1 a port could not be made, 2 a wrong command line, 78 a wrong configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from agent.config import BusConfig, Config, DeviceConfig, EvseConfig, ReaderConfig, load
from agent.config_checks import FORMS
from agent.config_composed import IO_PILOT, OUTPUTS, ChannelName, ComposedConfig, IoConfig, pilot_of
from agent.errors import AgentError, Exit
from drivers.api import DriverError
from drivers.simulated.devices import PYTHON_DRIVERS, SIGNING_DRIVERS
from drivers.simulated.hardware import SimulatedHardware
from drivers.simulated.plan import (
    SimBoard,
    SimBus,
    SimChannel,
    SimEvse,
    SimReader,
    SimStation,
    SimUnit,
    SimWiring,
)

OPENEVSE = "openevse"
UNMAPPED = (IO_PILOT, OPENEVSE)  # drivers without a register map that are simulated
READERS = {"rdm6300": "rdm6300", "ascii-line": "ascii_line", "wiegand": "wiegand"}  # driver -> what simulates it
READERS |= {"pn532": "pn532", "sl025": "sl025", "acs": "acs"}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")


def main(argv: Sequence[str]) -> int:
    """Serve until a signal ends it; the exit code."""
    parser = _Parser(prog="chargepoint simulate", description="Be the hardware that this configuration describes.")
    parser.add_argument("--config", required=True, metavar="FILE", help="the agent's configuration file")
    parser.add_argument("--socket", required=True, metavar="PATH", help="where chargepoint sim finds it")
    parser.add_argument("--seed", type=int, default=1, help="of noise and latencies")
    parser.add_argument("--verbose", action="store_true", help="one line on stdout for each hardware event")
    options = parser.parse_args(list(argv))
    try:
        config = load(options.config)
        for line in left_out(config):
            print(f"chargepoint simulate: {line}; it is not simulated", file=sys.stderr)
        return asyncio.run(_serve(station_of(config, options.seed), options.socket, options.verbose))
    except (AgentError, DriverError, ValueError, OSError) as error:
        print(f"chargepoint simulate: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, AgentError) else Exit.FAILURE


async def _serve(station: SimStation, socket_path: str, verbose: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with SimulatedHardware(station, socket_path, _say if verbose else _hush) as hardware:
        print(f"ready: {_summary(station)}; drive it with: chargepoint sim --socket {socket_path} VERB", flush=True)
        await hardware.run(stop)
    return Exit.OK


def _say(_now_s: float, evse: int, text: str) -> None:
    now = time.time()
    clock = time.strftime("%H:%M:%S", time.localtime(now))
    with contextlib.suppress(OSError):  # nobody reads any more: the hardware does not care
        print(f"{clock}.{int(now % 1 * 1000):03d} {f'evse {evse}' if evse else 'station'}: {text}", flush=True)


def _hush(_now_s: float, _evse: int, _text: str) -> None:
    return None


def _summary(station: SimStation) -> str:
    places = [bus.port or f"{bus.host}:{bus.tcp_port}" for bus in station.buses]
    return ", ".join([f"{len(station.evses)} evse", *places, *(reader.port for reader in station.readers)])


def station_of(config: Config, seed: int = 1) -> SimStation:
    """What the configuration describes, as a simulated station."""
    return SimStation(
        buses=tuple(_bus(bus) for bus in config.buses),
        evses=tuple(_evse(evse) for evse in config.evses),
        boards=tuple(_board(board) for board in config.ios if board.driver == "mapped-io"),
        readers=tuple(_reader(reader) for reader in config.readers if reader.driver in READERS and reader.port),
        seed=seed,
        map_dirs=(config.service.maps_dir,),
    )


def left_out(config: Config) -> list[str]:
    """What of it cannot be simulated, since it is neither a register map nor a known reader; a line each."""
    devices = [(e.id, role, device) for e in config.evses for role, device in _roles(e)]
    parts = [(n, role, device) for n, role, device in devices if not _unit(device) and device.driver not in UNMAPPED]
    lines = [f"evse {n}: {role} driver {device.driver!r} has no register map" for n, role, device in parts]
    lines += [f"io {board.name}: lines of a chip" for board in config.ios if board.driver == "gpio"]
    return lines + [f"reader driver {r.driver!r} is not known" for r in config.readers if r.driver not in READERS]


def _roles(evse: EvseConfig) -> tuple[tuple[str, DeviceConfig], tuple[str, DeviceConfig]]:
    return ("controller", _pilot(evse)), ("meter", evse.meter)


def _bus(bus: BusConfig) -> SimBus:
    if bus.port is None:
        return SimBus(bus.name, host=bus.host or "127.0.0.1", tcp_port=bus.tcp_port)
    return SimBus(bus.name, bus.port, bus.baud, bus.parity, bus.stop_bits, bus.framing)


def _evse(evse: EvseConfig) -> SimEvse:
    """A visitor's cable carries what the socket can give: 32 A, or 63 A at a larger one."""
    brought_a = 32.0 if evse.max_current_a <= 32.0 else 63.0
    return SimEvse(
        evse.id,
        _unit(_pilot(evse)),
        _unit(evse.meter),
        evse.attached_cable,
        brought_a if evse.cable_a is None else evse.cable_a,
        evse.max_current_a,
        evse.phases,
        wiring=_wiring(evse.controller.composed) if evse.controller.composed else None,
        rapi_port=str(evse.controller.options.get("port", "")) if evse.controller.driver == OPENEVSE else "",
    )


def _pilot(evse: EvseConfig) -> DeviceConfig:
    return evse.controller if evse.controller.composed is None else pilot_of(evse.controller)


def _board(board: IoConfig) -> SimBoard:
    return SimBoard(board.name, str(board.map), str(board.bus), board.unit or 1)


def _wiring(made_of: ComposedConfig) -> SimWiring:
    """Which channel is what in the simulated world."""
    roles = {"output": "contactor"}
    outputs: list[tuple[str, SimChannel]] = []
    inputs: list[tuple[str, SimChannel]] = []
    for table, key, name in made_of.channels():
        if table != "lights" and key != "volts":
            channel = (roles.get(key, key), _at(name))
            (outputs if key in OUTPUTS else inputs).append(channel)
    cable, lights = made_of.cable, made_of.lights or {}
    return SimWiring(
        tuple(outputs),
        tuple(inputs),
        volts=_at(cable["volts"]) if cable else None,
        pull_up_ohm=cable["pull_up_ohm"] if cable else 330.0,
        supply_v=cable["supply_v"] if cable else 5.0,
        pilot_a=made_of.pilot["current_a"] or 0.0,
        lights=tuple((word, tuple(map(_at, lit))) for word, lit in lights.items() if lit is not None),
    )


def _at(name: ChannelName) -> SimChannel:
    return SimChannel(name.board, name.number, name.inverted)


def _unit(device: DeviceConfig) -> SimUnit | None:
    name = device.driver if device.driver in (*SIGNING_DRIVERS, *PYTHON_DRIVERS) else device.map
    if name is None or device.bus is None or device.unit is None:
        return None
    return SimUnit(name, device.bus, device.unit, device.connector)


def _reader(reader: ReaderConfig) -> SimReader:
    assert reader.port is not None
    form = reader.form or FORMS.get(reader.driver, FORMS["rdm6300"])[0]
    return SimReader(READERS[reader.driver], reader.port, reader.evses, form, reader.uid_order == "reversed")
