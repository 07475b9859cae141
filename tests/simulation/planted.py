"""Bugs planted one at a time, to see that the simulation finds them. Each is a function that changes a scene.

They are put in from outside, by replacing a method for the time of one run; nothing of them is in the product.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from agent.blocks import composite, power, profiles, sampling, supervision, transactions
from agent.blocks.power import Power
from agent.blocks.shares import Cap
from agent.blocks.transactions import Transactions
from agent.core.effects import Call, Effect, Offer, Remember
from agent.core.evse import Evse
from agent.core.profile import Recurrency
from agent.core.types import Context, Instant, Reading
from agent.ocpp import outbox
from agent.runtime import Runtime
from drivers.bus import Policy
from tests.simulation import board
from tests.simulation import scene as scenes
from tests.simulation.plan import Plan
from tests.simulation.run import Outcome, run
from tests.simulation.scene import changed

Plant = Callable[[], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def swapped(owner: Any, name: str, new: Any) -> Iterator[None]:
    old = getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield
    finally:
        setattr(owner, name, old)


@contextlib.contextmanager
def ram_only_transaction_id() -> Iterator[None]:
    """The CSMS's name of a transaction is kept in memory only."""
    names: dict[str, str] = {}
    answered, head = board.Gate.answered, board.Gate.head

    def forgets(self: board.Gate, row_id: int, csms_id: str | None, via: str, effects: Sequence[Effect]) -> Any:
        row = self.store.head()
        assert row is not None
        if csms_id is not None:
            names[f"{id(self)}/{row.event.transaction}"] = csms_id
        done = answered(self, row_id, None if csms_id is None else "0", via, effects)
        if csms_id is not None:
            self._life.scene.checker.names[row.event.transaction] = csms_id
        return done

    def remembers(self: board.Gate) -> Any:
        row = head(self)
        name = None if row is None else names.get(f"{id(self)}/{row.event.transaction}")
        return row if name is None else changed(row, csms_id=name)

    with swapped(board.Gate, "answered", forgets), swapped(board.Gate, "head", remembers):
        yield


def delete_before_answer() -> contextlib.AbstractContextManager[None]:
    """A journal row is deleted when it is sent, not when it is answered."""

    def sent(self: board.Gate, row_id: int) -> None:
        self.store.answered(row_id, None, "", ())

    return swapped(board.Gate, "sent", sent)


def act_before_commit() -> contextlib.AbstractContextManager[None]:
    """Power is given before what it depends on is stored."""
    carry_out = Runtime._carry_out

    async def hasty(self: Runtime, effects: Sequence[Effect], now: Instant, queue: Any, delivered: Any = None) -> None:
        for effect in effects:
            if isinstance(effect, Offer):
                self._offer(effect)
        await carry_out(self, effects, now, queue, delivered)

    return swapped(Runtime, "_carry_out", hasty)


def new_id_on_retry() -> contextlib.AbstractContextManager[None]:
    """A repeat of a transaction event goes out under an id of its own."""
    following = outbox.Outbox.next
    tries: dict[str, int] = {}

    def renamed(self: outbox.Outbox, *args: Any) -> Any:
        found = following(self, *args)
        if isinstance(found, outbox.Outgoing) and not isinstance(found.about, Call):
            tries[found.message_id] = tries.get(found.message_id, -1) + 1
            again = tries[found.message_id]
            return changed(found, message_id=f"{found.message_id}.{again}") if again else found
        return found

    return swapped(outbox.Outbox, "next", renamed)


@contextlib.contextmanager
def stale_sample_restamped() -> Iterator[None]:
    """When the meter is silent its last reading is told again, with the time of now."""

    def fresh(self: sampling.Sampling, evse: Evse, context: Context, key: str) -> Reading | None:
        if evse.meter is None:
            return None
        now = Instant(self.moment.mono, self.moment.utc, self.moment.quality, self.moment.boot)  # type: ignore[attr-defined]
        return sampling.selected(self._vars, key, Reading(now, context, evse.meter.samples))

    on_tick = sampling.Sampling.on_tick

    def ticks(self: Any, e: Any, now: Instant) -> Any:
        self.moment = now
        return on_tick(self, e, now)

    with swapped(sampling.Sampling, "_fresh", fresh), swapped(sampling.Sampling, "on_tick", ticks):
        yield


