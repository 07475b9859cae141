"""The words by which a bench tool is told where a device is: --port or --host, speed, unit.

What is not said is as the map says that the device leaves the factory, else 9600 8N1, unit 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from agent.cli import Parser
from drivers.bus import SerialSettings, TcpSettings
from drivers.mapwords import Device
from drivers.probe.bench import Place
from drivers.probe.scan import say
from drivers.probe.shelf import OWN

PARITIES = ("N", "E", "O")
LARGEST_UNIT = 247


def add_where(parser: Parser, *, configured: bool = False) -> None:
    """--port or --host; or --config, where that makes sense."""
    where = parser.add_mutually_exclusive_group(required=True)
    if configured:
        where.add_argument("--config", metavar="FILE", help="the controller of EVSE number MAP, as configured there")
    where.add_argument("--port", metavar="PORT", help="serial port, such as /dev/ttyUSB0")
    where.add_argument("--host", metavar="HOST", help="Modbus TCP device or gateway instead")
    parser.add_argument("--tcp-port", type=int, metavar="N", help="of the host; 502 if neither this nor the map says")
    parser.add_argument("--framing", choices=("rtu", "ascii"), help="of the serial line; as the map says, else rtu")


def add_maps(parser: Parser) -> None:
    parser.add_argument("--maps-dir", metavar="DIR", default=str(OWN), help=f"your own maps; default {OWN}")


def add_device(parser: Parser, *, configured: bool = False) -> None:
    """MAP and where the device is."""
    more = "; of a driver (openevse, innogy-ebox ...); with --config a number" if configured else ""
    parser.add_argument("map", metavar="MAP", help=f"name of a map, or a file with a / or .toml in its name{more}")
    add_where(parser, configured=configured)
    parser.add_argument("--unit", type=int, metavar="N", help="Modbus unit; as the map says, else 1")
    parser.add_argument("--baud", type=int, metavar="N", help="as the map says, else 9600")
    parser.add_argument("--parity", choices=PARITIES, help="as the map says, else N")
    parser.add_argument("--stop-bits", type=int, choices=(1, 2), help="as the map says, else 1")
    parser.add_argument("--timeout-ms", type=int, metavar="N", default=500, help="until an answer must begin; 500")
    add_maps(parser)


def folders(options: argparse.Namespace) -> tuple[Path, ...]:
    return (Path(options.maps_dir),)


def place(parser: Parser, options: argparse.Namespace, device: Device) -> Place:
    """Where to talk to the device."""
    timeout_s = limited(parser, "--timeout-ms", options.timeout_ms, 10, 60_000) / 1000
    factory = device.tcp if options.host else device.serial
    unit = limited(parser, "--unit", options.unit or (factory.unit if factory else 1), 0, 255)
    if options.host:
        port = options.tcp_port or (device.tcp.port if device.tcp else 502)
        return Place(TcpSettings(options.host, limited(parser, "--tcp-port", port, 1, 65535)), unit, timeout_s)
    if unit > LARGEST_UNIT or unit == 0:
        parser.error(f"--unit is 1 to {LARGEST_UNIT} on a serial line")
    serial = device.serial
    baud = options.baud or (serial.baud if serial else 9600)
    parity = options.parity or (serial.parity if serial else "N")
    stop_bits = options.stop_bits or (serial.stop_bits if serial else 1)
    limited(parser, "--baud", baud, 300, 4_000_000)
    framing = options.framing or (serial.framing if serial else "rtu")
    return Place(SerialSettings(options.port, baud, parity, stop_bits, framing=framing), unit, timeout_s)


def limited(parser: Parser, option: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        parser.error(f"{option} is {value}; expected {low} to {high}")
    return value


def shown(at: Place) -> str:
    """Where it is, for people."""
    where = at.settings.name if isinstance(at.settings, TcpSettings) else f"{at.settings.name} at {say(at.settings)}"
    return f"unit {at.unit} on {where}"


def numbers(parser: Parser, option: str, text: str, low: int, high: int) -> list[int]:
    """ "1-5,33" as numbers."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            parser.error(f"{option} takes numbers such as 1-5,33, not {part.strip()!r}")
        start, end = int(first), int(last or first)
        if not low <= start <= end <= high:
            parser.error(f"{option} is {part.strip()}; expected {low} to {high}")
        found += range(start, end + 1)
    return found
