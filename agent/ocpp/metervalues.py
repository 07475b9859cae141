"""Readings as MeterValue elements: the same shape in every version, but for how a value and its unit are written.

A value is sent as it was read, at the time it was read; a sample that a version has no word for, or that is no number,
is left out, and so is a reading of which nothing is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agent.core.types import Reading
from agent.ocpp.fields import stamp
from drivers.api import Measurand, Sample

Write = Callable[[Sample], dict[str, Any]]
_ABSURD = 1e15  # no meter counts so far, and not every JSON reader does
_LOCATIONS: Mapping[Measurand, str] = {Measurand.SOC: "EV"}


def meter_values(readings: Iterable[Reading], unknown: frozenset[Measurand], write: Write) -> list[dict[str, Any]]:
    """`write` gives the value and its unit; `unknown` are the measurands that the version lacks."""
    told = ((reading, _sampled(reading, unknown, write)) for reading in readings)
    return [{"timestamp": stamp(reading.at), "sampledValue": values} for reading, values in told if values]


def _sampled(reading: Reading, unknown: frozenset[Measurand], write: Write) -> list[dict[str, Any]]:
    context = str(reading.context)
    return [
        _one(sample, context, write)
        for sample in reading.samples
        if sample.measurand not in unknown and -_ABSURD < sample.value < _ABSURD  # NaN is in no range
    ]


def _one(sample: Sample, context: str, write: Write) -> dict[str, Any]:
    value = write(sample)
    value["context"] = context
    value["measurand"] = str(sample.measurand)
    value["location"] = _LOCATIONS.get(sample.measurand, "Outlet")
    if sample.phase is not None:
        value["phase"] = str(sample.phase)
    return value
