"""J: Meter values. When to tell a reading, and which of its measurands.

Sampled values follow TxUpdatedInterval from the start of the transaction, clock-aligned ones the full multiples of
their interval since 00:00 UTC. A reading is told once, with the time at which it was read; when the meter has said
nothing new nothing is told. A periodic sample is the first reading from its moment on, told as it comes (so it is
fresh, and wakes nobody but the poll); when none comes within `LATE_S` it is the newest one. What a meter does not tell
in every poll (`wants_all`) is asked for in good time, in periodic samples not more often than every ten seconds.
Readings for the end of the transaction are kept by their own interval, remembered over restarts, and thinned (every
other one, never the first or last) beyond SampledDataCtrlr.MaxMeterValues[TxEnded].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from agent.blocks import snapshot
from agent.blocks.kept import Kept
from agent.blocks.signing import signed_readings
from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.effects import Ask, Effect, Forget, MeterReport, Remember
from agent.core.events import (
    Event,
    MeterRead,
    Restored,
    SampleTaken,
    Tick,
    TransactionBegan,
    VariableChanged,
)
from agent.core.evse import Evse, MeterState, Transaction
from agent.core.types import ClockQuality, Context, Instant, Reading, Trigger
from agent.core.variables import Variables
from drivers.api import Measurand, Sample

KEPT = "ended_samples"  # the table of readings for the end of a transaction
DAY_S = 86400.0
LATE_S = 1.25  # a little more than the usual time between two readings
ASK_S = 1.5  # a poll that begins so long before its moment may bring the reading that is told
ALL_S = 9.5
OFFERED = (Measurand.CURRENT_OFFERED, Measurand.POWER_OFFERED)  # by the station, whatever its meters tell
SOON_S = 0.5  # a full multiple nearer than this is the one just told, by a clock that lags a little


class Sampling(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._vars = facts.variables
        self._deadlines = Deadlines()
        self._told: dict[int, float] = {}  # EVSE -> monotonic time of the reading last told
        self._whole: dict[int, float] = {}  # EVSE -> when the last periodic sample was told that holds all
        self._asked: set[int] = set()  # EVSEs whose next sample does
        self._targets: dict[str, float] = {}  # the next full multiple, in UTC seconds

    def wants_all(self, evse: int, mono: float) -> bool:
        """Whether a poll of this meter that begins now should leave nothing out."""
        late = self._deadlines.get(("update", evse))
        if late is not None and mono >= max(late - LATE_S - ASK_S, self._whole.get(evse, -ALL_S) + ALL_S):
            self._asked.add(evse)
            return True
        others = (self._deadlines.get(name) for name in (("keep", evse), "aligned", "aligned-keep"))
        return any(at is not None and mono >= at - ASK_S for at in others)

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    def derive(self, now: Instant) -> Out:
        for evse in self._facts.evses.values():
            active = evse.tx is not None and evse.tx.stop is None and not evse.tx.restored
            for name, key, late_s in (
                ("update", "SampledDataCtrlr.TxUpdatedInterval", LATE_S),
                ("keep", "SampledDataCtrlr.TxEndedInterval", 0.0),
            ):
                interval_s = self._vars.number(key)
                if active and interval_s and self._vars.flag("SampledDataCtrlr.Enabled"):
                    self._deadlines.keep((name, evse.id), now.mono + interval_s + late_s)
                else:
                    self._deadlines.clear((name, evse.id))
        self._align(now)
        return iter(())

    def _align(self, now: Instant) -> None:
        """The target is a moment of UTC, so a clock that is set meanwhile moves the deadline, not the target."""
        for name, key in (
            ("aligned", "AlignedDataCtrlr.Interval"),
            ("aligned-keep", "AlignedDataCtrlr.TxEndedInterval"),
        ):
            interval_s = self._vars.number(key)
            on = interval_s and self._vars.flag("AlignedDataCtrlr.Enabled") and now.quality > ClockQuality.UNKNOWN
            if not on:
                self._targets.pop(name, None)
                self._deadlines.clear(name)
                continue
            target = self._targets.get(name)
            if target is None or target - now.utc > interval_s + SOON_S:
                target = self._targets[name] = _next_multiple(now.utc + SOON_S, interval_s)
            self._deadlines.set(name, now.mono + target - now.utc)

    def on_changed(self, e: VariableChanged, now: Instant) -> Out:
        """A new interval counts from now on."""
        if e.id.component in ("SampledDataCtrlr", "AlignedDataCtrlr"):
            self._deadlines = Deadlines()
            self._targets.clear()
        return iter(())

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        for name in self._deadlines.due(now.mono):
            if isinstance(name, str):
                self._targets.pop(name, None)
            if name == "aligned":
                yield from self._aligned(now)
            elif name == "aligned-keep":
                for evse in self._facts.evses.values():
                    yield from self._keep(evse, Context.CLOCK, "AlignedDataCtrlr.TxEndedMeasurands", now)
            elif isinstance(name, tuple):
                yield from self._sampled(name[0], self._facts.evses[name[1]], now)

    def _sampled(self, what: str, evse: Evse, now: Instant) -> Iterator[Event | Effect]:
        if what == "update":
            yield from self._updated(evse, now.mono)
            return
        self._deadlines.set((what, evse.id), now.mono + self._vars.number("SampledDataCtrlr.TxEndedInterval"))
        yield from self._keep(evse, Context.PERIODIC, "SampledDataCtrlr.TxEndedMeasurands", now)

    def on_read(self, e: MeterRead, now: Instant) -> Out:
        evse, late = self._facts.evses[e.evse], self._deadlines.get(("update", e.evse))
        believed = evse.meter is not None and evse.meter.at is now
        if late is not None and believed and now.mono >= late - LATE_S:
            yield from self._updated(evse, late)

    def _updated(self, evse: Evse, late: float) -> Iterator[Event | Effect]:
        """Tell the newest reading, as that of the moment `LATE_S` before `late`; the next one is due an interval on."""
        interval_s = self._vars.number("SampledDataCtrlr.TxUpdatedInterval")
        self._deadlines.set(("update", evse.id), late + interval_s)
        reading = self._fresh(evse, Context.PERIODIC, "SampledDataCtrlr.TxUpdatedMeasurands")
        if reading is None:
            return
        self._told[evse.id] = reading.at.mono
        if evse.id in self._asked:
            self._asked.discard(evse.id)
            self._whole[evse.id] = reading.at.mono
        yield SampleTaken(evse.id, reading, Trigger.METER_VALUE_PERIODIC)

    def _fresh(self, evse: Evse, context: Context, key: str) -> Reading | None:
        """The newest reading, unless it has been told before."""
        meter = evse.meter
        if meter is None or meter.at.mono <= self._told.get(evse.id, -1.0):
            return None
        return selected(self._vars, key, Reading(meter.at, context, offered(evse, meter.samples)))

    def _aligned(self, now: Instant) -> Iterator[Event | Effect]:
        busy = any(evse.tx is not None for evse in self._facts.evses.values())
        if busy and self._vars.flag("AlignedDataCtrlr.SendDuringIdle"):
            return
        for evse in self._facts.evses.values():
            if evse.meter is None or now.mono - evse.meter.at.mono > self._vars.number("AlignedDataCtrlr.Interval"):
                continue
            whole = Reading(evse.meter.at, Context.CLOCK, offered(evse, evse.meter.samples))
            reading = selected(self._vars, "AlignedDataCtrlr.Measurands", whole)
            if reading is None:
                continue
            if evse.tx is not None:
                yield SampleTaken(evse.id, reading, Trigger.METER_VALUE_CLOCK)
            else:
                yield Ask(MeterReport(evse.id, (reading,)))

    # --- readings for the end -----------------------------------------------------------------------------------

    def _keep(self, evse: Evse, context: Context, key: str, now: Instant) -> Iterator[Effect]:
        tx = evse.tx
        if tx is None or tx.stop is not None or tx.restored or evse.meter is None:
            return
        reading = selected(self._vars, key, Reading(evse.meter.at, context, offered(evse, evse.meter.samples)))
        if reading is None:
            return
        last = next((kept.at for _number, kept in reversed(tx.kept) if kept.context is context), None)
        if last is not None and last.boot == reading.at.boot and last.mono >= reading.at.mono:
            return
        tx.kept_count += 1
        tx.kept.append((tx.kept_count, reading))
        yield Remember(KEPT, f"{tx.id}/{tx.kept_count}", snapshot.encode_reading(reading))
        most = int(self._vars.number("SampledDataCtrlr.MaxMeterValues[TxEnded]")) - 2  # begin and end come on top
        if len(tx.kept) > most:
            dropped = tx.kept[1:-1:2]
            tx.kept = [item for item in tx.kept if item not in dropped]
            for number, _reading in dropped:
                yield Forget(KEPT, f"{tx.id}/{number}")

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        table = Kept(e, KEPT)
        rows: dict[str, list[tuple[int, Reading]]] = {}
        for tx_id, number, reading in table.rows(_decode).values():
            rows.setdefault(tx_id, []).append((number, reading))
        open_ids = {evse.tx.id: evse.tx for evse in self._facts.evses.values() if evse.tx is not None}
        for tx_id, found in rows.items():
            if tx_id in open_ids:
                tx = open_ids[tx_id]
                tx.kept = sorted(found, key=lambda item: item[0])
                tx.kept_count = tx.kept[-1][0]
            else:
                for left, _reading in found:
                    yield Forget(KEPT, f"{tx_id}/{left}")
        yield from table.forget()

    def on_began(self, e: TransactionBegan, now: Instant) -> Out:
        self._told[e.evse] = now.mono
        return iter(())

    HEARS: ClassVar = {
        MeterRead: "on_read",
        Restored: "on_restored",
        Tick: "on_tick",
        TransactionBegan: "on_began",
        VariableChanged: "on_changed",
    }


def _next_multiple(utc: float, interval_s: float) -> float:
    """Intervals begin at 00:00 each day, also when they do not divide it."""
    midnight = utc - utc % DAY_S
    return min(midnight + ((utc - midnight) // interval_s + 1) * interval_s, midnight + DAY_S)


def offered(evse: Evse, samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """The meter's samples and what only the station knows: the current and power on offer."""
    present = {s.measurand for s in samples}
    power_w = evse.offer_a * 230.0 * evse.phases
    extra = (Sample(Measurand.CURRENT_OFFERED, evse.offer_a), Sample(Measurand.POWER_OFFERED, power_w))
    return samples + tuple(s for s in extra if s.measurand not in present)


