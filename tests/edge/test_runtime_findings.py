"""What a review found in the loop: a disk that refuses at an awkward moment must not hold the loop, nor give power."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.blocks.assembly import assemble
from agent.core.effects import Effect, Forget, Offer, Record, Remember, Restart
from agent.core.events import Event
from agent.core.evse import EvseLimits
from agent.core.record import record, replace
from agent.core.types import (
    ChargingState,
    ClockQuality,
    Instant,
    TransactionEvent,
    Trigger,
    TxKind,
)
from agent.durable import MAX_BACKLOG, SETTLE_S, Durable
from agent.errors import StoreError
from agent.ocpp.conversation import Conversation
from agent.ocpp.dialect import Station
from agent.parts import Parts
from agent.runtime import Runtime
from agent.setup import Built
from agent.store.changes import Committed
from agent.store.store import Store
from drivers.api import DriverError

AT = Instant(100.0, 1_800_000_000.0, ClockQuality.SYNCED, "b")
CHANGE = TransactionEvent(
    "t-1-1", 1, TxKind.UPDATED, AT, Trigger.CHARGING_STATE_CHANGED, 1, 1, 0, 0, ChargingState.CHARGING
)


@record
class Row:
    id: int
    event: TransactionEvent
    csms_id: str | None = "7"


class Disk:
    """A store that reads well and refuses every write while `full`."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self.rows = list(rows)
        self.full = False
        self.tries = 0
        self.written: list[Effect] = []

    def _write(self, effects: Sequence[Effect] = ()) -> Committed:
        self.tries += 1
        if self.full:
            raise StoreError("the disk is full")
        self.written.extend(effects)
        return Committed()

    def commit(self, effects: Sequence[Effect]) -> Committed:
        return self._write(effects)

    def head(self) -> Row | None:
        return self.rows[0] if self.rows else None

    def sent(self, row_id: int) -> None:
        """Nothing to remember."""

    def answered(self, row_id: int, csms_id: str | None, via: str, effects: Sequence[Effect]) -> Committed:
        done = self._write(effects)
        self.rows = [row for row in self.rows if row.id != row_id]
        return done

    def take(self, row_id: int) -> bool:
        return False

    def settle(self) -> None:
        """Nothing was taken."""

    def dead_letter(self, row_id: int, why: str) -> Committed:
        return self.answered(row_id, None, "", ())

    def dead_letters(self) -> Sequence[Any]:
        return ()

    def retry_dead_letters(self) -> int:
        return 0

    def retime(self, boot: str, offset_s: float) -> object:
        return None


class World:
    """Clock, link, hardware and log of a runtime, as plain as can be."""

    def __init__(self) -> None:
        self.offers: list[float] = []
        self.sent: list[str] = []

    def now(self) -> Instant:
        return AT

    def learn(self, utc: float, mono_at_request: float, mono_at_answer: float) -> float | None:
        return None

    def confirm(self) -> None: ...
    def drop(self, reason: str) -> None:
        raise AssertionError(reason)

    def redial(self, reason: str = "") -> None: ...
    def set_ping_interval(self, interval_s: float) -> None: ...
    def takes_at_once(self, text: str) -> bool:
        return True

    async def send(self, text: str) -> bool:
        self.sent.append(text)
        return True

    def share(self, evse: int, phases: int) -> None: ...

    def offer(self, evse: int, current_a: float) -> None:
        self.offers.append(current_a)

    def unlock(self, evse: int) -> None: ...
    def switch_phases(self, evse: int, phases: int) -> None: ...
    def wake_car(self, evse: int) -> None: ...
    def show(self, evse: int, state: str) -> None: ...
    def debug(self, event: str, message: str = "", /, **fields: object) -> None: ...

    info = warning = error = debug


async def work(call: Callable[[], Any]) -> Any:
    await asyncio.sleep(0)
    return call()


def leave(_restart: Restart) -> None:
    """The test goes on."""


def make(disk: Disk) -> tuple[Runtime, World]:
    world = World()
    station = assemble([EvseLimits(1)], prefix="t")
    conversation = Conversation(Station("vendor", "model"), disk.head, "m", "1.6")
    runtime = Runtime(
        station=station,
        conversation=conversation,
        store=disk,
        clock=world,
        link=world,
        hardware=world,
        log=world,
        work=work,
        leave=leave,
    )
    return runtime, world


async def accept(runtime: Runtime, world: World) -> None:
    """Connected, and the CSMS takes our BootNotification; bounded, for a loop that spins would never come back."""
    async with asyncio.timeout(5):
        await runtime.connected("ocpp1.6")
        message_id = json.loads(world.sent[-1])[1]
        told = {"status": "Accepted", "currentTime": "2027-01-15T08:00:00Z", "interval": 300}
        await runtime.received(json.dumps([3, message_id, told]))


