"""What the running agent tells of itself, as checks: it holds lines and connection, so nobody else touches them.

The answer is that of `chargepoint status`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agent.doctor import electrical
from agent.doctor.report import Check, fail, note, ok, warn

METER_OLD_S = 30.0
BEGINS_S = 15.0  # an agent that has just started may not have heard of every device yet
Answer = dict[str, Any]


def begins(answer: Answer) -> bool:
    """It has just started and has not read everything: worth to be asked again in a moment."""
    unread = [e for e in answer.get("evses") or () if e.get("pilot") is None or e.get("meter_age_s") is None]
    return bool(unread) and float(answer.get("uptime_s") or 0.0) < BEGINS_S


def check(answer: Answer) -> Iterator[Check]:
    """All that can be said without touching anything."""
    yield ok("agent", f"version {answer.get('version')} runs; it was asked, and no bus was touched")
    yield from _link(answer)
    quality = (answer.get("clock") or {}).get("quality")
    if quality == "synced":
        yield ok("clock.agent", "is confirmed by the CSMS or NTP")
    else:
        yield note("clock.agent", f"is not confirmed yet ({quality})")
    for evse in answer.get("evses") or ():
        yield from _evse(evse)
    storage = answer.get("storage") or {}
    if storage.get("state") == "ok":
        yield ok("storage", f"{storage.get('bytes', 0) >> 10} KiB used")
    else:
        yield fail("storage", str(storage.get("why") or "is not well"), "see [storage] dir and the disk")
    if letters := answer.get("dead_letters"):
        yield warn("queue", f"{len(letters)} messages were given up on", "chargepoint queue shows them")
    for warning in answer.get("warnings") or ():
        yield warn("configuration", str(warning))


def _link(answer: Answer) -> Iterator[Check]:
    link = answer.get("link") or {}
    why = link.get("why") or link.get("unhealthy")
    if link.get("state") != "connected" or why:
        yield fail("csms.websocket", f"{link.get('host')}: {why or link.get('state')}", "chargepoint status")
    else:
        yield ok("csms.websocket", f"connected to {link.get('host')} for {link.get('for_s')} s")
    registration = answer.get("registration")
    if registration == "Accepted":
        yield ok("csms.registration", f"Accepted, OCPP {answer.get('protocol')}")
    else:
        yield warn("csms.registration", f"is {registration}", "the CSMS must know and accept this charger")


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
