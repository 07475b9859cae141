"""What the running agent tells of itself: the answer to `chargepoint status`, and one line for the service manager.

The shape is the one that `agent.cli.status` documents.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import __version__, custody
from agent import report_access as access
from agent.blocks.heat import Heat
from agent.blocks.metering import NOMINAL_V
from agent.core.evse import Evse, charging_state, connector_status
from agent.core.faults import CATALOGUE
from agent.core.types import Instant, VariableId
from agent.edge.link import Disconnected
from agent.edge.reasons import REMEDIES
from drivers.api import Measurand, Phase, shorten

if TYPE_CHECKING:
    from agent.daemon import Daemon
    from drivers.bus import Bus

LINES = (Phase.L1, Phase.L2, Phase.L3)
_DATE_TIME = VariableId("ClockCtrlr", "DateTime")
_IDENTITY = VariableId("SecurityCtrlr", "Identity")


class Report:
    def __init__(self, daemon: Daemon) -> None:
        self._d = daemon
        self._started = daemon.clock.mono()
        self._link_since = self._started
        self._lost: Disconnected | None = None
        self._lost_at = 0.0

    def link_up(self) -> None:
        self._link_since = self._d.clock.mono()

    def link_lost(self, event: Disconnected) -> None:
        self._lost, self._lost_at = event, self._d.clock.mono()
        if event.was_up:
            self._link_since = self._lost_at

    def line(self) -> str:
        """For `systemctl status`."""
        facts = self._d.built.station.facts
        link = f"CSMS {facts.registration}" if self._d.link.is_up else "no link to the CSMS"
        evses = ", ".join(
            f"EVSE {evse.id} {connector_status(evse)} {evse.offer_a:g} A" for evse in facts.evses.values()
        )
        rows = self._d.built.store.counts().rows
        return f"{link}; {evses}" + (f"; {rows} messages wait" if rows else "")

    def status(self) -> dict[str, Any]:
        d, now = self._d, self._d.clock.now()
        config, facts = d.config, d.built.station.facts
        counts = d.built.store.counts()
        return {
            "version": __version__,
            "uptime_s": round(now.mono - self._started),
            "vendor": config.station.vendor,
            "model": config.station.model,
            "serial": config.station.serial,
            "identity": facts.variables.view(_IDENTITY, now).value,
            "config": config.path,
            "link": self._link(now),
            "registration": str(facts.registration),
            "protocol": d.built.conversation.dialect.name if d.link.is_up else None,
            "clock": {"quality": now.quality.name.lower(), "utc": facts.variables.view(_DATE_TIME, now).value},
            "evses": [self.evse(evse, now) for evse in facts.evses.values()],
            "buses": [_bus(name, bus) for name, bus in d.built.parts.buses.items()],
            "queue": {
                "rows": counts.rows,
                "bytes": counts.bytes,
                "oldest_s": round(max(0.0, now.utc - counts.oldest.utc)) if counts.oldest else None,
            },
            "dead_letters": self._dead_letters(),
            "storage": self._storage(),
            "local_list": access.local_list(d.built.station),
            "reservations": access.reservations(d.built.station, now),
            "upload": facts.upload or None,
            "quirks": list(config.csms.quirks.names) if config.csms.quirks else [],
            "firmware": facts.update or None,
            **custody.told(d.built.station, now),
            "warnings": [*config.warnings, *d.built.parts.gaps.values()],
        }

    def status_of_link(self) -> dict[str, Any]:
        return self._link(self._d.clock.now())

    def _link(self, now: Instant) -> dict[str, Any]:
        link = self._d.link
        up = link.is_up
        state = "connected" if up else "waiting" if self._lost else "connecting"
        why = self._lost.why.text if self._lost and not up else None
        redial_in_s = None
        if self._lost is not None and self._lost.redial_in_s is not None and not up:
            redial_in_s = max(0, round(self._lost_at + self._lost.redial_in_s - now.mono))
        return {
            "state": state,
            "why": why,
            "remedy": REMEDIES.get(self._lost.why.kind) if self._lost and not up else None,
            "for_s": round(now.mono - self._link_since),
            "redial_in_s": redial_in_s,
            "rtt_s": link.rtt_s,
        } | self._d.network.status(link, self._d.built.conversation.answered_mono)

    def evse(self, evse: Evse, now: Instant) -> dict[str, Any]:
        meter = evse.meter
        tx = evse.tx
        return {
            "id": evse.id,
            "status": str(connector_status(evse)) if evse.seen else None,
            "pilot": str(evse.pilot) if evse.pilot else None,
            "cable_a": evse.cable_a,
            "contactor": evse.contactor,
            "locked": evse.locked,
            "operative": evse.operative,
            "offer_a": evse.offer_a,
            "explanation": evse.explanation,
            "phases_now": evse.phases_now,
            "phases_wanted": evse.phases_wanted if evse.phases_now else None,
            "current_a": current_a(evse),
            **self._heat(evse),
            "power_w": power_w(evse),
            "energy_wh": meter.energy_wh if meter else None,
            "meter_age_s": round(now.mono - meter.at.mono, 1) if meter else None,
            "transaction": None
            if tx is None
            else {
                "id": tx.id,
                "csms_id": tx.csms_id,
                "state": str(charging_state(evse)),
                "for_s": round(max(0.0, now.utc - tx.started_at.utc)),
                "energy_wh": max(0, tx.last_wh - tx.started_wh),
                "token": shorten(tx.token.value) if tx.token else None,
            },
            "faults": [
                {"id": fault, "text": CATALOGUE[fault].text, "remedy": CATALOGUE[fault].remedy, "info": info}
                for fault, info in evse.faults.items()
            ],
        }

    def _heat(self, evse: Evse) -> dict[str, Any]:
        """The hottest that is told, and what it leaves of the current, where a curve is set."""
        hottest_c, limit_a = self._d.built.station.block(Heat).felt(evse.id)
        return {"temperature_c": hottest_c, "temperature_limit_a": limit_a}

    def _dead_letters(self) -> list[dict[str, Any]]:
        return [
            {
                "id": f"{letter.transaction}-{letter.seq}",
                "kind": str(letter.event.kind) if letter.event else None,
                "evse": letter.event.evse if letter.event else None,
                "why": letter.why,
                "utc": letter.event.at.utc if letter.event else None,
            }
            for letter in self._d.runtime.durable.dead_letters
        ]

    def _storage(self) -> dict[str, Any]:
        store, opened = self._d.built.store, self._d.built.opened
        failing = str(store.fault) if store.fault else self._d.runtime.durable.trouble
        state = "failing" if failing else "salvaged" if opened.lost else "ok"
        why = failing or "; ".join(opened.lost) or None
        return {"state": state, "why": why, "bytes": _file_bytes(store.path), "limit_bytes": store.limits.hard_bytes}


def _bus(name: str, bus: Bus) -> dict[str, Any]:
    questions, broken = bus.stats.counted
    return {"name": name, "port": bus.name, "open": bus.is_open(), "questions": questions, "broken": broken}


def power_w(evse: Evse) -> float | None:
    """What the meter says of power now; from currents where it tells no power."""
    if evse.meter is None:
        return None
    samples = evse.meter.samples
    total = [s.value for s in samples if s.measurand is Measurand.POWER_ACTIVE_IMPORT and s.phase is None]
    if total:
        return round(total[0], 1)
    currents = [s.value for s in samples if s.measurand is Measurand.CURRENT_IMPORT]
    return round(sum(currents) * NOMINAL_V, 1) if currents else None


def current_a(evse: Evse) -> float | None:
    """What the meter sees in the phase that carries most."""
    samples = evse.meter.samples if evse.meter else ()
    currents = [s.value for s in samples if s.measurand is Measurand.CURRENT_IMPORT and s.phase in LINES]
    return round(max(currents), 2) if currents else None


def _file_bytes(path: str) -> int:
    return sum(Path(path + end).stat().st_size for end in ("", "-wal") if Path(path + end).exists())
