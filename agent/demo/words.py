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
    "EVDisconnected": "car unplugged",
    "Local": "stopped here",
    "Remote": "stopped from afar",
    "PowerLoss": "power failed",
    "Reboot": "charger restarted",
    "ImmediateReset": "charger reset",
    "SoftReset": "charger reset",
    "HardReset": "charger reset",
    "DeAuthorized": "card not accepted",
    "EmergencyStop": "emergency stop",
    "Timeout": "no car came",
    "Other": "other reason",
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
        parts.append(f"offer {offered_a:g} A")
    if (energy_wh := values.get("Energy.Active.Import.Register")) is not None:
        parts.append(f"meter {energy_wh / 1000:.3f} kWh")
    return ", ".join(parts) or "nothing measured"


# Security events in words; who reads the demo need not know OCPP's names for them.
_SECURITY = {
    "StartupOfTheDevice": "I have started",
    "ResetOrReboot": "I am about to stop",
    "SettingSystemTime": "my clock was set",
}


def security_event(kind: str) -> str:
    """What a SecurityEventNotification says."""
    return "for the security log: " + _SECURITY.get(kind, kind)
