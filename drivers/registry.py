"""Names of drivers: what a configuration file calls a driver, and where its class lies.

Built-in names first; then the entry points that a manufacturer's own package declares in the group
`chargepoint.drivers` (name = "module:Class"). Nothing is imported before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from drivers.api import DriverError

GROUP = "chargepoint.drivers"
BUILT_IN = {
    "mapped-meter": "drivers.mapped_meter:MappedMeter",
    "mapped-evse": "drivers.mapped_evse:MappedEvse",
    "openevse": "drivers.evse.openevse:OpenEvse",
    "innogy-ebox": "drivers.evse.innogy:InnogyEbox",
    "edgetech-smartevse": "drivers.evse.smartevse:EdgetechSmartEvse",
    "etek": "drivers.evse.etek:EtekEpc",
    "smartevse": "drivers.evse.smartevse3:SmartEvseNode",
    "composed": "drivers.composed:ComposedEvse",
    "io-pilot": "drivers.io.pilot:IoPilot",
    "mapped-io": "drivers.io.mapped:MappedIo",
    "gpio": "drivers.io.gpio:Gpio",
    "em580": "drivers.signed.em580:Em580",
    "wm3m4": "drivers.signed.wm3m4:Wm3m4",
    "rdm6300": "drivers.token.rdm6300:Rdm6300",
    "ascii-line": "drivers.token.ascii_line:AsciiLine",
    "wiegand": "drivers.token.wiegand:Wiegand",
    "pn532": "drivers.token.pn532:Pn532",
    "sl025": "drivers.token.sl025:Sl025",
    "acs": "drivers.token.acs:Acs",
}
# Drivers that are a map but for their order, and where that map lies.
IN_PYTHON = {
    "innogy-ebox": "drivers.evse.innogy",
    "edgetech-smartevse": "drivers.evse.smartevse",
    "etek": "drivers.evse.etek",
    "smartevse": "drivers.evse.smartevse3",
}
# Controllers without a map to tell that they have no watchdog.
UNGUARDED = ("innogy-ebox", "edgetech-smartevse", "etek")


def find(name: str) -> Any:
    """The class (or factory) of that name; DriverError of one line when there is none or it cannot be loaded."""
    return _load(name, BUILT_IN.get(name) or _declared(name))


def _declared(name: str) -> str:
    from importlib.metadata import entry_points  # slow to import, and few stations need it

    declared = {point.name: point.value for point in entry_points(group=GROUP)}
    if name not in declared:
        known = ", ".join(sorted({*BUILT_IN, *declared}))
        raise DriverError(f"no driver {name!r}; known are {known}; others come from packages with entry points {GROUP}")
    return declared[name]


def _load(name: str, target: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise DriverError(f"driver {name!r} ({target}) cannot be loaded: {error}") from None
