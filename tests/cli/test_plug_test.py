"""The guided test charge against a model of a charger: what is planted is found in the step where it shows, and told
with what to do. The whole of it with a real agent is in tests/end_to_end/test_workbench.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.cli.plug_steps import Look, steps
from agent.cli.plug_test import Done, run
from agent.errors import AgentError

START_WH = 5_000_000.0


@dataclass
class Model:
    """An outlet, its car and its technician; what is wrong with it is set by the names of the fields."""

    mono: float = 100.0
    wh: float = START_WH
    plugged_at: float = float("inf")
    let_in_at: float = float("inf")
    stopped: bool = False
    gone: bool = False
    orders: list[str] = field(default_factory=list)
    # what may be wrong
    operative: bool = True
    charges_already: bool = False
    meter_silent: bool = False
    power_before: float = 0.0
    no_car: bool = False
    card_refused: bool = False
    limit_a: float = 16.0
    car_asks: bool = True
    closes: bool = True
    opens: bool = True
    draws_a: float = 15.5
    backwards: bool = False
    scale: float = 1.0
    fault_at: float = float("inf")
    fault_stops: bool = True
    stays: bool = False
    linked: bool = True
    waiting: int = 0
    refuses: str = ""

    @property
    def live(self) -> bool:
        on = self.mono > self.let_in_at + 3 and self.mono > self.plugged_at + 3 and not self.stopped
        return self.closes and self.car_asks and self.limit_a > 0 and (on or (self.stopped and not self.opens))

    def sleep(self, span_s: float) -> None:
        self.mono += span_s
        if self.live:
            self.wh += self.power_w * span_s / 3600 * self.scale

    @property
    def power_w(self) -> float:
        amps = self.draws_a if self.live else 0.0
        return (-1 if self.backwards else 1) * amps * 230 * 3 + self.power_before

    def tell(self, line: str) -> None:
        """The technician does as he is told, two seconds later."""
        if "Plug a car" in line and not self.no_car:
            self.plugged_at = self.mono + 2
        if "Hold a card" in line and not self.card_refused:
            self.let_in_at = self.mono + 2
        if "Unplug" in line and not self.stays:
            self.gone = True

    def order(self, verb: str) -> None:
        self.orders.append(verb)
        if self.refuses == verb:
            raise AgentError("it is not allowed")
        if verb == "start":
            self.let_in_at = self.mono
        if verb == "stop":
            self.stopped = True

    def look(self) -> Look:
        plugged = self.mono >= self.plugged_at and not self.gone
        let_in = self.mono >= self.let_in_at and plugged and not (self.stopped and not self.live)
        pilot = "A" if not plugged else "C" if self.car_asks and self.mono > self.let_in_at + 2 else "B"
        fault = {"id": "ground" if self.fault_stops else "rfid-reader", "text": "a fault", "remedy": "mend it"}
        evse: dict[str, Any] = {
            "id": 1, "status": "x", "operative": self.operative, "pilot": pilot, "cable_a": 32.0, "phases": 3,
            "contactor": self.live, "offer_a": self.limit_a if let_in and not self.stopped else 0.0,
            "explanation": f"{self.limit_a:g} A: a limit", "authorized": None,
            "transaction": {"id": "t", "token": "..1"} if let_in or self.charges_already else None,
            "faults": [fault] if self.mono >= self.fault_at else [],
        }  # fmt: skip
        values = {
            ("Power.Active.Import", ""): self.power_w,
            ("Current.Import", "L1"): self.draws_a if self.live else 0.0,
            ("Energy.Active.Import.Register", ""): self.wh,
        }
        age_s = None if self.meter_silent else 0.5
        return Look(self.mono, evse, {} if self.meter_silent else values, age_s, self.waiting, self.linked)


def played(model: Model, by_order: bool = False) -> list[Done]:
    return list(run(model, steps(1, by_order), model.tell, model.sleep))  # type: ignore[arg-type]


def test_a_charger_in_order_passes_every_step() -> None:
    done = played(Model())
    assert [one.step for one in done] == [step.name for step in steps(1, by_order=False)]
    assert {one.verdict.good for one in done} == {True}


def test_with_a_card_of_its_own_the_agent_is_told_to_begin() -> None:
    model = Model()
    assert played(model, by_order=True)[-1].step == "told"
    assert model.orders == ["start", "stop"]


PLANTED: dict[str, tuple[Callable[[Model], None], str, str]] = {
    "out of service": (lambda m: setattr(m, "operative", False), "before", "out of service"),
    "a charge that runs": (lambda m: setattr(m, "charges_already", True), "before", "charge runs here already"),
    "a meter that is silent": (lambda m: setattr(m, "meter_silent", True), "before", "meter has not answered"),
    "another outlet's meter": (lambda m: setattr(m, "power_before", 900.0), "before", "although nobody charges"),
    "a pilot that is cut": (lambda m: setattr(m, "no_car", True), "plug in", "no car is seen"),
    "a card that is refused": (lambda m: setattr(m, "card_refused", True), "authorize", "no card was accepted"),
    "a limit of nothing": (lambda m: setattr(m, "limit_a", 0.0), "offer", "nothing is offered: 0 A: a limit"),
    "a car that is full": (lambda m: setattr(m, "car_asks", False), "request", "pilot stays B"),
    "a contactor that stays open": (lambda m: setattr(m, "closes", False), "contactor", "does not close"),
    "a fuse that is out": (lambda m: setattr(m, "draws_a", 0.0), "current", "0.0 A are measured"),
    "a car that takes too much": (lambda m: setattr(m, "draws_a", 25.0), "current", "25.0 A are measured and 16 A"),
    "a meter that is turned round": (lambda m: setattr(m, "backwards", True), "current", "flows the wrong way"),
    "a scale ten times too large": (lambda m: setattr(m, "scale", 10.0), "meter", "does not fit"),
    "a register that stands": (lambda m: setattr(m, "scale", 0.0), "meter", "does not fit"),
    "a register that runs back": (lambda m: setattr(m, "scale", -1.0), "meter", "runs backwards"),
    "a contactor that is welded": (lambda m: setattr(m, "opens", False), "stop", "does not open"),
    "an order that is refused": (lambda m: setattr(m, "refuses", "stop"), "stop", "it is not allowed"),
    "a car that stays": (lambda m: setattr(m, "stays", True), "unplug", "car is still seen"),
    "a queue that stands": (lambda m: setattr(m, "waiting", 3), "told", "3 messages still wait"),
    "a fault on the way": (lambda m: setattr(m, "fault_at", 108.0), "current", "fault ground: a fault"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_found_where_it_shows_and_told_with_a_remedy(planted: str) -> None:
    plant, step, words = PLANTED[planted]
    model = Model()
    plant(model)
    *before, last = played(model)
    assert (last.step, last.verdict.good) == (step, False), last
    assert words in f"{last.verdict.text} {last.verdict.remedy}"
    assert last.verdict.remedy
    assert all(one.verdict.good is not False for one in before)


def test_a_fault_that_stops_nobody_is_told_and_does_not_fail_the_test() -> None:
    done = played(Model(fault_at=0.0, fault_stops=False))
    assert all(one.verdict.good for one in done)
    assert "a fault" in done[0].verdict.text


def test_without_a_link_what_waits_is_a_note() -> None:
    done = played(Model(linked=False, waiting=5))
    assert (done[-1].verdict.good, "5 messages wait" in done[-1].verdict.text) == (None, True)
