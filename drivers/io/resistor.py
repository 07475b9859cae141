"""The cable's rating by its PP resistor (IEC 61851-1 annex B): the resistor in a voltage divider, read in volts. Pure.

    supply -- pull_up_ohm -- PP -- resistor in the plug -- PE

Ranges are wide, as plugs wear: what lies between none of them is no cable that one may trust.
"""

from __future__ import annotations

from typing import NamedTuple

OPEN_OHM = 3000.0
RANGES: tuple[tuple[float, float, float], ...] = (  # from, to, rating
    (80.0, 140.0, 63.0),
    (140.0, 308.0, 32.0),
    (308.0, 936.0, 20.0),
    (936.0, 2460.0, 13.0),
)


class Divider(NamedTuple):
    pull_up_ohm: float
    supply_v: float


def resistance_ohm(volts: float, divider: Divider) -> float:
    """Infinity without a plug; a voltage below nothing is none at all."""
    if volts >= divider.supply_v:
        return float("inf")
    return max(volts, 0.0) * divider.pull_up_ohm / (divider.supply_v - volts)


def rating_a(ohm: float) -> float | None:
    """0 without a plug, None for a resistor that means nothing (a short circuit among them)."""
    if ohm > OPEN_OHM:
        return 0.0
    return next((rating for low, high, rating in RANGES if low <= ohm < high), None)
