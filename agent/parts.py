"""From the configuration to the charger's parts: buses, controllers, meters, readers, as the drivers know them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.composing import boards_of, composed_of
from agent.config import BusConfig, Config, DeviceConfig, EvseConfig, ReaderConfig
from agent.config_checks import READERS
from agent.config_composed import pilot_of
from agent.core.derating import Curve
from agent.core.evse import EvseLimits
from agent.core.phases import Switching, WakeUp
from agent.core.record import as_dict
from agent.edge.hardware import EvseParts, ReaderParts
from agent.errors import ConfigError
from drivers import registry
from drivers.api import (
    Closes,
    DriverError,
    FailsSafe,
    Measures,
    OrdersPower,
    SignsMeterData,
    SwitchesPhases,
    Unlocks,
    WakesCars,
    gap,
)
from drivers.bus import Bus, Policy, SerialSettings, TcpSettings

CLOSES_S = 3.0  # IEC 61851-1, from the car's wish to the closed contactor
MakeBus = Callable[[SerialSettings | TcpSettings, Policy | None], Bus]


class Parts:
    """All parts of one charger; `make_bus` is `drivers.wire.make_bus` on a real one."""

    def __init__(self, config: Config, make_bus: MakeBus) -> None:
        self.buses = {bus.name: _bus(bus, make_bus) for bus in config.buses}
        self._maps = [Path(config.service.maps_dir)]
        self.boards = boards_of(config, self.buses)
        safety = config.safety
        self.evses = [
            EvseParts(
                id=evse.id,
                controller=self._device(evse, "controller", evse.controller, config),
                meter=self._device(evse, "meter", evse.meter, config),
                poll_s=evse.controller.poll_ms / 1000,
                meter_poll_s=evse.meter.poll_ms / 1000,
                silent_s=safety.controller_silent_s,
                meter_silent_s=safety.meter_silent_s,
            )
            for evse in config.evses
        ]
        for evse, parts in zip(config.evses, self.evses, strict=True):
            _check_abilities(config, evse, parts.controller)
        self.gaps = {  # what no watchdog guards; a driver that cannot tell counts as one that has none
            evse.id: f"EVSE {evse.id}: its controller {evse.controller.map or evse.controller.driver} {why}"
            for evse, parts in zip(config.evses, self.evses, strict=True)
            if (why := gap(parts.controller.guard() if isinstance(parts.controller, FailsSafe) else None))
        }
        self.readers = [ReaderParts(_reader(reader), reader.evses) for reader in config.readers]
        self.limits = [
            EvseLimits(
                evse.id,
                evse.limit_a,
                evse.phases,
                evse.attached_cable,
                evse.ventilation,
                isinstance(parts.controller, Unlocks),
                evse.meter.signing,
                isinstance(parts.meter, SignsMeterData),
                Curve(evse.derating.from_c, evse.derating.until_c, evse.derating.stop_c) if evse.derating else None,
                evse.phase_rotation,
                Switching(**as_dict(evse.phase_switching)) if evse.phase_switching else None,
                WakeUp(**as_dict(evse.wake_up)) if evse.wake_up else None,
                isinstance(parts.controller, OrdersPower),
                measures=tuple(sorted(parts.meter.measures())) if isinstance(parts.meter, Measures) else None,
                **_times(evse),
            )
            for evse, parts in zip(config.evses, self.evses, strict=True)
        ]

    def _device(self, evse: EvseConfig, role: str, device: DeviceConfig, config: Config) -> Any:
        if device.composed is not None:
            return composed_of(evse, self.boards, lambda: self._device(evse, role, pilot_of(device), config))
        make = registry.find(device.driver)
        if device.driver not in ("mapped-evse", "mapped-meter"):
            given = {"bus": self.buses[device.bus]} if device.bus is not None else {}
            return make(**given, **({"unit": device.unit} if device.unit is not None else {}), **device.options)
        assert device.bus is not None
        assert device.unit is not None
        assert device.map is not None
        label = f"{role} of EVSE {evse.id} (unit {device.unit})"
        more: dict[str, Any] = {}
        if role == "controller":
            more = {"watchdog_s": device.watchdog_s, "failsafe_a": device.failsafe_a, "connector": device.connector}
            more["phases"] = evse.phase_switching is not None
        return make(self.buses[device.bus], device.unit, device.map, label, folders=self._maps, **more)

    async def close(self) -> None:
        """Release every port; whoever made a driver of his own may have something to release, too."""
        parts = [part for evse in self.evses for part in (evse.controller, evse.meter)]
        for part in (*parts, *self.boards.values(), *(reader.reader for reader in self.readers)):
            if isinstance(part, Closes):
                with suppress(DriverError):  # what it could not release goes with the process
                    await part.close()
        for bus in self.buses.values():
            await bus.close()


def _times(evse: EvseConfig) -> dict[str, float]:
    """How long a contactor of parts may take; any other controller keeps the standard's times."""
    made_of = evse.controller.composed
    if made_of is None:
        return {}
    rests_s = max(made_of.contactor["min_open_s"], made_of.contactor["after_fault_s"])
    return {"opens_s": made_of.contactor["force_off_s"], "closes_s": CLOSES_S + rests_s}


def _check_abilities(config: Config, evse: EvseConfig, controller: object) -> None:
    where = f"evse.{evse.id}"
    if evse.phase_switching is not None and not isinstance(controller, SwitchesPhases):
        raise ConfigError(config.path, where, "phase_switching", "its controller cannot do it; remove the table")
    if evse.wake_up is not None and not isinstance(controller, WakesCars):
        raise ConfigError(config.path, where, "wake_up", "its controller cannot do it; remove the table")


def _bus(bus: BusConfig, make_bus: MakeBus) -> Bus:
    gap_s = None if bus.gap_ms is None else bus.gap_ms / 1000
    settings: SerialSettings | TcpSettings
    if bus.port is not None:
        settings = SerialSettings(bus.port, bus.baud, bus.parity, bus.stop_bits, gap_s, bus.rs485, bus.framing)
        policy = Policy(timeout_s=bus.timeout_ms / 1000)
    else:
        assert bus.host is not None
        settings = TcpSettings(bus.host, bus.tcp_port, gap_s)
        policy = Policy(timeout_s=bus.timeout_ms / 1000, quarantine_s=0.0, reopen_after=3)
    return make_bus(settings, policy)


def _reader(reader: ReaderConfig) -> Any:
    from drivers.token.normalise import Spelling

    make = registry.find(reader.driver)
    if reader.driver not in READERS:
        return make(**({"port": reader.port} if reader.port else {}), **reader.options)
    spelling = Spelling(reader.uid_order, reader.uid_case, reader.strip_separators, reader.strip_zeros, reader.length)
    own = {key: getattr(reader, key) for key in ("baud", *READERS[reader.driver])}
    given = {key: value for key, value in own.items() if value is not None}
    return make(reader.port, kind=reader.kind, spelling=spelling, again_after_s=reader.again_after_s, **given)