async def test_a_row_with_nothing_to_tell_does_not_hold_the_loop_while_the_disk_refuses() -> None:
    disk = Disk([Row(1, CHANGE)])
    runtime, world = make(disk)
    disk.full = True
    await accept(runtime, world)
    assert (runtime.durable.trouble, disk.tries < 20) == ("the disk is full", True)


async def test_a_row_that_cannot_be_set_aside_does_not_hold_the_loop_either(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk([Row(1, replace(CHANGE, kind=TxKind.STARTED, started_wh="no number"))])
    runtime, world = make(disk)

    def refuses(_row_id: int, _why: str) -> Committed:
        disk.tries += 1
        raise StoreError("the disk is full")

    monkeypatch.setattr(disk, "dead_letter", refuses)
    await accept(runtime, world)
    assert ("set aside" in runtime.durable.trouble, disk.tries < 20) == (True, True)


async def test_power_that_waits_for_the_disk_is_not_given_by_a_lower_limit() -> None:
    disk = Disk()
    runtime, world = make(disk)
    disk.full = True
    await runtime._carry_out([Remember("t", "k", 1), Offer(1, 16.0)], AT, _queue())
    await runtime._carry_out([Offer(1, 10.0)], AT, _queue())
    assert [amps for amps in world.offers if amps > 0] == []
    disk.full = False
    await runtime._carry_out([Remember("t", "k", 2)], AT, _queue())
    assert world.offers[-1] == 10.0


async def test_a_long_refusal_drops_no_first_or_last_sample_and_keeps_the_newest_word() -> None:
    disk = Disk()
    disk.full = True
    durable = Durable(disk, work, World())
    events = [replace(CHANGE, seq=n) for n in range(2600)]
    for event in events:
        await durable.commit([Record(event), Remember("kept", "same", event.seq), Forget("gone", str(event.seq))], 0.0)
    disk.full = False
    await durable.commit([], 0.0)
    rows = [effect.event.seq for effect in disk.written if isinstance(effect, Record)]
    assert (rows[0], rows[-1], len(disk.written) <= MAX_BACKLOG) == (0, 2599, True)
    assert [effect.value for effect in disk.written if isinstance(effect, Remember)][-1] == 2599


async def test_samples_leave_the_disk_seconds_after_they_were_taken_at_the_latest(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.open()
    events = [
        replace(CHANGE, seq=0, kind=TxKind.STARTED),
        *(replace(CHANGE, seq=n, trigger=Trigger.METER_VALUE_PERIODIC) for n in range(1, 9)),
    ]
    store.commit([Record(event) for event in events])
    durable = Durable(store, work, World())
    for mono in (10.0, 10.1, 10.2):  # the start, and two samples
        row = store.head()
        assert row is not None
        await durable.delivered(row.id, None, "1.6", [], mono)
    assert durable.due_at == 10.1 + SETTLE_S and _rows_after_a_cut(store) == 8
    await durable.catch_up(durable.due_at)
    assert durable.due_at == float("inf") and _rows_after_a_cut(store) == 6
    store.close()


def _rows_after_a_cut(store: Store) -> int:
    store.clone(store.path + ".cut")
    copy = Store(store.path + ".cut")
    copy.open()
    rows = copy.counts().rows
    copy.close()
    return rows


def _queue() -> deque[Event]:
    return deque()


def test_a_configuration_read_again_may_set_variables_of_an_evse_that_is_not_there_yet() -> None:
    station = assemble([EvseLimits(1)], prefix="t")
    built: Any = SimpleNamespace(
        station=station, conversation=Conversation(Station("V", "M"), lambda: None, "p", "1.6")
    )
    values = {"EVSE@2.Available": "true", "HeartbeatInterval": "77"}
    config: Any = SimpleNamespace(
        variables=values,
        evses=(SimpleNamespace(id=1), SimpleNamespace(id=2)),
        path="x",
        csms=SimpleNamespace(quirks=None),
    )
    Built.set_variables(built, config)
    assert station.facts.variables.text("OCPPCommCtrlr.HeartbeatInterval") == "77"


class Part:
    def __init__(self, fails: bool) -> None:
        self.fails, self.closed = fails, False

    async def close(self) -> None:
        if self.fails:
            raise DriverError("the port went away")
        self.closed = True


async def test_a_driver_that_fails_at_the_end_leaves_no_other_open() -> None:
    controller, meter = Part(fails=True), Part(fails=False)
    parts: Any = SimpleNamespace(
        evses=[SimpleNamespace(controller=controller, meter=meter)], boards={}, readers=[], buses={}
    )
    await Parts.close(parts)
    assert meter.closed
