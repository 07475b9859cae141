"""What `check-config` warns of when it looks at a map and at the line that its device hangs on.

Rules kept: pure; a device may well have been set otherwise than it left the factory, so nothing here is an error.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.config import BusConfig, Config, EvseConfig
from agent.errors import ConfigError
from drivers.mapwords import Device


def device_warnings(config: Config, evse: EvseConfig, role: str, found: Device) -> Iterator[str]:
    """Warnings for one device, `role` "controller" or "meter", of which the map says `found`."""
    device = evse.controller if role == "controller" else evse.meter
    table, key = f"evse.{evse.id}.{role}", "map" if device.map else "driver"
    if not found.verified:
        text = f"warning: the registers of {found.name} were never confirmed; compare them with the device's display"
        yield str(ConfigError(config.path, table, key, text))
    bus = next((bus for bus in config.buses if bus.name == device.bus), None)
    if bus is not None and bus.port and (text := _line_differs(bus, found)):
        yield str(ConfigError(config.path, table, key, text))


def _line_differs(bus: BusConfig, found: Device) -> str:
    """What is to be said when the line has other settings than the device has from the factory."""
    factory = found.serial
    if factory is not None and factory.framing != bus.framing:
        word = factory.framing
        return f'warning: {found.name} speaks Modbus {word.upper()}; add framing = "{word}" to [bus.{bus.name}]'
    if factory is None or (factory.baud, factory.parity) == (bus.baud, bus.parity):
        return ""
    settings = f"{factory.baud} baud, parity {factory.parity}{'' if factory.verified else ' (as far as is known)'}"
    remedy = f"[bus.{bus.name}] has others, set the device to them"
    return f"warning: {found.name} leaves the factory with {settings}; {remedy}"
