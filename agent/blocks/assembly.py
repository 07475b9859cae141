"""The station put together: its facts, its device model, and its blocks in the order in which they hear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from agent.blocks.authorization import Authorization
from agent.blocks.availability import Availability
from agent.blocks.certificates import Certificates
from agent.blocks.connection import Connection
from agent.blocks.data_transfer import DataTransfer
from agent.blocks.diagnostics import Diagnostics
from agent.blocks.firmware import Firmware
from agent.blocks.heat import Heat
from agent.blocks.history import History
from agent.blocks.holds import Holds
from agent.blocks.local_list import LocalList
from agent.blocks.logbook import Logbook
from agent.blocks.meter_memory import MeterMemory
from agent.blocks.metering import Metering
from agent.blocks.network import Network
from agent.blocks.plausibility import Plausibility
from agent.blocks.power import Power
from agent.blocks.problems import Problems
from agent.blocks.profiles import Profiles
from agent.blocks.provisioning import Provisioning
from agent.blocks.remote_control import Answerer, RemoteControl
from agent.blocks.reports import Reports
from agent.blocks.reservation import Reservations
from agent.blocks.sampling import Sampling
from agent.blocks.security import Security
from agent.blocks.signing import Signing
from agent.blocks.station import Block, Facts, Station
from agent.blocks.storage import Storage
from agent.blocks.supervision import Supervision
from agent.blocks.technician import Handler, Technician
from agent.blocks.transactions import Transactions
from agent.blocks.writers import Writers
from agent.core.catalogue import rows
from agent.core.evse import Evse, EvseLimits, connector_status
from agent.core.firmware import UpdatePolicy
from agent.core.network import Links
from agent.core.requests import AvailabilityRequested, Request, UnlockRequested, VariablesSetRequested
from agent.core.types import ConnectorStatus, Instant
from agent.core.variables import Variables

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253402300799.0  # the end of the year 9999
_FOLDED = {
    ConnectorStatus.AVAILABLE: "Available",
    ConnectorStatus.RESERVED: "Reserved",
    ConnectorStatus.UNAVAILABLE: "Unavailable",
    ConnectorStatus.FAULTED: "Faulted",
}


def assemble(
    evses: Sequence[EvseLimits],
    *,
    prefix: str,
    resume: str = "if-still-plugged",
    station_max_a: float | None = None,
    about: Mapping[str, str] | None = None,
    links: Links | None = None,
    updates: UpdatePolicy | None = None,
    silent_s: float = 10.0,
) -> Station:
    """`about`: values of read-only variables that only the manufacturer knows (model, identity, connector types).
    `updates`: what it can do with firmware; None: nothing. `silent_s`: a controller counts as lost after it."""
    variables = _variables(evses)
    facts = Facts([Evse(limits) for limits in evses], variables, station_max_a)
    _describe(facts, dict(about or {}))
    profiles = Profiles(facts)
    firmware = Firmware(facts, updates)
    memory = MeterMemory(facts)
    holds, local_list = Holds(facts.evses), LocalList(facts)
    authorization = Authorization(facts, holds, local_list.lookup)
    variables.compute("LocalAuthListCtrlr.Entries", lambda _now: str(len(local_list)))
    security, certificates = Security(facts, prefix), Certificates(facts)
    diagnostics = Diagnostics(facts, security.lines)
    # by TriggerRequested.message: answers of blocks other than remote control
    triggers: dict[str, Answerer] = {"Firmware": firmware.asked, "SignedFirmware": firmware.asked_signed}
    triggers |= {"Diagnostics": diagnostics.asked, "Log": diagnostics.asked_log}
    triggers |= {"SignCertificate": certificates.asked}
    provisioning, availability = Provisioning(facts), Availability(facts)
    remote = RemoteControl(facts, profiles.refuses_start, triggers, authorization.waiting.open_to)
    # a technician's orders are decided as those of the CSMS are
    orders: dict[type[Request], Handler] = {UnlockRequested: remote.on_unlock}
    orders |= {AvailabilityRequested: availability.on_request, VariablesSetRequested: provisioning.on_set}
    blocks: list[Block] = [
        firmware,  # before availability, which takes EVSEs out of service for it
        Connection(facts),
        memory,
        Metering(facts, memory.knows),
        Supervision(facts, silent_s),
        Plausibility(facts),
        Heat(facts),
        Storage(facts),
        provisioning,
        Network(facts, links or Links(), prefix),
        local_list,
        authorization,
        Reservations(facts, holds, authorization.waiting.strangers),
        profiles,
        *_phases(facts),  # between profiles, which want so many, and power, which must wait
        Signing(facts),  # before power and transactions, which wait for it
        Power(facts),  # before transactions: what they tell of the charging state follows the offer
        *_waking(facts),
        Transactions(facts, prefix, resume),
        Sampling(facts),
        availability,
        Problems(facts),
        remote,
        Technician(facts, orders),
        Reports(facts),
        certificates,
        security,
        diagnostics,  # after security, whose log it may have to send at once
        DataTransfer(),
        Writers(),
        History(),
        Logbook(),
    ]
    return Station(facts, blocks)


def _phases(facts: Facts) -> list[Block]:
    """Few chargers can; the others need not load it."""
    if all(evse.limits.switching is None for evse in facts.evses.values()):
        return []
    from agent.blocks.phases import Phases

    return [Phases(facts)]


def _waking(facts: Facts) -> list[Block]:
    if all(evse.limits.wake_up is None for evse in facts.evses.values()):
        return []
    from agent.blocks.waking import Waking

    return [Waking(facts)]


def _variables(evses: Sequence[EvseLimits]) -> Variables:
    """The device model of this hardware."""
    unlocks = any(limits.unlocks and not limits.attached_cable for limits in evses)
    signing = [limits.id for limits in evses if limits.signs and limits.signing != "off"]
    wired = [f"{limits.id}.{limits.phase_rotation}" for limits in evses if limits.phase_rotation != "Unknown"]
    wiring = ",".join(["0.Unknown", *wired])
    switches = any(limits.switching is not None for limits in evses)
    return Variables(rows([limits.id for limits in evses], unlocks, signing, wiring, switches))


def _describe(facts: Facts, about: Mapping[str, str]) -> None:
    variables = facts.variables
    for key, value in about.items():
        variables.compute(key, lambda _now, value=value: value)  # type: ignore[misc]
    variables.compute("ClockCtrlr.DateTime", _timestamp)
    for evse in facts.evses.values():
        variables.compute(f"EVSE@{evse.id}.AvailabilityState", lambda _now, evse=evse: _state(evse))  # type: ignore[misc]
        variables.compute(f"Connector@{evse.id}/1.AvailabilityState", lambda _now, evse=evse: _state(evse))  # type: ignore[misc]
        for key in (f"EVSE@{evse.id}.SupplyPhases", f"Connector@{evse.id}/1.SupplyPhases"):
            variables.compute(key, lambda _now, evse=evse: str(evse.limits.phases))  # type: ignore[misc]
        if len(evse.limits.phase_rotation) == len("RST"):
            key = f"Connector@{evse.id}/1.PhaseRotation"
            variables.compute(key, lambda _now, evse=evse: _rotation(evse, variables))  # type: ignore[misc]
        power_w = evse.limits.max_a * evse.limits.phases * 230
        variables.compute(f"EVSE@{evse.id}.Power", lambda _now, power_w=power_w: f"{power_w:.0f}")  # type: ignore[misc]


def _rotation(evse: Evse, variables: Variables) -> str:
    """Which of the supply's phases each of its own is; "x" for what is not connected. The CSMS may have said otherwise
    than the configuration."""
    told = dict(part.split(".", 1) for part in variables.members("ChargingStation.ConnectorPhaseRotation"))
    word = told.get(str(evse.id), "")
    letters = word if len(word) == len("RST") else evse.limits.phase_rotation
    return letters[: evse.limits.phases].ljust(3, "x")


def _state(evse: Evse) -> str:
    return _FOLDED.get(connector_status(evse), "Occupied")


def _timestamp(now: Instant) -> str:
    """RFC 3339 in UTC with milliseconds. By timedelta: a 32-bit time_t would end in 2038."""
    return (_EPOCH + timedelta(seconds=min(max(now.utc, 0.0), _LATEST))).isoformat(timespec="milliseconds")[:-6] + "Z"
