"""`chargepoint simulate --config FILE --socket PATH`: be the hardware that this agent configuration describes.

Every bus, controller, meter and card reader of the file appears at its configured port, with the physical world behind
it; `chargepoint sim --socket PATH VERB ...` drives it. The agent needs no special mode and cannot tell the difference.
Exit codes: 0 ended by SIGTERM or SIGINT, 1 a port could not be made, 2 a wrong command line, 78 a wrong configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import tomli

from agent.errors import AgentError, ConfigError, Exit
from drivers.api import DriverError
from drivers.simulated.hardware import SimulatedHardware
from drivers.simulated.plan import SimBus, SimEvse, SimReader, SimStation, SimUnit


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
        station = station_of(options.config, options.seed)
        return asyncio.run(_serve(station, options.socket, options.verbose))
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
    print(f"{clock}.{int(now % 1 * 1000):03d} {f'evse {evse}' if evse else 'station'}: {text}", flush=True)


def _hush(_now_s: float, _evse: int, _text: str) -> None:
    return None


def _summary(station: SimStation) -> str:
    places = [bus.port or f"{bus.host}:{bus.tcp_port}" for bus in station.buses]
    return ", ".join([f"{len(station.evses)} evse", *places, *(reader.port for reader in station.readers)])


def station_of(path: str, seed: int) -> SimStation:
    """What the configuration file describes, as a simulated station."""
    try:
        data = tomli.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(path, "", "", f"cannot be read: {error}") from None
    try:
        return SimStation(
            buses=tuple(_bus(table) for table in data.get("bus", [])),
            evses=tuple(_evse(table) for table in data.get("evse", [])),
            readers=tuple(_reader(table) for table in data.get("reader", [])),
            seed=seed,
        )
    except KeyError as error:
        raise ConfigError(path, "", str(error), "is missing") from None


def _bus(table: dict[str, Any]) -> SimBus:
    keys = {"name", "port", "baud", "parity", "stop_bits", "host"}
    if "host" in table:
        return SimBus(table["name"], host=table["host"], tcp_port=table.get("port", 502))
    return SimBus(**{key: table[key] for key in table if key in keys})


def _evse(table: dict[str, Any]) -> SimEvse:
    current_a = float(table.get("max_current_a", 32.0))
    return SimEvse(
        number=table["id"],
        controller=_unit(table.get("controller")),
        meter=_unit(table.get("meter")),
        attached_cable=table.get("cable") == "attached",
        cable_a=32.0 if current_a <= 32.0 else 63.0,
        max_current_a=current_a,
        phases=table.get("phases", 3),
    )


def _unit(table: dict[str, Any] | None) -> SimUnit | None:
    return SimUnit(table["map"], table["bus"], table["unit"]) if table and "map" in table else None


def _reader(table: dict[str, Any]) -> SimReader:
    kind = str(table["driver"]).replace("-", "_")
    return SimReader(kind, table["port"], tuple(table.get("evses", ())), table.get("form", "hex10"))
