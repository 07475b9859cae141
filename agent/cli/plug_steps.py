"""The steps of a test charge: what the technician does, what must be seen of it within which time, and what is wrong if
it is not.

A step looks at what the running agent tells (`Look`) and gives a `Verdict`, or None while it must go on waiting. A
fault that the agent finds meanwhile decides the step at once, with the words of the catalogue. Everything here is a
function of looks and times: nothing is asked, ordered or slept here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from agent.core.faults import CATALOGUE

MEASURE_S, LONGEST_MEASURE_S = 15.0, 60.0
LEAST_WH = 5.0  # less says little about a register that counts whole watt-hours
ROUGHLY = (0.75, 1.3)  # of the energy that the power says
SLACK_WH = 2.0
FLOWS_A, STILL_W = 1.0, 60.0
MARGIN_A, MARGIN = 1.0, 1.1  # a car may take a little more than it is offered
SETTLES_S = 6.0  # a car has its time to follow the offer
STALE_S = 10.0
NOMINAL_V = 230.0


class Look(NamedTuple):
    """What the agent tells of the EVSE at one moment (`mono`, seconds); the dicts are those of its answers."""

    mono: float
    evse: Mapping[str, Any]
    values: Mapping[tuple[str, str], float]  # (measurand, phase or "") -> value
    meter_age_s: float | None
    waiting: int = 0
    linked: bool = True

    @property
    def power_w(self) -> float | None:
        whole = self.values.get(("Power.Active.Import", ""))
        phases = [v for (name, phase), v in self.values.items() if name == "Power.Active.Import" and phase]
        return whole if whole is not None else sum(phases) if phases else None

    @property
    def current_a(self) -> float | None:
        """Of the phase that carries most."""
        found = [abs(v) for (name, phase), v in self.values.items() if name == "Current.Import" and phase != "N"]
        if found:
            return max(found)
        power_w = self.power_w
        return None if power_w is None else abs(power_w) / NOMINAL_V / (self.evse.get("phases") or 1)

    @property
    def energy_wh(self) -> float | None:
        return self.values.get(("Energy.Active.Import.Register", ""))


class Verdict(NamedTuple):
    """`good` None: it could not be seen, and nothing speaks against it."""

    good: bool | None
    text: str
    remedy: str = ""


Judge = Callable[[list[Look]], Verdict | None]


class Step(NamedTuple):
    """`do`: what the technician does now ("": nothing); `order`: what the agent is told ("start", "stop" or "");
    `judge` is asked with every look since the step began, `late` when the time is over."""

    name: str
    do: str
    patience_s: float
    judge: Judge
    late: Callable[[Look], Verdict]
    order: str = ""


def fault_of(look: Look) -> Verdict | None:
    """What the agent itself has found, if it keeps the car from charging."""
    for fault in look.evse.get("faults") or ():
        if not _stops(fault):
            continue
        info = f" ({fault['info']})" if fault.get("info") else ""
        return Verdict(False, f"fault {fault.get('id')}: {fault.get('text')}{info}", str(fault.get("remedy") or ""))
    return None


def _stops(fault: Mapping[str, Any]) -> bool:
    row = CATALOGUE.get(str(fault.get("id")))
    return row is None or row.stops


# --- before the car comes -----------------------------------------------------------------------------------


def _ready(looks: list[Look]) -> Verdict | None:
    look = looks[-1]
    evse, number = look.evse, look.evse.get("id")
    if evse.get("transaction"):
        return Verdict(False, "a charge runs here already", f"end it: chargepoint stop {number}")
    if evse.get("contactor"):
        return Verdict(False, "the contactor is closed although nobody charges", "switch off the supply; replace it")
    if evse.get("status") is None or look.meter_age_s is None or look.meter_age_s > STALE_S:
        return None
    if not evse.get("operative", True):
        return Verdict(False, "this EVSE is out of service", f"chargepoint availability in {number}")
    power_w = look.power_w or 0.0
    if abs(power_w) > STILL_W:
        return Verdict(False, f"the meter tells {power_w:.0f} W although nobody charges", "is it this outlet's meter?")
    notes = [str(fault.get("text")) for fault in evse.get("faults") or ()]
    notes += [] if look.linked else ["there is no link to the CSMS: what it decides cannot be tested"]
    return Verdict(True, "; ".join([f"controller and meter answer, {_kwh(look)}", *notes]))


def _not_ready(look: Look) -> Verdict:
    device = "meter" if look.evse.get("status") else "controller"
    return Verdict(False, f"the {device} has not answered", f"chargepoint trace modbus --device {device}")


# --- with the car -------------------------------------------------------------------------------------------


def _plugged(looks: list[Look]) -> Verdict | None:
    evse = looks[-1].evse
    if evse.get("pilot") not in ("B", "C", "D"):
        return None
    cable_a = evse.get("cable_a")
    return Verdict(True, f"pilot {evse['pilot']}" + (f", the cable bears {cable_a:g} A" if cable_a else ""))


def _not_plugged(look: Look) -> Verdict:
    pilot = look.evse.get("pilot")
    remedy = (
        "is it plugged in to the stop, at both ends? Then check the wiring of the pilot (CP), and with a socket of PP"
    )
    return Verdict(False, f"no car is seen: the pilot is {pilot}", remedy)


def _let_in(looks: list[Look]) -> Verdict | None:
    tx = looks[-1].evse.get("transaction")
    return Verdict(True, f"transaction {tx.get('id')}, card {tx.get('token') or '-'}") if tx else None


def _not_let_in(look: Look) -> Verdict:
    if look.evse.get("authorized"):
        return Verdict(
            False, f"card {look.evse['authorized']} may charge, and nothing began", "chargepoint log --lines 20"
        )
    return Verdict(
        False,
        "no card was accepted",
        "chargepoint log --lines 20 says whether one was read, and who refused it; chargepoint doctor tests the reader",
    )


def _offered(looks: list[Look]) -> Verdict | None:
    offer_a = looks[-1].evse.get("offer_a") or 0
    return Verdict(True, f"offers {looks[-1].evse.get('explanation') or f'{offer_a:g} A'}") if offer_a > 0 else None


def _not_offered(look: Look) -> Verdict:
    return Verdict(
        False, f"nothing is offered: {look.evse.get('explanation') or 'no reason is known'}", "remove that limit"
    )


def _asks(looks: list[Look]) -> Verdict | None:
    pilot = looks[-1].evse.get("pilot")
    return Verdict(True, f"pilot {pilot}: the car asks for energy") if pilot in ("C", "D") else None


def _does_not_ask(look: Look) -> Verdict:
    pilot, remedy = look.evse.get("pilot"), "is it full, or set to charge later? Try another car or a test box"
    return Verdict(False, f"the car does not ask for energy: the pilot stays {pilot}", remedy)


def _closed(looks: list[Look]) -> Verdict | None:
    contactor = looks[-1].evse.get("contactor")
    if contactor is None:
        return Verdict(None, "this controller does not tell; the current will show")
    return Verdict(True, "closed") if contactor else None


def _not_closed(_look: Look) -> Verdict:
    return Verdict(False, "the contactor does not close", "check its coil, its supply and its auxiliary contact")


def _flows(looks: list[Look]) -> Verdict | None:
    look = looks[-1]
    power_w, current_a, offer_a = look.power_w, look.current_a, look.evse.get("offer_a") or 0.0
    if power_w is not None and power_w < -STILL_W:
        remedy = "the meter is wired backwards: turn its supply side, or its current transformers, round"
        return Verdict(False, f"the meter tells {power_w:.0f} W: energy flows the wrong way", remedy)
    if current_a is None or current_a < FLOWS_A:
        return None
    began = next(each.mono for each in looks if (each.current_a or 0.0) >= FLOWS_A)
    if look.mono - began < SETTLES_S:
        return None
    if current_a > offer_a * MARGIN + MARGIN_A:
        remedy = "try another car; if it is so again, check the ratio of the current transformers and the meter's map"
        return Verdict(False, f"{current_a:.1f} A are measured and {offer_a:g} A offered", remedy)
    less = "; it takes less than it may, as a car decides" if current_a < 0.6 * offer_a else ""
    return Verdict(True, f"{current_a:.1f} A of {offer_a:g} A{less}")


def _does_not_flow(look: Look) -> Verdict:
    current_a = look.current_a
    seen = "no current is measured" if current_a is None else f"{current_a:.1f} A are measured"
    return Verdict(
        False, f"{seen} although the car may charge", "check the fuse, the contactor and where the meter sits"
    )


def _counts(measure_s: float) -> Judge:
    return lambda looks: _counted(looks, measure_s)


def _counted(looks: list[Look], measure_s: float) -> Verdict | None:
    """The register against the power over the same time."""
    first, last = looks[0], looks[-1]
    span_s = last.mono - first.mono
    if first.energy_wh is None or last.energy_wh is None or last.power_w is None:
        return None
    counted_wh, told_wh = last.energy_wh - first.energy_wh, _told_wh(looks)
    if span_s < measure_s or (told_wh < LEAST_WH and span_s < LONGEST_MEASURE_S):
        return None
    text = f"{counted_wh:.1f} Wh were counted in {span_s:.0f} s, and the power says {told_wh:.1f} Wh"
    if counted_wh < 0:
        return Verdict(
            False, text, "the register runs backwards: check the meter's wiring and which register the map reads"
        )
    low, high = ROUGHLY[0] * told_wh - SLACK_WH, ROUGHLY[1] * told_wh + SLACK_WH
    if not low <= counted_wh <= high:
        return Verdict(False, text, "the scale or unit of the energy register in the map does not fit this meter")
    return Verdict(True, text)


def _told_wh(looks: list[Look]) -> float:
    return sum((b.mono - a.mono) * ((a.power_w or 0.0) + (b.power_w or 0.0)) / 2 for a, b in pairwise(looks)) / 3600


def _does_not_count(look: Look) -> Verdict:
    what = "energy" if look.energy_wh is None else "power"
    return Verdict(False, f"the meter tells no {what}", "chargepoint meter read shows what its map finds")


# --- the end ------------------------------------------------------------------------------------------------


def _stopped(looks: list[Look]) -> Verdict | None:
    look = looks[-1]
    if look.evse.get("contactor") or look.evse.get("transaction") or (look.evse.get("offer_a") or 0) > 0:
        return None
    if look.power_w is not None and abs(look.power_w) > STILL_W:
        return None
    tells = "the contactor is open" if look.evse.get("contactor") is False else "no current flows"
    return Verdict(True, f"{tells}, the transaction has ended")


def _not_stopped(look: Look) -> Verdict:
    if look.evse.get("contactor"):
        return Verdict(False, "the contactor does not open", "do not touch; switch off the supply and replace it")
    if look.power_w is not None and abs(look.power_w) > STILL_W:
        return Verdict(
            False, f"{look.power_w:.0f} W flow although the contactor is said to be open", "do not touch; switch off"
        )
    return Verdict(False, "the transaction does not end", "chargepoint log --lines 20")


def _left(looks: list[Look]) -> Verdict | None:
    evse = looks[-1].evse
    return Verdict(True, f"pilot A, {_kwh(looks[-1])}") if evse.get("pilot") == "A" else None


def _not_left(look: Look) -> Verdict:
    return Verdict(
        False,
        f"the car is still seen: the pilot is {look.evse.get('pilot')}",
        f"is the plug locked? chargepoint unlock {look.evse.get('id')}",
    )


def _told(looks: list[Look]) -> Verdict | None:
    look = looks[-1]
    if not look.linked:
        return Verdict(None, f"there is no link: {look.waiting} messages wait for it")
    return Verdict(True, "the CSMS has taken everything") if look.waiting == 0 else None


def _not_told(look: Look) -> Verdict:
    return Verdict(False, f"{look.waiting} messages still wait for the CSMS", "chargepoint queue")


def _kwh(look: Look) -> str:
    return f"meter at {look.energy_wh / 1000:.3f} kWh" if look.energy_wh is not None else "the meter tells no energy"


def steps(evse: int, by_order: bool, measure_s: float = MEASURE_S) -> list[Step]:
    """In their order. `by_order`: the agent lets somebody in by itself, and no card is needed."""
    card = "" if by_order else f"Hold a card to the reader of EVSE {evse}."
    start = "start" if by_order else ""
    return [
        Step("before", "", 15.0, _ready, _not_ready),
        Step("plug in", f"Plug a car (or a test box) into EVSE {evse}.", 180.0, _plugged, _not_plugged),
        Step("authorize", card, 90.0, _let_in, _not_let_in, start),
        Step("offer", "", 20.0, _offered, _not_offered),
        Step("request", "", 90.0, _asks, _does_not_ask),
        Step("contactor", "", 15.0, _closed, _not_closed),
        Step("current", "", 60.0, _flows, _does_not_flow),
        Step("meter", "", LONGEST_MEASURE_S + measure_s, _counts(measure_s), _does_not_count),
        Step("stop", "", 30.0, _stopped, _not_stopped, "stop"),
        Step("unplug", f"Unplug the car from EVSE {evse}.", 180.0, _left, _not_left),
        Step("told", "", 30.0, _told, _not_told),
    ]
