"""A scene for a mapped controller: the reference board's registers on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from drivers.bus import Bus, Policy, SerialSettings
from drivers.mapped_evse import MappedEvse
from tests.drivers.register_wire import RegisterWire
from tests.drivers.virtual_time import run

# The reference layout's addresses, by its own names.
PILOT, CONTACTOR, CABLE, LOCK, FAULTS, KIND, COUNT, SEEN, OPERATIONS, OFFER, WATCHDOG, FAILSAFE, LED, UNLOCK = (
    16, 17, 18, 19, 20, 22, 23, 24, 26, 28, 29, 30, 31, 32,
)  # fmt: skip

Scene = Callable[[MappedEvse, RegisterWire, Bus], Coroutine[Any, Any, None]]


def play(scene: Scene, name: str = "reference", **options: Any) -> None:
    async def main() -> None:
        wire = RegisterWire()
        bus = Bus(wire, SerialSettings("/dev/ttyS1"), Policy(retries=0))
        wire.tables["holding"][PILOT] = 1
        await scene(MappedEvse(bus, 1, name, **options), wire, bus)

    run(main())


def holding(wire: RegisterWire) -> dict[int, int]:
    return wire.tables["holding"]


# A controller of the simplest kind, whose watchdog wants a write.
FEEDING = """
vendor = "V"
model = "M"
source = "S"
[pilot]
at = 1
values = { 0 = "A" }
[offer]
at = 2
max = 16
[feed]
at = 6000
value = 1
"""
