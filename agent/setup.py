"""Builds what the daemon runs: store, station, conversation, parts. No task runs here yet."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent import __version__, updates
from agent.blocks.assembly import assemble
from agent.blocks.station import Station
from agent.clock import Clock
from agent.config import Config
from agent.core.effects import Effect, Remember
from agent.core.events import Restored
from agent.core.faults import STORAGE
from agent.edge.location import protocols
from agent.errors import ConfigError
from agent.log import Log
from agent.network import links
from agent.ocpp import dialect
from agent.ocpp.conversation import Conversation
from agent.ocpp.dialect import Station as Charger
from agent.parts import Parts
from agent.store.changes import Limits
from agent.store.store import Opened, Store
from agent.worker import Worker
from drivers.api import DriverError
from drivers.wire import make_bus

DATABASE = "chargepoint.db"
META = "meta"
RESET_MARK = "factory-reset"


@dataclass(slots=True)
class Built:
    """The parts of one agent, ready to run."""

    config: Config
    store: Store
    station: Station
    assembly: Mapping[str, Any]  # what the station was put together of
    conversation: Conversation
    parts: Parts
    opened: Opened
    restored: Restored
    rng: Callable[[], float]
    worker: Worker
    spoken: str  # the version of the last link, as it is remembered; "" before the first

    async def work(self, call: Callable[[], Any]) -> Any:
        """Run a store call in the one thread that may wait for the disk."""
        return await self.worker.do(call)

    def remember_version(self, subprotocol: str) -> Effect | None:
        """What to keep when the CSMS has chosen another version than the last one."""
        version = dialect.SUBPROTOCOLS[subprotocol]
        if version == self.spoken:
            return None
        self.spoken = version
        return Remember(META, "version", version)

    def begun_in(self) -> str:
        """The version that has told the start of a transaction of which there is more to tell, or may have: what waits
        for its answer was sent in the version spoken last, if at all. "" when there is none."""
        return self.store.begun_in() or (self.spoken if self.store.head() is not None else "")

    def set_variables(self, config: Config) -> None:
        """Take up [variables] and the quirks; ConfigError, and no change, when one does not fit."""
        own: Mapping[str, str] = {}
        preset: Mapping[str, str] = {}
        if config.variables or config.csms.quirks is not None:
            from agent.config_variables import presets, resolve

            own, preset = resolve(config), presets(config)
        # A file read again may name an EVSE that is there after the next restart only.
        variables = self.station.facts.variables
        self.conversation.obey(config.csms.quirks, {k: v for k, v in preset.items() if variables.find(k)})
        left_out = variables.layer("preset", self.conversation.presets)
        left_out += variables.layer("config", {k: v for k, v in own.items() if variables.find(k)})
        assert not left_out, left_out

    async def close(self) -> None:
        await self.parts.close()
        self.worker.close()
        self.store.close()


def build(config: Config, clock: Clock, log: Log) -> Built:
    """ConfigError when the configuration names what does not fit the device model or the drivers."""
    _reset(config, log)
    store = Store(Path(config.storage.dir) / DATABASE, _limits(config))
    opened = store.open(clock.boot)
    _tell_opened(opened, config, log)
    memory = store.restore()
    meta: Mapping[str, Any] = memory.tables.get(META, {})
    known = memory.tables.get("clock", {}).get("offset")
    match known:
        case [str(boot), int() | float() as offset_s]:
            clock.restore(float(offset_s), boot)
    spoken = str(meta.get("version", ""))
    version = spoken if spoken in config.csms.versions else config.csms.versions[0]
    try:
        parts = Parts(config, make_bus)
    except DriverError as error:
        raise ConfigError(config.path, "", "", str(error)) from None
    assembly: Mapping[str, Any] = {
        "evses": tuple(parts.limits),
        "prefix": store.salt,
        "resume": config.transactions.resume,
        "station_max_a": config.station.max_current_a,
        "about": _about(config),
        "links": links(config),
        "updates": updates.policy(config),
        "silent_s": config.safety.controller_silent_s,
    }
    station = assemble(**assembly)
    conversation = Conversation(_charger(config), store.head, f"{opened.salt}-{opened.starts}", version)
    built = Built(
        config=config,
        store=store,
        station=station,
        assembly=assembly,
        conversation=conversation,
        parts=parts,
        opened=opened,
        restored=Restored(memory.tables, memory.open_transactions, opened.power_lost or opened.starts == 1),
        rng=random.Random().random,
        worker=Worker("store"),
        spoken=spoken,
    )
    variables = station.facts.variables
    variables.layer("pin", conversation.dialect.pins)
    built.set_variables(config)
    return built


def _reset(config: Config, log: Log) -> None:
    """A factory reset that the last process was told of."""
    if (Path(config.storage.dir) / RESET_MARK).exists():
        from agent import resetting

        resetting.carry_out(config, log)


def _limits(config: Config) -> Limits:
    """The file and its journal stay within `max_mib` together; the last tenth is for the journal and for ends."""
    whole = config.storage.max_mib << 20
    return Limits(soft_bytes=whole * 54 // 64, hard_bytes=whole * 57 // 64)


def _tell_opened(opened: Opened, config: Config, log: Log) -> None:
    if opened.fault is not None:
        where = config.storage.dir
        text = f"nothing can be stored in {where}: {opened.fault}; no new charge begins until it can"
        log.error("StorageFailed", text, fault=STORAGE)
    for line in opened.lost:
        log.error("StorageSalvaged", line, why=opened.set_aside, fault=STORAGE)


def _about(config: Config) -> dict[str, str]:
    about = {
        "ChargingStation.Model": config.station.model,
        "ChargingStation.VendorName": config.station.vendor,
        "ChargingStation.SupplyPhases": str(max(evse.phases for evse in config.evses)),
        "OCPPCommCtrlr.FileTransferProtocols": ",".join(protocols()),
    }
    return about | {f"Connector@{evse.id}/1.ConnectorType": evse.connector for evse in config.evses}


def _charger(config: Config) -> Charger:
    station = config.station
    return Charger(
        vendor=station.vendor,
        model=station.model,
        serial=station.serial,
        firmware=station.firmware or __version__,
        iccid=station.iccid,
        imsi=station.imsi,
        meter_type=station.meter_type,
        meter_serial=station.meter_serial,
        evses=tuple(evse.id for evse in config.evses),
        updates=config.firmware.enabled,
    )
