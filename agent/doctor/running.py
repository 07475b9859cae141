"""What the running agent tells of itself, as checks: it holds lines and connection, so nobody else touches them.

The answer is that of `chargepoint status`; of the lines, what was lost meanwhile counts, and what was lost since the
start of the agent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from agent.doctor import electrical
from agent.doctor.lines import line
from agent.doctor.report import GUARD, Check, fail, note, ok, skip, warn

METER_OLD_S = 30.0
BEGINS_S = 15.0  # an agent that has just started may not have heard of every device yet
LISTENS_S = 3.0  # a few polls of each device
GAP = re.compile(r"EVSE (\d+): its controller (.*)")  # `agent.parts` says so of what no watchdog guards
Answer = dict[str, Any]


def settles(answer: Answer) -> bool:
    """It is worth to be asked again in a moment: it has just started and has not read everything, or a car has just
    lost its offer and gets its time to let go."""
    evses = answer.get("evses") or ()
    unread = [e for e in evses if e.get("pilot") is None or e.get("meter_age_s") is None]
    begins = bool(unread) and float(answer.get("uptime_s") or 0.0) < BEGINS_S
    return begins or any(e.get("contactor") and not e.get("offer_a") and not e.get("faults") for e in evses)


def check(answer: Answer, later: Answer) -> Iterator[Check]:
    """All that can be said without touching anything. `later`: what it told `LISTENS_S` after that."""
    yield ok("agent", f"version {answer.get('version')} runs; it was asked, and no bus was touched")
    before = {bus.get("name"): bus for bus in answer.get("buses") or ()}
    answer = later
    yield from _link(answer)
    quality = (answer.get("clock") or {}).get("quality")
    if quality == "synced":
        yield ok("clock.agent", "is confirmed by the CSMS or NTP")
    else:
        yield note("clock.agent", f"is not confirmed yet ({quality})")
    for evse in answer.get("evses") or ():
        yield from _evse(evse)
    for bus in answer.get("buses") or ():
        yield _line(bus, before.get(bus.get("name")) or {})
    storage = answer.get("storage") or {}
    if storage.get("state") == "ok":
        yield ok("storage", f"{storage.get('bytes', 0) >> 10} KiB used")
    else:
        yield fail("storage", str(storage.get("why") or "is not well"), "see [storage] dir and the disk")
    if letters := answer.get("dead_letters"):
        yield warn("queue", f"{len(letters)} messages were given up on", "chargepoint queue shows them")
    for warning in answer.get("warnings") or ():
        yield _warning(str(warning))


def _warning(text: str) -> Check:
    found = GAP.fullmatch(text)
    return warn(f"evse{found[1]}.watchdog", found[2], GUARD) if found else warn("configuration", text)


def _link(answer: Answer) -> Iterator[Check]:
    link = answer.get("link") or {}
    why = link.get("why") or link.get("unhealthy")
    if link.get("state") != "connected" or why:
        yield fail("csms.websocket", f"{link.get('host')}: {why or link.get('state')}", _what_to_do(link))
    else:
        yield ok("csms.websocket", f"connected to {link.get('host')} for {link.get('for_s')} s")
    registration = answer.get("registration")
    if registration == "Accepted" and answer.get("protocol"):
        yield ok("csms.registration", f"Accepted, OCPP {answer.get('protocol')}")
    elif link.get("state") != "connected":
        yield skip("csms.registration", "there is no connection")
    else:
        told = "the CSMS has not answered yet" if registration in (None, "None") else f"the CSMS says {registration}"
        yield warn("csms.registration", told, "the CSMS must know and accept this charger")


def _what_to_do(link: Answer) -> str:
    return str(link.get("remedy") or "chargepoint status says more")


def _line(bus: Answer, before: Answer) -> Check:
    if bus.get("open") is False:
        return fail(f"bus.{bus.get('name')}", f"{bus.get('port')} cannot be opened", "is it plugged in? dmesg, ls -l")
    asked, broken = (int(bus.get(key) or 0) for key in ("questions", "broken"))
    was_asked, was_broken = (int(before.get(key) or 0) for key in ("questions", "broken"))
    return line(str(bus.get("name")), str(bus.get("port")), (asked, broken), (asked - was_asked, broken - was_broken))


def _evse(evse: Answer) -> Iterator[Check]:
    name = f"evse{evse.get('id')}"
    if evse.get("pilot") is None:
        yield fail(f"{name}.controller", "has told nothing yet", "power, bus, unit; chargepoint status")
    else:
        yield ok(f"{name}.pilot", str(evse["pilot"]))
    for fault in evse.get("faults") or ():
        yield fail(f"{name}.faults", f"{fault.get('id')}: {fault.get('text')}", str(fault.get("remedy") or ""))
    if evse.get("contactor") and not evse.get("offer_a"):
        yield fail(f"{name}.contactor", "is closed though nothing is offered", "DANGER: the outlet may be live")
    elif evse.get("contactor") is not None:
        yield ok(f"{name}.contactor", "closed" if evse["contactor"] else "open")
    age_s = evse.get("meter_age_s")
    if age_s is None or age_s > METER_OLD_S:
        yield fail(
            f"{name}.meter", "is silent" if age_s is None else f"is silent for {age_s:.0f} s", "power, bus, unit"
        )
    else:
        yield ok(f"{name}.meter", f"{(evse.get('energy_wh') or 0) / 1000:.3f} kWh, {age_s:g} s ago")
    yield from electrical.running(name, evse)
    if (evse.get("power_w") or 0.0) < -15.0:
        text = f"power is {evse['power_w']:.0f} W: what the car takes must count as import"
        yield fail(f"{name}.meter.sign", text, "swap the ends of the current path")
