"""The fault catalogue: one row for everything that can be wrong with the hardware or the station itself.

`stops`: power is withheld while it stands. `ends`: the transaction is ended for it, with this reason. `text` is said
when it comes, `cleared` when it goes, `remedy` to the technician who reads `chargepoint status` or the journal.
`severity` is OCPP's number, less is worse. `tells` is the variable of the device model that is true while it stands,
`mrec` the code of the minimum required error codes (CharIN, ChargeX), where there is one. Each protocol version has
words of its own in its tables. `etc/FAULTS.md` is written from these rows (`python -m tests.core.fault_page` does it).

When it goes: at once when nobody says so any more; with `hold_s` only when nobody has for so long (`NEVER`: not before
a restart, that is, after somebody has looked); with `until_unplugged` not before the car has left. For `rest_s` after
that the same car is offered no power (IEC 61851-1: a pilot that has failed comes back by F and B, and not at once).
What comes and goes with the load would else switch the contactor with each poll; the loss of a device takes its time.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from math import inf

from agent.core.record import record
from agent.core.types import StopReason
from drivers.api import Fault

NEVER = inf
AFTER_FAULT_S = 30.0  # what was wrong may be so again as soon as power flows: a voltage that falls under load


class Severity(IntEnum):
    """OCPP 2 part 1: how bad an event is."""

    DANGER = 0  # lives may be in danger
    HARDWARE = 1  # it cannot go on, for its hardware has failed
    SYSTEM = 2  # it cannot go on, for something else of it has failed
    CRITICAL = 3
    ERROR = 4
    ALERT = 5
    WARNING = 6


class Own(StrEnum):
    """What no hardware reports of itself: the agent concludes it."""

    CONTROLLER_SILENT = "controller-silent"
    CONTACTOR_WELDED = "contactor-welded"
    CONTACTOR_OPEN = "contactor-open"
    METER_IMPLAUSIBLE = "meter-implausible"
    METER_REPLACED = "meter-replaced"
    METER_SIGNING = "meter-signing"
    METER_UNSIGNED = "meter-unsigned"
    PHASES = "phases"
    STORAGE = "storage"


CONTROLLER_SILENT, STORAGE = str(Own.CONTROLLER_SILENT), str(Own.STORAGE)


@record
class FaultRow:
    id: str
    stops: bool
    text: str
    remedy: str
    ends: StopReason | None = None
    cleared: str = ""  # "": the text is no longer true, and nothing better can be said
    severity: Severity = Severity.ERROR
    tells: tuple[str, str] = ("EVSE", "Problem")
    mrec: str = ""
    alarm: str = ""  # the security event that it is
    hold_s: float = 0.0
    until_unplugged: bool = False
    rest_s: float = 0.0


ROWS: tuple[FaultRow, ...] = (
    FaultRow(
        Fault.OTHER,
        True,
        "the controller reports a fault of its own",
        "look the code up in the controller's manual",
        cleared="the controller no longer reports a fault of its own",
        rest_s=AFTER_FAULT_S,
    ),
    FaultRow(
        Fault.DIODE,
        True,
        "the car's pilot circuit has no diode",
        "try another car or cable; else check the pilot wiring",
        cleared="the car without a diode has left",
        tells=("CPPWMController", "Problem"),
        mrec="CX014",
        until_unplugged=True,  # it shows only while the pilot swings: without power it seems to be gone
    ),
    FaultRow(
        Fault.GROUND,
        True,
        "residual current or earth fault",
        "do not touch; check the earth and the residual-current device, then reset it",
        StopReason.GROUND_FAULT,
        cleared="no residual current and no earth fault any more",
        severity=Severity.DANGER,
        tells=("RCD", "Tripped"),
        mrec="CX002",
        rest_s=AFTER_FAULT_S,
    ),
    FaultRow(
        Fault.DC_RESIDUAL,
        True,
        "residual direct current (more than 6 mA, IEC 62955)",
        "do not use this car here before it was looked at; try another one; test the direct-current sensor",
        StopReason.GROUND_FAULT,
        cleared="no residual direct current any more",
        severity=Severity.DANGER,
        tells=("RCD", "Tripped"),
        mrec="CX002",
        rest_s=AFTER_FAULT_S,
    ),
    FaultRow(
        Fault.EMERGENCY_STOP,
        True,
        "the emergency stop is pressed",
        "see why; release it when it is safe",
        StopReason.EMERGENCY_STOP,
        cleared="the emergency stop is released",
        severity=Severity.CRITICAL,
        tells=("EmergencyStopSensor", "Active"),
        mrec="CX007",
    ),
    FaultRow(
        Fault.LOCK_FAILURE,
        True,
        "the connector lock did not close",
        "check the plug's seat and the lock motor",
        cleared="the connector lock closes again",
        tells=("ConnectorPlugRetentionLock", "Problem"),
        mrec="CX001",
        rest_s=AFTER_FAULT_S,
    ),
    FaultRow(
        Fault.UNLOCK_FAILURE,
        False,
        "the connector lock did not open",
        "relieve the plug and try again; else use the emergency release",
        cleared="the connector lock opens again",
        severity=Severity.ALERT,
        tells=("ConnectorPlugRetentionLock", "Problem"),
        mrec="CX001",
    ),
    FaultRow(
        Fault.METER,
        True,
        "the energy meter does not answer or its values cannot be right",
        "check the meter's bus wiring, unit id and baud rate",
        cleared="the energy meter answers again",
        severity=Severity.SYSTEM,
        tells=("FiscalMetering", "Problem"),
    ),
    FaultRow(
        Own.METER_IMPLAUSIBLE,
        False,
        "the energy meter contradicts itself",
        "check the phase wiring, the current transformers and the register map of the meter",
        cleared="the energy meter's values fit together again",
        severity=Severity.WARNING,
        tells=("FiscalMetering", "Problem"),
    ),
    FaultRow(
        Own.METER_REPLACED,
        False,
        "the energy meter is another one than before",
        "a transaction that was open ended with the old meter's last value; make sure that the exchange is on record; "
        "was there none, see whether the current flows through the meter the right way round",
        cleared="the energy meter was exchanged more than a day ago",
        severity=Severity.WARNING,
        tells=("FiscalMetering", "Problem"),
        hold_s=86_400.0,
    ),
    FaultRow(
        Own.METER_SIGNING,
        True,
        "the energy meter does not sign, and signing is required",
        "check the meter, its clock and how it is set up; or set [evse.meter] signing to if-possible",
        cleared="the energy meter can sign",
        severity=Severity.SYSTEM,
        tells=("FiscalMetering", "Problem"),
    ),
    FaultRow(
        Own.METER_UNSIGNED,
        False,
        "the energy meter does not sign",
        "check the meter, its clock and how it is set up",
        cleared="the energy meter signs again",
        severity=Severity.WARNING,
        tells=("FiscalMetering", "Problem"),
    ),
    FaultRow(
        Fault.CONTACTOR,
        True,
        "the contactor does not do what it was told (welded or not closing)",
        "switch off the supply; replace the contactor",
        cleared="the contactor does what it is told",
        severity=Severity.HARDWARE,
        tells=("PowerContactor", "Problem"),
        mrec="CX017",
        rest_s=AFTER_FAULT_S,
    ),
    FaultRow(
        Own.CONTACTOR_WELDED,
        True,
        "there is power at the outlet although none is offered: the contactor is welded",
        "do not touch; switch off the supply and replace the contactor; the agent looks again after a restart",
        cleared="the contactor opens",
        severity=Severity.DANGER,
        tells=("PowerContactor", "Problem"),
        mrec="CX017",
        hold_s=NEVER,
    ),
    FaultRow(
        Own.CONTACTOR_OPEN,
        True,
        "the car asks for power and is offered it, and the contactor does not close",
        "unplug and try once more; else check the contactor, its coil and its auxiliary contact",
        cleared="the car has left; the contactor gets another try with the next one",
        severity=Severity.HARDWARE,
        tells=("PowerContactor", "Problem"),
        mrec="CX017",
        until_unplugged=True,
    ),
    FaultRow(
        Own.PHASES,
        False,
        "the phases cannot be switched",
        "check the second contactor and its wiring, or take [evse.phase_switching] out of the configuration",
        cleared="the phases can be switched again",
        severity=Severity.WARNING,
        tells=("PowerContactor", "Problem"),
        mrec="CX017",
    ),
    FaultRow(
        Fault.OVER_TEMPERATURE,
        True,
        "too hot",
        "let it cool; check the fan and the terminals",
        cleared="it has cooled down",
        severity=Severity.CRITICAL,
        mrec="CX003",
        rest_s=AFTER_FAULT_S,
    ),
    FaultRow(
        Fault.UNDER_VOLTAGE,
        True,
        "the supply voltage is too low",
        "check the supply and its terminals",
        cleared="the supply voltage is high enough again",
        severity=Severity.ALERT,
        tells=("ElectricalFeed", "Problem"),
        mrec="CX006",
        rest_s=AFTER_FAULT_S,
    ),
    FaultRow(
        Fault.OVER_VOLTAGE,
        True,
        "the supply voltage is too high",
        "check the supply and the neutral conductor",
        cleared="the supply voltage is low enough again",
        severity=Severity.CRITICAL,
        tells=("ElectricalFeed", "Problem"),
        mrec="CX005",
        rest_s=AFTER_FAULT_S,
    ),
    FaultRow(
        Fault.OVER_CURRENT,
        True,
        "the car draws more than it was offered",
        "try another car; check the meter's phase wiring",
        StopReason.OVERCURRENT_FAULT,
        cleared="the car draws no more than it is offered",
        severity=Severity.CRITICAL,
        tells=("OverCurrentProtection", "Tripped"),
        mrec="CX004",
        hold_s=30.0,  # a car that does it again and again shall not switch the contactor each time
    ),
    FaultRow(
        Fault.COVER,
        False,
        "the door or cover of the charger is open",
        "see who has opened it and whether anything was changed; then close it",
        cleared="the door or cover of the charger is closed again",
        severity=Severity.ALERT,
        tells=("CaseAccessSensor", "Tripped"),
        alarm="TamperDetectionActivated",
        hold_s=60.0,  # a door that rattles is one alarm
    ),
    FaultRow(
        Fault.RFID_READER,
        False,
        "the card reader does not answer",
        "check the reader's cable and port",
        cleared="the card reader answers again",
        severity=Severity.ALERT,
        tells=("TokenReader", "Problem"),
    ),
    FaultRow(
        Fault.INTERNAL,
        True,
        "the controller reports an internal fault",
        "restart the charger; if it comes again, replace the controller",
        cleared="the controller no longer reports an internal fault",
        severity=Severity.HARDWARE,
        tells=("Controller", "Problem"),
        rest_s=AFTER_FAULT_S,
    ),
    FaultRow(
        Fault.PILOT,
        True,
        "the control pilot is in an error state (E or F), or in one that the map does not name",
        "try another car or cable; then the pilot wiring, and whether the map fits the controller",
        cleared="the control pilot is in order",
        tells=("CPPWMController", "Problem"),
        mrec="CX014",
        rest_s=AFTER_FAULT_S,
    ),
    FaultRow(
        Fault.VENTILATION,
        True,
        "the car asks for ventilation and there is none",
        "charge this car outdoors or fit a fan",
        cleared="the car no longer asks for ventilation",
        tells=("AreaVentilation", "Problem"),
        mrec="CX010",  # an invalid vehicle mode
        rest_s=AFTER_FAULT_S,
    ),
    FaultRow(
        Fault.CABLE,
        True,
        "the cable's rating cannot be read",
        "reseat the plug; try another cable",
        cleared="the cable's rating can be read",
        tells=("Connector", "Problem"),
        mrec="CX023",
        rest_s=AFTER_FAULT_S,
    ),
    FaultRow(
        Own.CONTROLLER_SILENT,
        True,
        "the EVSE controller does not answer",
        "check its supply, bus wiring, unit id and baud rate",
        cleared="the EVSE controller answers again",
        severity=Severity.SYSTEM,
        tells=("Controller", "Problem"),
    ),
    FaultRow(
        Own.STORAGE,
        False,
        "the storage is full or cannot be written",
        "restore the link so that it drains, free space, or replace the storage",
        cleared="the storage can be written again",
        severity=Severity.CRITICAL,
        tells=("ChargingStation", "Problem"),
    ),
)
CATALOGUE: dict[str, FaultRow] = {str(row.id): row for row in ROWS}
