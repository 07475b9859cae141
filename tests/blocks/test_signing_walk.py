"""A charger whose meter signs, through hundreds of random lives: no energy unasked, no bill lost or told twice."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from agent.core.effects import Effect
from agent.core.signing import BeginSession, EndSession, ProbeSigner, SessionBegun, SessionEnded, SignerProbed
from agent.core.types import TxKind
from drivers.api import Pilot
from tests.blocks.helpers import OTHER_CARD
from tests.blocks.test_signing import BEGUN, ENDED, KEY, SignBench

STEPS = 60
ERRANDS = (ProbeSigner, BeginSession, EndSession)


class Walk:
    """One life. The meter answers when it likes, and sometimes that it will not."""

    def __init__(self, seed: int, signing: str) -> None:
        self.rng = random.Random(seed)
        self.bench = SignBench(signing).ready()
        self.asked: list[Effect] = []
        self._heard(self.bench.effects)
        self.bench.feed(SignerProbed(1, KEY))

    def _heard(self, effects: list[Effect]) -> None:
        self.asked += [effect for effect in effects if isinstance(effect, ERRANDS)]
        evse = self.bench.evse
        assert not (evse.unsigned and evse.offer_a > 0)
        assert len(self.asked) <= 3

    def step(self) -> None:
        bench, pilot = self.bench, self.bench.evse.pilot or Pilot.A
        moves: dict[str, Callable[[], list[Effect]]] = {
            "tap": bench.tap,
            "other": lambda: bench.tap(OTHER_CARD),
            "plug": lambda: bench.read(Pilot.C if pilot is Pilot.B else Pilot.B),
            "unplug": lambda: bench.read(Pilot.A),
            "wait": lambda: bench.wait(self.rng.choice((0.5, 3, 15, 90))),
            "meter": lambda: bench.meter(bench.wh[1] + (1.0 if bench.evse.energy_flows else 0.0), 7000.0),
            "answer": self.answer,
        }
        self._heard(moves[self.rng.choice([*moves, "answer", "meter"])]())

    def answer(self) -> list[Effect]:
        if not self.asked:
            return []
        errand = self.asked.pop(0)
        why = "no" if self.rng.random() < 0.25 else ""
        if isinstance(errand, ProbeSigner):
            return self.bench.feed(SignerProbed(1, "" if why else KEY, why))
        if isinstance(errand, BeginSession):
            return self.bench.feed(SessionBegun(1, errand.transaction, None if why else BEGUN, why))
        assert isinstance(errand, EndSession)
        return self.bench.feed(SessionEnded(1, errand.transaction, None if why else ENDED, why))

    def finish(self) -> None:
        """The car leaves, and everything answers in the end."""
        self._heard(self.bench.read(Pilot.A))
        for _ in range(12):
            while self.asked:
                self._heard(self.answer())
            self._heard(self.bench.wait(10))
            self._heard(self.bench.meter())


@pytest.mark.parametrize("signing", ["required", "if-possible"])
def test_whatever_the_meter_does_no_energy_flows_unasked_and_each_bill_is_told_once(signing: str) -> None:
    signed = unsigned = 0
    for seed in range(150):
        walk = Walk(seed, signing)
        for _ in range(STEPS):
            walk.step()
        walk.finish()
        journal = walk.bench.journal
        assert walk.bench.evse.tx is None, seed
        for tx in {event.transaction for event in journal}:
            events = [event for event in journal if event.transaction == tx]
            assert [event.seq for event in events] == [*range(len(events))], seed
            assert [event.kind for event in events if event.kind is not TxKind.UPDATED] == [
                TxKind.STARTED,
                TxKind.ENDED,
            ]
            ends = [reading for reading in events[-1].readings if reading.signed == ENDED]
            signed, unsigned = signed + len(ends), unsigned + (not ends)
            if signing == "required" and not ends and not events[-1].readings[0].signed:
                assert events[-1].energy_wh == events[0].started_wh, seed
    assert signed > 50
    assert unsigned > 20
