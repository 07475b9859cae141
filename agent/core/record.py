"""The agent's values are made as the drivers' are: see `drivers.record`."""

from __future__ import annotations

from drivers.record import as_dict, record, replace

__all__ = ["as_dict", "record", "replace"]
