"""The fault catalogue: one row for everything that can be wrong with the hardware or the station itself.

`stops`: power is withheld while it stands. `ends`: the transaction is ended for it, with this reason. The words are for
the technician who reads `chargepoint status` or the journal; each protocol version has its own codes in its tables.
"""

from __future__ import annotations

from agent.core.record import record
from agent.core.types import StopReason
from drivers.api import Fault


@record
class FaultRow:
    id: str
    stops: bool
    text: str
    remedy: str
    ends: StopReason | None = None


CONTROLLER_SILENT = "controller-silent"
STORAGE = "storage"

ROWS: tuple[FaultRow, ...] = (
    FaultRow(
        Fault.OTHER, True, "the controller reports a fault of its own", "look the code up in the controller's manual"
    ),
    FaultRow(
        Fault.DIODE,
        True,
        "the car's pilot circuit has no diode",
        "try another car or cable; else check the pilot wiring",
    ),
    FaultRow(
        Fault.GROUND,
        True,
        "residual current or earth fault",
        "do not touch; check the earth and the residual-current device, then reset it",
        StopReason.GROUND_FAULT,
    ),
    FaultRow(Fault.LOCK_FAILURE, True, "the connector lock did not close", "check the plug's seat and the lock motor"),
    FaultRow(
        Fault.UNLOCK_FAILURE,
        False,
        "the connector lock did not open",
        "relieve the plug and try again; else use the emergency release",
    ),
    FaultRow(
        Fault.METER,
        True,
        "the energy meter does not answer or its values cannot be right",
        "check the meter's bus wiring, unit id and baud rate",
    ),
    FaultRow(
        Fault.CONTACTOR,
        True,
        "the contactor does not do what it was told (welded or not closing)",
        "switch off the supply; replace the contactor",
    ),
    FaultRow(Fault.OVER_TEMPERATURE, True, "too hot", "let it cool; check the fan and the terminals"),
    FaultRow(Fault.UNDER_VOLTAGE, True, "the supply voltage is too low", "check the supply and its terminals"),
    FaultRow(Fault.OVER_VOLTAGE, True, "the supply voltage is too high", "check the supply and the neutral conductor"),
    FaultRow(
        Fault.OVER_CURRENT,
        True,
        "the car draws more than it was offered",
        "try another car; check the meter's phase wiring",
        StopReason.OVERCURRENT_FAULT,
    ),
    FaultRow(Fault.RFID_READER, False, "the card reader does not answer", "check the reader's cable and port"),
    FaultRow(
        Fault.INTERNAL,
        True,
        "the controller reports an internal fault",
        "restart the charger; if it comes again, replace the controller",
    ),
    FaultRow(
        Fault.PILOT,
        True,
        "the control pilot is in an error state (E or F), or in one that the map does not name",
        "try another car or cable; then the pilot wiring, and whether the map fits the controller",
    ),
    FaultRow(
        Fault.VENTILATION,
        True,
        "the car asks for ventilation and there is none",
        "charge this car outdoors or fit a fan",
    ),
    FaultRow(Fault.CABLE, True, "the cable's rating cannot be read", "reseat the plug; try another cable"),
    FaultRow(
        CONTROLLER_SILENT,
        True,
        "the EVSE controller does not answer",
        "check its supply, bus wiring, unit id and baud rate",
    ),
    FaultRow(
        STORAGE,
        False,
        "the storage is full or cannot be written",
        "restore the link so that it drains, free space, or replace the storage",
    ),
)
CATALOGUE: dict[str, FaultRow] = {str(row.id): row for row in ROWS}
