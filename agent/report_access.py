"""What the running agent tells of its local list and of what is reserved: two parts of the answer to `chargepoint
status`. Of a card four characters are shown.
"""

from __future__ import annotations

from typing import Any

from agent.blocks.local_list import LocalList
from agent.blocks.reservation import Reservations
from agent.blocks.station import Station
from agent.core.types import Instant
from drivers.api import shorten


def local_list(station: Station) -> dict[str, Any]:
    block = next(block for block in station.blocks if isinstance(block, LocalList))
    return {"enabled": block.enabled, "version": block.version, "entries": len(block)}


def reservations(station: Station, now: Instant) -> list[dict[str, Any]]:
    block = next(block for block in station.blocks if isinstance(block, Reservations))
    return [
        {"id": kept.id, "evse": kept.evse or None, "token": shorten(kept.token.value), "left_s": left_s}
        for kept, left_s in block.left(now)
    ]
