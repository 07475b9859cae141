"""Charging profiles in neutral words (OCPP smart charging). Times are UTC epoch seconds; limits in A or W by `unit`."""

from __future__ import annotations

from enum import StrEnum

from agent.core.record import record


class Purpose(StrEnum):
    """STATION_MAX is ChargePointMaxProfile in the older words."""

    STATION_EXTERNAL = "ChargingStationExternalConstraints"
    STATION_MAX = "ChargingStationMaxProfile"
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"


class Kind(StrEnum):
    ABSOLUTE = "Absolute"
    RECURRING = "Recurring"
    RELATIVE = "Relative"


class Recurrency(StrEnum):
    DAILY = "Daily"
    WEEKLY = "Weekly"


@record
class Period:
    """`phases` None: as many as there are (3 on AC). `phase`: which one, where a single one is to be used."""

    start_s: int
    limit: float
    phases: int | None = None
    phase: int | None = None


@record
class Profile:
    """One installed profile. `start`: of the schedule, None = when it was received or when the transaction began.
    `transaction`: our id or the CSMS's, for a TxProfile that names one."""

    id: int
    stack_level: int
    purpose: Purpose
    kind: Kind
    unit: str
    periods: tuple[Period, ...]
    recurrency: Recurrency | None = None
    start: float | None = None
    duration_s: int | None = None
    valid_from: float | None = None
    valid_to: float | None = None
    minimum_rate: float | None = None
    transaction: str | None = None