def no_quarantine() -> contextlib.AbstractContextManager[None]:
    """After a time-out the bus asks at once, and takes the late answer for the new one."""
    power_up = scenes.Scene.power_up

    def careless(self: scenes.Scene) -> None:
        power_up(self)
        self.policy = Policy(quarantine_s=0.0)

    return swapped(scenes.Scene, "power_up", careless)


def end_without_settling() -> contextlib.AbstractContextManager[None]:
    """A transaction ends at once, while the car still draws."""

    def finish(self: Transactions, evse: Evse, tx: Any, now: Instant) -> Any:
        if evse.meter is not None:
            yield from self._finish(evse, tx, now)

    return swapped(Transactions, "_maybe_finish", finish)


def forgets_open_transactions() -> contextlib.AbstractContextManager[None]:
    """A transaction that is open at a power cut is not taken up again."""

    def restore(self: Transactions, found: Any, now: Instant) -> Any:
        return iter(())

    return swapped(Transactions, "_restore", restore)


def counts_from_one_again() -> contextlib.AbstractContextManager[None]:
    """The counter behind transaction ids is not stored."""
    start = transactions.Transactions._start

    def uncounted(self: Transactions, evse: Evse, now: Instant) -> Any:
        for out in start(self, evse, now):
            if not (isinstance(out, Remember) and out.table == "counters"):
                yield out

    return swapped(transactions.Transactions, "_start", uncounted)


def offer_above_the_cable() -> contextlib.AbstractContextManager[None]:
    """The rating of the cable is not looked at."""
    own_caps = Power._own_caps

    def blind(self: Power, evse: Evse) -> Iterator[Cap]:
        return (cap for cap in own_caps(self, evse) if cap[1] != "the cable's rating")

    return swapped(Power, "_own_caps", blind)


def sleeps_over_periods() -> contextlib.AbstractContextManager[None]:
    """Nobody wakes for the next period of a charging profile."""
    return swapped(profiles.Profiles, "next_deadline", lambda _self: None)


@contextlib.contextmanager
def everybody_takes_all() -> Iterator[None]:
    """What the station may take is allowed to each, and nobody waits until another has let go."""
    shares = swapped(power, "divide", lambda total_a, wants: [min(total_a, want) for want in wants])
    with shares, swapped(power.Power, "_paced", lambda _power, planned, *_: planned):
        yield


def lowest_level_governs() -> contextlib.AbstractContextManager[None]:
    """Of two profiles of a purpose the lower stack level counts."""

    def upside_down(concerned: Any, purpose: Any, place: Any, at: float) -> Any:
        counting = [(one, period) for one in concerned if (period := composite._period(one.profile, place, at))]
        mine = [pair for pair in counting if pair[0].profile.purpose is purpose]
        return min(mine, key=lambda pair: pair[0].profile.stack_level, default=None)

    return swapped(composite, "_governing", upside_down)


def recurs_an_hour_late() -> contextlib.AbstractContextManager[None]:
    """A day has 25 hours."""
    return swapped(composite, "_CYCLE_S", {Recurrency.DAILY: 90_000, Recurrency.WEEKLY: 604_800})


def judges_at_once() -> contextlib.AbstractContextManager[None]:
    """A rule of the supervision gives neither order nor car the time that they need."""
    hasty = tuple(
        changed(rule, after_s=lambda _limits: 0.0, ordered=False)
        for rule in supervision.RULES
        if rule.source != "overdraw"
    )
    return swapped(supervision, "RULES", hasty)


def run_with(plant: Plant, plan: Plan) -> Outcome:
    with plant():
        return run(plan)
