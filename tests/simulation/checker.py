"""The invariants: what must be true at every step of every run, whatever goes wrong. Each is one method.

Beside the agent stands the truth: the simulated meter's register, the contactor, the cable, and what the central system
has booked. The checker compares; it never asks the agent what it thinks of itself, but for the facts that its own
safety rules are about.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from agent.blocks.snapshot import OPEN
from agent.core.effects import Effect, Record, Remember
from agent.core.evse import Evse
from agent.core.faults import Own
from agent.core.types import TransactionEvent, TxKind
from drivers.api import Fault, Measurand, Sample
from tests.simulation.books import Bill, Books
from tests.simulation.limits import Limits
from tests.simulation.plan import Plan
from tests.simulation.promises import Promises

LEAST_A = 6.0
STEPS_MAX = 300
QUEUED_MAX = 400
STOP_S = 45.0  # an offer withdrawn -> the contactor is open: polls, a bus that repeats, 6 s of the controller's own
WATCHDOG_S = 60.0
SOON_S = 0.005  # from the answer of a meter to the step that hears of it: every turn of the loop takes its time
READ_S = 8.0  # how long one read of a meter may take with all its repeats
SILENT_S = 60.0  # the stated wait for a silent meter at the end of a transaction
ROUND_WH = 1.2  # two roundings to whole watt-hours, and the resolution of a float32 register
COARSE, COARSE_WH = "carlo_gavazzi_em340", 101.0  # its register counts tenths of a kilowatt-hour
LOST_WH_MAX = 1500.0
EARLY_WH = 15.0  # what flows until a meter tells that energy flows, and until an agent that was killed then is back
_ENERGY = Measurand.ENERGY_ACTIVE_IMPORT_REGISTER
LATELY_S = 4 * 3600.0  # a car without a diode, or before a contactor that does not close, may stay for long
STUCK = "stuck"  # a contactor that does not close; no controller has a word for it
_OWN_WORD = (Fault.GROUND, Fault.OVER_TEMPERATURE, Fault.OVER_CURRENT, Fault.DIODE, Fault.INTERNAL, Fault.CONTACTOR)
CAUSES: dict[str, str] = {  # faults that may be found only where this was planted
    **{str(fault): str(fault) for fault in _OWN_WORD},
    str(Own.CONTACTOR_WELDED): str(Fault.CONTACTOR),
    str(Own.CONTACTOR_OPEN): STUCK,
    str(Own.METER_IMPLAUSIBLE): "",  # but see `silent_at`
    str(Own.METER_REPLACED): "",
}


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass(slots=True)
class Totals:
    """What a run was made of."""

    days: float = 0.0
    transactions: int = 0
    wh: float = 0.0
    cuts: int = 0
    kills: int = 0
    restarts: int = 0
    faults: int = 0
    frames: int = 0
    repeats: int = 0
    dead: int = 0
    excused: int = 0
    excused_wh: float = 0.0
    installed: int = 0
    lists: int = 0
    reserved: int = 0
    notices: int = 0
    uploads: int = 0
    moved: int = 0
    returned: int = 0

    def add(self, other: Totals) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Tale:
    """One transaction as the agent has committed it."""

    evse: int
    events: list[TransactionEvent] = field(default_factory=list)
    stored_wh: float = 0.0  # the register that is on disk

    @property
    def ended(self) -> bool:
        return self.events[-1].kind is TxKind.ENDED


class Checker:
    """`now` is the true time in seconds; `register_wh(evse)` the true register."""

    def __init__(self, plan: Plan, now: Callable[[], float], register_wh: Callable[[int], float]) -> None:
        self.plan = plan
        self.totals = Totals()
        self.broken: list[str] = []
        self.limits = Limits(plan, self.complain)
        self.promises: Promises  # the scene makes them
        self._now, self._register_wh = now, register_wh
        self.books = Books(self.complain)
        self.tales: dict[str, Tale] = {}
        self.reads: dict[int, list[tuple[float, float]]] = {}  # EVSE -> (time, register) of each successful read
        self.boots: dict[str, float] = {}  # boot -> true time of its mono 0
        self.unsafe_since: dict[int, float] = {}
        self.mute: dict[int, list[tuple[float, float]]] = {}  # times in which a meter lied or was silent
        self.first_wh: dict[int, float] = {}
        self.leaps: dict[int, list[tuple[float, float]]] = {}  # time, how far the register was moved by hand
        self.gone_wh: dict[int, float] = {}  # what the old meters of an EVSE had counted that no disk had
        self.killed: dict[int, list[float]] = {}  # when, while energy flowed for no transaction that is on disk
        self._second, self._steps = 0, 0
        self.planted: dict[tuple[int, str], float] = {}  # EVSE and fault -> until when, `inf` while it is there
        self.names: dict[str, str] = {}  # our name of a transaction -> the CSMS's

    def complain(self, why: str) -> None:
        self.broken.append(f"at {self._now():.3f} s: {why}")

    # --- hardware: power only where it may be ---------------------------------------------------------------------

    def settled(self, evses: Sequence[Evse]) -> None:
        """After every step of the station."""
        for evse in evses:
            if evse.offer_a > 0:
                self._may_offer(evse)
            if evse.faults:
                self._no_false_alarm(evse)
        total_a = sum(evse.offer_a for evse in evses)
        if self.plan.station_max_a is not None and total_a > self.plan.station_max_a + 0.01:
            self.complain(f"{total_a:g} A on offer, the supply has {self.plan.station_max_a:g} A")

    def plant(self, evse: int, fault: str, present: bool) -> None:
        self.planted[evse, fault] = inf if present else self._now()

    def _no_false_alarm(self, evse: Evse) -> None:
        """Every fault that is found has its cause, or had it until lately."""
        for fault in evse.faults:
            if fault in CAUSES and not self._has_cause(evse.id, fault):
                self.complain(f"EVSE {evse.id}: {fault} ({evse.faults[fault]}) is a false alarm")

    def _has_cause(self, evse: int, fault: str) -> bool:
        if fault == Own.METER_IMPLAUSIBLE:
            return self.silent_at(evse, self._now())
        if fault == Own.METER_REPLACED:
            return bool(self.leaps.get(evse)) or self.silent_at(evse, self._now())
        until = self.planted.get((evse, CAUSES[fault]), -inf)
        lately_s = inf if fault == Own.CONTACTOR_WELDED and until > -inf else LATELY_S
        return until + lately_s > self._now()

    def step(self, event: object) -> None:
        """An agent that spins would heat the processor for ever, and a simulation would never end."""
        second = int(self._now())
        if second != self._second:
            self._second, self._steps = second, 0
        self._steps += 1
        if self._steps == STEPS_MAX:
            self.complain(f"more than {STEPS_MAX} steps in one second, the last one for {event}"[:300])
        if self._steps > 2 * STEPS_MAX:
            raise Broken("the agent spins")

    def _may_offer(self, evse: Evse) -> None:
        tx, least_a = evse.tx, [evse.limits.max_a]
        if evse.cable_a is not None and not evse.limits.attached_cable:
            least_a.append(evse.cable_a)
        points = self.plan.variables.get("TxCtrlr.TxStartPoint", "")
        checks = (
            (evse.grant is None, "nobody is authorized"),
            (tx is None and (points != "EnergyTransfer" or self.plan.version == "1.6"), "no transaction is open"),
            (tx is not None and (tx.stop is not None or tx.withheld or tx.restored), "the transaction may not charge"),
            (str(evse.pilot) not in "BCD", f"the pilot is {evse.pilot}"),
            (not evse.operative, "it is out of service"),
            (evse.stopped_by_fault, f"there is a fault: {evse.faults}"),
            (not LEAST_A <= evse.offer_a <= min(least_a) + 0.01, f"limits are {least_a}"),
        )
        for wrong, why in checks:
            if wrong:
                self.complain(f"EVSE {evse.id} offers {evse.offer_a:g} A although {why}")

    def contactor(self, evse: int, closed: bool, permitted: bool, blind: bool) -> None:
        """As time goes by. `blind`: agent or bus are down, so only the controller's watchdog is left."""
        if not closed or permitted:
            self.unsafe_since.pop(evse, None)
            return
        since = self.unsafe_since.setdefault(evse, self._now())
        limit_s = STOP_S + (WATCHDOG_S if blind else 0.0)
        if self._now() - since > limit_s:
            self.complain(f"EVSE {evse}: the contactor has been closed for {limit_s:g} s without permission")
            self.unsafe_since.pop(evse)

    def powered(self, evse: Evse) -> None:
        """Power is given only when the transaction that pays for it is on disk."""
        if evse.tx is not None and evse.tx.id not in self.tales:
            self.complain(f"EVSE {evse.id} gets power before {evse.tx.id} is stored")

    def told(self, message_id: str) -> None:
        """A bill is told only when it is on disk."""
        name, _, seq = message_id.rpartition("-")
        tale = self.tales.get(name)
        if tale is None or not seq.isdecimal() or int(seq) >= len(tale.events):
            self.complain(f"{message_id} is told before it is stored")

    # --- store: what is committed -----------------------------------------------------------------------------------

    def committed(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Record):
                self._recorded(effect.event)
            elif isinstance(effect, Remember) and effect.table == OPEN and effect.key in self.tales:
                tale = self.tales[effect.key]
                tale.stored_wh = max(tale.stored_wh, effect.value["last"][0])
            self.promises.committed(effect)

    def dies(self, evse: int, closed: bool) -> None:
        starts_late = self.plan.variables.get("TxCtrlr.TxStartPoint") == "EnergyTransfer"
        if closed and starts_late and all(tale.ended for tale in self.tales.values() if tale.evse == evse):
            self.killed.setdefault(evse, []).append(self._now())

    def swapped(self, evse: int, by_wh: float) -> None:
        """Somebody puts another meter there. What the old one has counted since a register was stored nobody can know
        any more, if the agent is down: exactly that may be missing from its transaction, and nothing may be added."""
        self.leaps.setdefault(evse, []).append((self._now(), by_wh))
        open_now = (tale for tale in self.tales.values() if tale.evse == evse and not tale.ended)
        lost_wh = sum(max(self._register_wh(evse) - tale.stored_wh, 0.0) for tale in open_now)
        self.gone_wh[evse] = self.gone_wh.get(evse, 0.0) + lost_wh

    def open_transactions(self) -> list[str]:
        return [name for name, tale in self.tales.items() if not tale.ended]

    def _recorded(self, event: TransactionEvent) -> None:
        tale = self.tales.get(event.transaction)
        if event.kind is TxKind.STARTED:
            if tale is not None:
                self.complain(f"{event.transaction} starts a second time")
            tale = self.tales[event.transaction] = Tale(event.evse)
        elif tale is None or tale.ended:
            self.complain(f"{event.message_id} ({event.kind}) of a transaction that is not open")
            return
        if event.seq != len(tale.events):
            self.complain(f"{event.message_id}: sequence number {len(tale.events)} was due")
        tale.events.append(event)
        tale.stored_wh = max(tale.stored_wh, event.energy_wh)
        self._true_times(event)

    def _true_times(self, event: TransactionEvent) -> None:
        """Every reading is one that the meter really gave at that moment."""
        for reading in event.readings:
            wh = next((s.value for s in reading.samples if s.measurand is _ENERGY and s.phase is None), None)
            if wh is None or reading.at.boot not in self.boots:
                continue
            at = self.boots[reading.at.boot] + reading.at.mono
            if not self._was_read(event.evse, at, wh):
                if event.kind is TxKind.ENDED and (self.silent_at(event.evse, at) or self._swapped_in(event)):
                    continue  # the last value known, told as the end of a transaction whose meter is gone
                self.complain(f"{event.message_id}: {wh:g} Wh at {at:.3f} s is no reading of the meter")

    def _swapped_in(self, ended: TransactionEvent) -> bool:
        """The meter was moved by hand since the last event before this one."""
        before = self.tales[ended.transaction].events[-2]
        return any(self._true(before) <= at for at, _ in self.leaps.get(ended.evse, ()))

    def true(self, evse: int, samples: Sequence[Sample], before_wh: float) -> None:
        """What came over the bus is what the register was while it was asked."""
        wh = next(s.value for s in samples if s.measurand is _ENERGY and s.phase is None)
        least_wh, most_wh = before_wh - self._coarse_wh, self._register_wh(evse) + self._coarse_wh
        if not least_wh <= wh <= most_wh and not self.leapt_lately(evse):
            self.complain(f"EVSE {evse}: the bus says {wh:g} Wh, the register was {before_wh:.1f} Wh")

    def leapt_lately(self, evse: int) -> bool:
        return any(self._now() - at < 2 * READ_S for at, _ in self.leaps.get(evse, ()))

    @property
    def _coarse_wh(self) -> float:
        return COARSE_WH if self.plan.meter == COARSE else ROUND_WH

    def read(self, evse: int, samples: Sequence[Sample]) -> None:
        wh = next(s.value for s in samples if s.measurand is _ENERGY and s.phase is None)
        self.reads.setdefault(evse, []).append((self._now(), wh))

    def _was_read(self, evse: int, at: float, wh: float) -> bool:
        reads = self.reads.get(evse, [])
        first = bisect_left(reads, (at - SOON_S,))
        return any(abs(t - at) < SOON_S and abs(w - wh) < 0.01 for t, w in reads[first : first + 3])

    def queued(self, counts: Sequence[int]) -> None:
        if max(counts) > QUEUED_MAX:
            self.complain(f"a queue is not bounded: {counts}")

    # --- meters that are not to be believed ---------------------------------------------------------------------------

    def silence(self, evse: int, until: float) -> None:
        self.mute.setdefault(evse, []).append((self._now(), until))

    def silent_at(self, evse: int, at: float) -> bool:
        """The meter was silent, or lied, long enough before this moment for the stated wait to have ended."""
        return any(start <= at <= until + READ_S + SILENT_S for start, until in self.mute.get(evse, ()))

    # --- the end ----------------------------------------------------------------------------------------------------

    def finish(self, dead: Sequence[tuple[str, int]]) -> None:
        """When all is unplugged, every link is good, and the journal has been drained."""
        self._none_open()
        for evse, wh in self.first_wh.items():
            self._energy(evse, wh)
        self._told(set(dead))
        self.totals.repeats = self.books.repeats
        self.totals.dead = len(dead)
        self.totals.transactions = len(self.tales)
        self._promised()

    def _promised(self) -> None:
        promises, totals = self.promises, self.totals
        for why in promises.unfinished():
            self.complain(why)
        totals.installed, totals.lists = promises.updates.installed, promises.local_list.taken
        totals.reserved, totals.notices = promises.reservations.used, promises.notices.told_count
        totals.uploads = promises.uploads
        totals.moved, totals.returned = promises.moves.kept, promises.moves.returned

    def _none_open(self) -> None:
        for name, tale in self.tales.items():
            if not tale.ended:
                self.complain(f"{name} is open for ever")

    def _energy(self, evse: int, first_wh: float) -> None:
        """Transactions follow one another without a gap in the register, so every watt-hour is in exactly one."""
        at_wh = first_wh
        at_s = 0.0
        for name, tale in self.tales.items():
            if tale.evse != evse or not tale.ended:
                continue
            start, end = tale.events[0], tale.events[-1]
            start_s, end_s = self._true(start), self._true(end)
            self._same(evse, f"before {name}", at_s, start_s, at_wh, start.started_wh)
            if end.energy_wh < start.started_wh:
                self.complain(f"{name} ends at {end.energy_wh} Wh, below its start at {start.started_wh} Wh")
            self.totals.wh += end.energy_wh - start.started_wh
            at_wh, at_s = float(end.energy_wh), end_s
        self._same(evse, "after the last transaction", at_s, self._now(), at_wh, self._register_wh(evse))

    def _true(self, event: TransactionEvent) -> float:
        return self.boots[event.at.boot] + event.at.mono

    def _same(self, evse: int, where: str, from_s: float, to_s: float, was_wh: float, is_wh: float) -> None:
        leaps = self.leaps.get(evse, [])  # each counts in the first gap that ends after it
        moved_wh = sum(by for at, by in leaps if at <= to_s + READ_S)
        self.leaps[evse] = [leap for leap in leaps if leap[0] > to_s + READ_S]
        gap_wh = is_wh - was_wh - moved_wh
        if abs(gap_wh) <= self._coarse_wh:
            return
        if 0 <= gap_wh <= self._lost_wh(evse, from_s, to_s, bool(moved_wh)) + self._coarse_wh:
            self.totals.excused += 1
            self.totals.excused_wh += gap_wh
            return
        self.complain(f"EVSE {evse}: {gap_wh:.1f} Wh belong to no transaction {where} ({from_s:.1f} to {to_s:.1f} s)")

    def _lost_wh(self, evse: int, from_s: float, to_s: float, swapped: bool) -> float:
        """What may be in no transaction: by a meter that lied or was silent past the stated wait; by one that was
        swapped; and, where energy flows before its transaction is on disk (TxStartPoint EnergyTransfer), by a process
        killed just then: for what the car takes in these seconds the disk knows nobody."""
        if self.silent_at(evse, from_s):
            return LOST_WH_MAX
        killed = any(from_s <= at <= to_s + READ_S for at in self.killed.get(evse, ()))
        return (self.gone_wh.get(evse, 0.0) if swapped else 0.0) + (EARLY_WH if killed else 0.0)

    def _told(self, dead: set[tuple[str, int]]) -> None:
        """The central system has every transaction once, with the meter's energy."""
        for name, seq in sorted(dead):
            if f"{name}-{seq}" not in self.books.refused:
                self.complain(f"{name}-{seq} is a dead letter, and the CSMS never refused it")
        spoiled = {name for name, _ in dead}
        bills = list(self.books.bills.values())
        for name, tale in self.tales.items():
            if name in spoiled:
                continue
            found = [bill for bill in bills if self._is(bill, name, tale)]
            if len(found) != 1:
                self.complain(f"{name} was billed {len(found)} times")
            else:
                self._right(found[0], name, tale)
        if len(bills) > len(self.tales):
            self.complain(f"{len(bills)} bills for {len(self.tales)} transactions")

    def _is(self, bill: Bill, name: str, tale: Tale) -> bool:
        if self.plan.version != "1.6":
            return bill.key == name
        return bill.evse == tale.evse and bill.start_wh == tale.events[0].started_wh and self._closest(bill, tale)

    def _closest(self, bill: Bill, tale: Tale) -> bool:
        """Two transactions may start at the same register; the name that the agent was told tells them apart."""
        return bill.key == self.names.get(tale.events[0].transaction, bill.key)

    def _right(self, bill: Bill, name: str, tale: Tale) -> None:
        end = tale.events[-1]
        if bill.stopped_at is None:
            self.complain(f"{name} was never told to have ended")
        elif bill.stop_wh is not None and abs(bill.stop_wh - end.energy_wh) > 1.0:
            self.complain(f"{name}: billed to {bill.stop_wh:g} Wh, the meter said {end.energy_wh} Wh")
        if bill.start_wh is not None and abs(bill.start_wh - tale.events[0].started_wh) > 1.0:
            self.complain(f"{name}: billed from {bill.start_wh:g} Wh, it began at {tale.events[0].started_wh} Wh")
        if self.plan.version != "1.6" and bill.seqs != [event.seq for event in tale.events]:
            self.complain(f"{name}: the CSMS has the events {bill.seqs}, there were {len(tale.events)}")

    def books_of(self, books: Any) -> None:
        self.books = books
