"""A station on the table: facts, blocks, and a clock that is moved by hand."""

from __future__ import annotations

from typing import Any, TypeVar

from agent.blocks.assembly import assemble
from agent.core.effects import Ask, Authorize, Effect, Forget, Offer, Record, Remember, Reply
from agent.core.events import (
    BootAnswered,
    Event,
    EvseRead,
    LinkUp,
    MeterRead,
    OpenTransaction,
    Restored,
    Tick,
    TokenAnswered,
    TokenPresented,
)
from agent.core.evse import Evse, EvseLimits
from agent.core.phases import Switching, WakeUp
from agent.core.record import replace
from agent.core.types import (
    ClockQuality,
    Instant,
    Registration,
    TokenInfo,
    TokenStatus,
    TransactionEvent,
)
from drivers.api import EvseReading, Fault, IdToken, Measurand, Pilot, Sample, StopButton

T = TypeVar("T")
CARD = IdToken("04A1B2C3")
OTHER_CARD = IdToken("99887766")
OBEYED_S = 5.0  # an order has reached the contactor
ACCEPTED = TokenInfo(TokenStatus.ACCEPTED)


class Bench:
    """Feeds events to a station and keeps what came out. One EVSE with a socket unless said otherwise."""

    def __init__(
        self,
        evses: int = 1,
        resume: str = "if-still-plugged",
        attached: bool = False,
        switching: Switching | None = None,
        wake_up: WakeUp | None = None,
        in_watts: bool = False,
        **variables: str,
    ) -> None:
        limits = [
            EvseLimits(
                n,
                32.0,
                3,
                attached_cable=attached,
                unlocks=True,
                switching=switching,
                wake_up=wake_up,
                in_watts=in_watts,
            )
            for n in range(1, evses + 1)
        ]
        self.station = assemble(limits, prefix="t", resume=resume)
        self.variables = self.station.facts.variables
        complaints = self.variables.layer("config", {key.replace("__", "."): v for key, v in variables.items()})
        assert not complaints, complaints
        self.mono = 1000.0
        self.utc = 1_800_000_000.0
        self.quality = ClockQuality.SYNCED
        self.effects: list[Effect] = []
        self.wh = dict.fromkeys(range(1, evses + 1), 5000.0)
        self.remembered: dict[str, dict[str, object]] = {}
        self._obedient: dict[int, EvseReading] = {}  # controllers whose contactor does as it is told

    @property
    def now(self) -> Instant:
        return Instant(self.mono, self.utc, self.quality, "boot-1")

    @property
    def evse(self) -> Evse:
        return self.station.facts.evses[1]

    def feed(self, *events: Event) -> list[Effect]:
        """What these events led to."""
        found: list[Effect] = []
        for event in events:
            found += self.station.handle(event, self.now)
        self.effects += found
        for effect in found:
            if isinstance(effect, Remember):
                self.remembered.setdefault(effect.table, {})[effect.key] = effect.value
            elif isinstance(effect, Forget):
                table = self.remembered.setdefault(effect.table, {})
                for key in [effect.key] if effect.key is not None else list(table):
                    table.pop(key, None)
        return found

    def boot(self, *open_transactions: OpenTransaction, power_lost: bool = False, **tables: Any) -> None:
        """As after a start: nothing remembered, hardware read, no car."""
        self.feed(Restored(tables, open_transactions, power_lost))

    def restart(self, before: Bench) -> None:
        """As after a start that finds what another process had remembered."""
        self.feed(Restored(before.remembered))

    def online(self) -> None:
        self.feed(LinkUp(True), BootAnswered(Registration.ACCEPTED, 300.0, self.utc))

    def read(self, pilot: Pilot = Pilot.A, evse: int = 1, cable_a: float | None = None, **more: object) -> list[Effect]:
        """The controller is read; a cable sits in the socket whenever a car is connected."""
        if cable_a is None:
            cable_a = 0.0 if pilot is Pilot.A else 32.0
        told = "contactor" not in more
        more.setdefault("contactor", pilot in (Pilot.C, Pilot.D) and self.station.facts.evses[evse].offer_a > 0)
        reading = EvseReading(pilot, cable_a=cable_a, **more)  # type: ignore[arg-type]
        self._obedient.pop(evse, None)
        if told:
            self._obedient[evse] = reading
        return self.feed(EvseRead(evse, reading))

    def meter(self, wh: float | None = None, power_w: float = 0.0, evse: int = 1) -> list[Effect]:
        if wh is not None:
            self.wh[evse] = wh
        samples = (
            Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, self.wh[evse]),
            Sample(Measurand.POWER_ACTIVE_IMPORT, power_w),
        )
        return self.feed(MeterRead(evse, samples))

    def ready(self) -> Bench:
        """Started, accepted, hardware read, no car."""
        self.boot()
        self.online()
        for n in self.wh:
            self.read(Pilot.A, n)
            self.meter(evse=n)
        self.effects.clear()
        return self

    def wait(self, seconds: float) -> list[Effect]:
        """Time passes; every deadline on the way is heard."""
        found: list[Effect] = []
        end = self.mono + seconds
        for _ in range(10_000):
            if seconds > OBEYED_S:
                found += self._obey()
            at = self.station.next_deadline()
            if at is None or at > end:
                break
            self._move(max(at, self.mono))
            found += self.feed(Tick())
        self._move(end)
        return found

    def _obey(self) -> list[Effect]:
        """Contactors follow the offer, but for those that a test holds, and those of controllers that are silent."""
        found: list[Effect] = []
        for n, reading in self._obedient.items():
            evse = self.station.facts.evses[n]
            closed = reading.pilot in (Pilot.C, Pilot.D) and evse.offer_a > 0
            if evse.contactor is not None and evse.contactor != closed:
                self._obedient[n] = replace(reading, contactor=closed)
                found += self.feed(EvseRead(n, self._obedient[n]))
        return found

    def _move(self, mono: float) -> None:
        self.utc += mono - self.mono
        self.mono = mono

    def tap(
        self, token: IdToken = CARD, info: TokenInfo | None = ACCEPTED, evses: tuple[int, ...] = (1,)
    ) -> list[Effect]:
        """A card; when the station asks about it, the CSMS answers with `info`."""
        found = self.feed(TokenPresented(evses, token))
        for ask in of(found, Ask):
            if isinstance(ask.call, Authorize) and info is not None:
                found += self.feed(TokenAnswered(ask.call, info))
        return found

    def charge(self) -> None:
        """A card, a car, and energy flows."""
        self.tap()
        self.read(Pilot.B)
        self.read(Pilot.C)
        self.wait(1)
        self.meter(power_w=7000.0)

    @property
    def journal(self) -> list[TransactionEvent]:
        return [effect.event for effect in self.effects if isinstance(effect, Record)]

    @property
    def replies(self) -> list[object]:
        return [effect.answer for effect in self.effects if isinstance(effect, Reply)]


def of(effects: list[Effect], kind: type[T]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def offers(effects: list[Effect]) -> list[float]:
    return [effect.current_a for effect in of(effects, Offer)]


__all__ = ["ACCEPTED", "CARD", "OTHER_CARD", "Bench", "Fault", "StopButton", "of", "offers"]
