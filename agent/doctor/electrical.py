"""What flows, held against what is offered, and the heat, held against the curve that takes current away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agent.blocks.heat import COLDEST_C, HOTTEST_C
from agent.blocks.supervision import FLOW_A, OVER_A, OVER_FACTOR
from agent.config import EvseConfig
from agent.doctor.report import Check, fail, ok, skip, warn
from agent.edge.hardware import EvseParts
from drivers.api import DriverError, Measurand, Phase, ReadsMore

LINES = (Phase.L1, Phase.L2, Phase.L3)
COOL = "let it cool; fan, terminals, the place it hangs at"


async def derating(evse: EvseConfig, parts: EvseParts) -> Check:
    """Whether a temperature is told at all, and what it leaves of the current."""
    name, curve = f"evse{evse.id}.derating", evse.derating
    assert curve is not None
    try:
        samples = await (parts.meter.read_all() if isinstance(parts.meter, ReadsMore) else parts.meter.read())
        told = [s.value for s in samples if s.measurand is Measurand.TEMPERATURE]
        by_controller_c = (await parts.controller.read()).temperature_c
    except DriverError as error:
        return skip(name, str(error))
    told += [] if by_controller_c is None else [by_controller_c]
    sane = [value for value in told if COLDEST_C <= value <= HOTTEST_C]
    if not sane:
        why = f"{told[0]:g} C is no temperature of a cabinet" if told else "neither meter nor controller tells one"
        return warn(name, f"the curve is never used: {why}", "another meter, or take [evse.derating] out")
    hottest_c = max(sane)
    if hottest_c >= curve.stop_c:
        return fail(name, f"{hottest_c:.0f} C: nothing is offered from {curve.stop_c:g} C on", COOL)
    if hottest_c > curve.from_c:
        return warn(name, f"{hottest_c:.0f} C: less is offered from {curve.from_c:g} C on", COOL)
    return ok(name, f"{hottest_c:.0f} C, less is offered from {curve.from_c:g} C on")


def running(name: str, evse: dict[str, Any]) -> Iterator[Check]:
    """The same by what the running agent tells; a car has some seconds to follow a changed offer."""
    if (drawn_a := evse.get("current_a")) is not None:
        yield _flow(name, drawn_a, evse.get("offer_a") or 0.0)
    if (limit_a := evse.get("temperature_limit_a")) is not None:
        text = f"{evse.get('temperature_c'):.0f} C leave {limit_a:g} A"
        yield warn(f"{name}.derating", text, COOL)


async def standing(evse: EvseConfig, parts: EvseParts) -> Check:
    """What flows under an order that somebody left standing."""
    name = f"evse{evse.id}"
    try:
        offer_a = (await parts.controller.read()).offered_a
        samples = await parts.meter.read()
    except DriverError as error:
        return skip(f"{name}.current", str(error))
    drawn = [s.value for s in samples if s.measurand is Measurand.CURRENT_IMPORT and s.phase in LINES]
    if not drawn or offer_a is None:
        return skip(f"{name}.current", "the controller does not tell its order, or the meter no current")
    return _flow(name, max(drawn), offer_a)


def _flow(name: str, drawn_a: float, offer_a: float) -> Check:
    again = "ask again after ten seconds; then: does the car obey the pilot? the ratio of the current transformers?"
    if offer_a and drawn_a > offer_a * OVER_FACTOR + OVER_A:
        return warn(f"{name}.current", f"{drawn_a:.1f} A flow, {offer_a:g} A are offered", again)
    if not offer_a and drawn_a >= FLOW_A:
        return warn(f"{name}.current", f"{drawn_a:.1f} A flow though nothing is offered", again)
    return ok(f"{name}.current", f"{drawn_a:.1f} A of {offer_a:g} A")