def selected(variables: Variables, key: str, reading: Reading | None) -> Reading | None:
    """Only the measurands that the variable `key` lists; None when nothing is left."""
    if reading is None:
        return None
    return _of(variables.members(key), reading)


def _of(measurands: Sequence[str], reading: Reading) -> Reading | None:
    samples = tuple(s for s in reading.samples if s.measurand in measurands)
    return Reading(reading.at, reading.context, samples) if samples else None


def begin_reading(evse: Evse, meter: MeterState) -> Reading:
    """What the meter says as the transaction begins; no energy has flowed since it was read."""
    return Reading(meter.at, Context.BEGIN, offered(evse, meter.samples))


def end_readings(variables: Variables, evse: Evse, tx: Transaction, at: Instant) -> tuple[Reading, ...]:
    """Begin, what was kept on the way, and end: both ends of all that is kept, at intervals or aligned."""
    wanted = variables.members("SampledDataCtrlr.TxEndedMeasurands")
    if variables.number("AlignedDataCtrlr.TxEndedInterval"):
        wanted = (*wanted, *variables.members("AlignedDataCtrlr.TxEndedMeasurands"))
    samples = (
        evse.meter.samples if evse.meter else (Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, float(tx.last_wh)),)
    )
    begin = _of(wanted, tx.begin) if tx.begin else None
    end = _of(wanted, Reading(evse.meter.at if evse.meter else at, Context.END, offered(evse, samples)))
    kept = tuple(reading for _number, reading in tx.kept)
    told = tuple(reading for reading in (begin, *kept, end) if reading is not None)
    return signed_readings(variables, tx, told)


def _decode(key: str, value: Any) -> tuple[str, int, Reading]:
    tx_id, _, number = key.rpartition("/")
    return tx_id, int(number), snapshot.decode_reading(value)
