"""OCPP's words in the words of somebody who has never read it. Tables only."""

from __future__ import annotations

from collections.abc import Mapping

STATUSES_16: Mapping[str, str] = {
    "Available": "free",
    "Preparing": "a driver is here, nothing flows yet",
    "Charging": "charging",
    "SuspendedEV": "power is offered, the car takes none",
    "SuspendedEVSE": "the car wants power, the charger gives none",
    "Finishing": "the charge is over, the car is still here",
    "Reserved": "reserved",
    "Unavailable": "out of service",
    "Faulted": "out of order",
}
STATUSES_201: Mapping[str, str] = {
    "Available": "free",
    "Occupied": "a driver is here",
    "Reserved": "reserved",
    "Unavailable": "out of service",
    "Faulted": "out of order",
}
CHARGING_STATES: Mapping[str, str] = {
    "Charging": "energy may flow: the contactor is closed",
    "EVConnected": "the car is connected",
    "SuspendedEV": "power is offered, the car takes none",
    "SuspendedEVSE": "the car wants power, the charger gives none",
    "Idle": "no car is connected",
}
STOP_REASONS: Mapping[str, str] = {
    "EVDisconnected": "the car was unplugged",
    "Local": "stopped at the charger",
    "Remote": "stopped by the central system",
    "PowerLoss": "the power had failed",
    "Reboot": "the charger was restarted",
    "ImmediateReset": "the charger was reset",
    "SoftReset": "the charger was reset",
    "HardReset": "the charger was reset",
    "DeAuthorized": "the card is not accepted any more",
    "EmergencyStop": "the emergency stop was pressed",
    "Timeout": "no car came",
    "Other": "for another reason",
}
PILOT: Mapping[str, str] = {
    "A": "no car",
    "B": "plugged in, waiting",
    "C": "wants energy",
    "D": "wants energy and ventilation",
    "E": "no pilot signal",
    "F": "controller out of order",
}


def measured(values: Mapping[str, float]) -> str:
    """One reading of the meter, as far as it was sent."""
    parts = []
    if (power_w := values.get("Power.Active.Import")) is not None:
        parts.append(f"{power_w / 1000:.1f} kW")
    if (offered_a := values.get("Current.Offered")) is not None:
        parts.append(f"{offered_a:g} A offered")
    if (energy_wh := values.get("Energy.Active.Import.Register")) is not None:
        parts.append(f"meter at {energy_wh / 1000:.3f} kWh")
    return ", ".join(parts) or "nothing measured"
