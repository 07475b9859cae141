"""The charging profiles alone on a desk: facts set by hand, a clock moved by hand."""

from __future__ import annotations

from agent.blocks.profiles import Profiles
from agent.blocks.station import Facts, Station
from agent.core.catalogue import rows
from agent.core.effects import Effect, Reply, ScheduleAnswer, StatusAnswer
from agent.core.events import Event, Tick
from agent.core.evse import Evse, EvseLimits, Grant, Stop, Transaction
from agent.core.profile import Kind, Period, Profile, Purpose
from agent.core.record import replace
from agent.core.requests import (
    ProfileClearRequested,
    ProfileSetRequested,
    Ref,
    ScheduleRequested,
)
from agent.core.types import ClockQuality, Instant, StopReason, TokenInfo, TokenStatus, Trigger, VariableId
from agent.core.variables import Variables
from drivers.api import IdToken, Pilot

UTC = 1_800_000_000.0
REF = Ref("1", "any")
PLAIN = Profile(1, 0, Purpose.TX_DEFAULT, Kind.ABSOLUTE, "A", (Period(0, 10.0),), start=UTC)
TX = replace(PLAIN, purpose=Purpose.TX)
STATION = replace(PLAIN, purpose=Purpose.STATION_MAX)
ENTRIES = VariableId("SmartChargingCtrlr", "Entries", "ChargingProfiles")


class Desk:
    """The block alone, with facts set by hand and a clock moved by hand."""

    def __init__(self, evses: int = 2, supply_a: float | None = None) -> None:
        self.now = Instant(1000.0, UTC, ClockQuality.SYNCED, "boot-1")
        limits = [EvseLimits(n, max_a=32.0, phases=3) for n in range(1, evses + 1)]
        self.variables = Variables(rows([one.id for one in limits]))
        self.facts = Facts([Evse(one) for one in limits], self.variables, supply_a)
        self.station = Station(self.facts, [Profiles(self.facts)])

    def feed(self, event: Event) -> list[Effect]:
        return self.station.handle(event, self.now)

    def set(self, profile: Profile, evse: int = 1) -> StatusAnswer:
        answer = only_answer(self.feed(ProfileSetRequested(REF, evse, profile)))
        assert isinstance(answer, StatusAnswer)
        return answer

    def clear(self, **criteria: object) -> str:
        answer = only_answer(self.feed(ProfileClearRequested(REF, **criteria)))  # type: ignore[arg-type]
        assert isinstance(answer, StatusAnswer)
        return answer.status

    def tell(self, evse: int = 1, duration_s: int = 600, unit: str | None = None) -> ScheduleAnswer:
        answer = only_answer(self.feed(ScheduleRequested(REF, evse, duration_s, unit)))
        assert isinstance(answer, ScheduleAnswer)
        return answer

    def limit(self, evse: int = 1) -> float | None:
        """Of an EVSE that charges alone."""
        limits = (self.facts.evses[evse].limit_a, self.facts.station_limit_a)
        return min((limit_a for limit_a in limits if limit_a is not None), default=None)

    def connect(self, evse: int = 1, transaction: str = "t-1", csms_id: str | None = None) -> None:
        """A car and somebody who pays, in a transaction."""
        one = self.facts.evses[evse]
        one.pilot, one.plugged = Pilot.C, True
        one.grant = Grant(IdToken("A"), TokenInfo(TokenStatus.ACCEPTED), Trigger.AUTHORIZED, self.now)
        one.tx = Transaction(transaction, self.now, 0, token=IdToken("A"), csms_id=csms_id)
        self.feed(Tick())

    def wait(self, seconds: float) -> None:
        """Time passes; only the block's own deadlines wake it."""
        end = self.now.mono + seconds
        for _ in range(1000):
            at = self.station.next_deadline()
            if at is None or at > end:
                break
            self._move(at)
            self.feed(Tick())
        self._move(end)

    def _move(self, mono: float) -> None:
        self.now = replace(self.now, mono=mono, utc=self.now.utc + mono - self.now.mono)

    @property
    def count(self) -> str | None:
        return self.variables.view(ENTRIES, self.now).value


def only_answer(effects: list[Effect]) -> object:
    (answer,) = [effect.answer for effect in effects if isinstance(effect, Reply)]
    return answer


def end(desk: Desk) -> None:
    tx = desk.facts.evses[1].tx
    assert tx is not None
    tx.stop = Stop(StopReason.LOCAL, Trigger.STOP_AUTHORIZED)
    desk.feed(Tick())
