"""`chargepoint status`: one screen on what the running agent is doing, in words for the person before the charger.

It sends `{"verb": "status"}` to the control socket and gets one JSON object, in which any part may be missing or null:

    version       of the program                         uptime_s    of the process
    vendor, model, serial, identity                      config      the file
    link          {state: "connected" | "connecting" | "waiting" | "stopped", host, why, remedy, for_s, redial_in_s,
                   rtt_s, slot, slots, security_profile, set_by_csms_utc, change: null | "trial" | "probe",
                   change_ends_s, answered_s, alive_s, unhealthy}
                  why: the last failure in words; for_s: how long it has been so; unhealthy: why a connection that
                  stands does not count; answered_s, alive_s: since the CSMS answered a CALL, since it gave any sign
    registration  "Accepted" | "Pending" | "Rejected" | "None"
    protocol      "2.0.1" | "1.6" | null
    clock         {quality: "synced" | "system" | "unknown", utc: "2026-11-21T10:00:00Z"}
    evses         [{id, status, pilot, cable_a, contactor, locked, operative, offer_a, explanation, phases_now,
                    phases_wanted, power_w, current_a, temperature_c, temperature_limit_a, energy_wh, meter_age_s,
                    transaction, faults}]
                  phases_*: of an outlet that can be switched, else null; current_a: of the phase that carries most
                  temperature_c, temperature_limit_a: where [evse.derating] is; what it leaves, null: all
                  transaction: null or {id, csms_id, state, for_s, energy_wh, token}; token: its last four characters
                  faults: [{id, text, remedy, info}]
    buses         [{name, port, open, questions, broken}]  since the start; broken: had no whole answer
    queue         {rows, bytes, oldest_s}                transaction messages that wait for the CSMS
    dead_letters  [{id, kind, evse, why, utc}] given up on, and kept
    storage       {state: "ok" | "failing" | "salvaged", why, bytes, limit_bytes}
    local_list    {enabled, version, entries}
    reservations  [{id, evse, token, left_s}]            evse null: any; left_s null: its bearer is there
    upload        "..." | null                           the log that is being sent, and how that goes
    quirks        ["..."]                                what is told otherwise, by name and version
    firmware      how an update stands, in words; null: none was ordered
    certificates  ["..."] what is trusted and what we show, and until when; security_events_waiting: a number
    warnings      ["..."]                                of the configuration, and what no watchdog guards

Numbers are in the unit of their name. Exit codes: 0 told, 1 the socket may not be opened or the agent refused, 2 the
command line was wrong, 69 the agent is not running, 78 the configuration file cannot be used.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from agent.cli import asking
from agent.cli.asking import Answer, Refused
from agent.cli.tables import amps, columns, is_screen, labelled, span
from agent.cli.tables import size as _size
from agent.errors import Exit

MAX_LETTERS = 5  # shown; chargepoint queue has them all
BOLD, RED, PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[0m"

Line = tuple[str, str, str]  # label, text, colour

__all__ = ["Refused", "ask", "main", "screen"]


def main(argv: Sequence[str]) -> int:
    """Show it once, or until Ctrl-C; the exit code."""
    options = asking.parser("status", "Show what the running agent is doing.", watch=True).parse_args(list(argv))
    path = asking.socket_of(options)
    colour = is_screen() and "NO_COLOR" not in os.environ
    asking.show(options, lambda: ask(path), lambda answer: screen(answer, colour=colour))
    return Exit.OK


def ask(path: str) -> Answer:
    """The agent's answer; NotRunning or Refused in plain words."""
    return asking.ask(path, "status")


# --- the screen ---------------------------------------------------------------------------------------------


def screen(answer: Answer, *, colour: bool = False) -> str:
    """All of it, as lines of a label and a text."""
    lines = [*_station(answer), *_link(answer), *_memory(answer)]
    for evse in answer.get("evses") or ():
        lines += [("", "", ""), *evse_lines(evse)]
    lines += _letters(answer.get("dead_letters") or [])
    lines += _notes(answer.get("warnings") or [])
    return draw(lines, colour=colour)


def draw(lines: Sequence[Line], *, colour: bool = False) -> str:
    """Labels and texts, within the width of the terminal."""
    width = columns()
    return "\n".join(shown for line in lines for shown in _drawn(line, width, colour))


def _drawn(line: Line, width: int, colour: bool) -> list[str]:
    label, text, shade = line
    lines = labelled(label, asking.printable(text), width)
    return [f"{shade}{each}{PLAIN}" if colour and shade and each else each for each in lines]


def _station(a: Answer) -> Iterator[Line]:
    serial = f", serial {a['serial']}" if a.get("serial") else ""
    name = " ".join(str(a[key]) for key in ("vendor", "model") if a.get(key))
    yield "Station", f"{a.get('identity', '?')} ({name or 'no name'}{serial})", BOLD
    yield "Agent", f"version {a.get('version', '?')}, running for {span(a.get('uptime_s'))}", ""


_LINK = {
    "connected": "connected to",
    "connecting": "dialling",
    "waiting": "no connection to",
    "stopped": "not dialling",
}
_REGISTRATION = {
    "Accepted": "registered",
    "Pending": "registration pending: the CSMS wants us to wait",
    "Rejected": "registration rejected: does the CSMS know this identity?",
    "None": "not registered yet",
}


def _link(a: Answer) -> Iterator[Line]:
    link = a.get("link") or {}
    state = str(link.get("state", "?"))
    up = state == "connected"
    words = [f"{_LINK.get(state, state)} {link.get('host') or 'the CSMS'} for {span(link.get('for_s'))}"]
    if up and a.get("protocol"):
        words.append(f"OCPP {a['protocol']}")
    if not up and link.get("redial_in_s") is not None:
        words.append(f"next try in {span(link['redial_in_s'])}")
    yield "CSMS", ", ".join(words), "" if up else RED
    if link.get("why") and not up:
        yield "", f"because: {link['why']}", ""
    if link.get("remedy") and not up:
        yield "", f"what to do: {link['remedy']}", ""
    if link.get("unhealthy"):
        yield "", f"not well: {link['unhealthy']}", RED
    yield from (("", text, "") for text in _link_more(link))
    if a.get("quirks"):
        yield "", f"quirks in force: {', '.join(str(name) for name in a['quirks'])}", ""
    registration = str(a.get("registration") or "None")
    if up or registration not in ("Accepted", "None"):  # without a link there is nothing to say of it
        yield "", _REGISTRATION.get(registration, registration), ""
    clock = a.get("clock") or {}
    yield "Clock", f"{clock.get('utc', '?')} ({_CLOCK.get(str(clock.get('quality')), 'nobody has told the time')})", ""


_CHANGE = {"trial": "trying a change of the link", "probe": "trying the preferred link again"}


def _link_more(link: Answer) -> Iterator[str]:
    """Which of several links this is, and who has said so."""
    words = []
    if link.get("answered_s") is not None:
        words.append(f"last answer {span(link['answered_s'])} ago")
    if link.get("state") == "connected" and link.get("rtt_s") is not None:
        words.append(f"round trip {max(1, round(link['rtt_s'] * 1000))} ms")
    if link.get("security_profile") is not None:
        words.append(f"security profile {link['security_profile']}")
    slots = link.get("slots") or []
    if len(slots) > 1 or link.get("slot") not in (None, *slots):
        words.append(
            "last resort" if link.get("slot") == 0 else f"slot {link.get('slot')} of {', '.join(map(str, slots))}"
        )
    if words:
        yield ", ".join(words)
    if link.get("set_by_csms_utc"):
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(link["set_by_csms_utc"]))
        yield f"set by the CSMS on {when}; edit [csms] in the file to undo it"
    if link.get("change") in _CHANGE:
        ends = (
            f"; the one before returns in {span(link['change_ends_s'])}"
            if link.get("change_ends_s") is not None
            else ""
        )
        yield f"{_CHANGE[link['change']]}{ends}"


_CLOCK = {"synced": "confirmed by CSMS or NTP", "system": "of the system, not confirmed"}


def _memory(a: Answer) -> Iterator[Line]:
    queue = a.get("queue") or {}
    rows = queue.get("rows") or 0
    if rows:
        noun = "message waits" if rows == 1 else "messages wait"
        oldest, size = span(queue.get("oldest_s")), _size(queue.get("bytes"))
        yield "Queue", f"{rows} {noun} for the CSMS, the oldest for {oldest}, {size}", ""
    else:
        yield "Queue", "empty: the CSMS has answered everything", ""
    storage = a.get("storage") or {}
    state = storage.get("state", "?")
    limit = f" of {_size(storage['limit_bytes'])}" if storage.get("limit_bytes") else ""
    why = f": {storage['why']}" if storage.get("why") else ""
    yield "Storage", f"{state}{why}, {_size(storage.get('bytes'))}{limit} used", "" if state == "ok" else RED
    yield from _kept(a)
    if a.get("firmware"):
        yield "Firmware", str(a["firmware"]), ""
    if a.get("upload"):
        yield "Upload", str(a["upload"]), ""
    for number, text in enumerate(a.get("certificates") or ()):
        yield "" if number else "Trust", str(text), RED if "EXPIRED" in str(text) else ""
    if count := a.get("security_events_waiting"):
        yield "Security", f"{count} {'event waits' if count == 1 else 'events wait'} for the CSMS", ""


def _kept(a: Answer) -> Iterator[Line]:
    """For whom: the list of cards that charge without asking, and who has reserved."""
    cards = a.get("local_list") or {}
    if cards.get("entries"):
        off = "" if cards.get("enabled", True) else ", switched off"
        yield "Cards", f"{cards['entries']} in the local list, version {cards.get('version', '?')}{off}", ""
    for kept in a.get("reservations") or ():
        where = f"EVSE {kept['evse']}" if kept.get("evse") else "one EVSE"
        left = f"for {span(kept['left_s'])} yet" if kept.get("left_s") is not None else "who is there"
        yield "Reserved", f"{where} for card {kept.get('token', '?')} {left} (reservation {kept.get('id', '?')})", ""


_PILOT = {
    "A": "no car",
    "B": "car connected",
    "C": "car wants energy",
    "D": "car wants energy and ventilation",
    "E": "no pilot signal",
    "F": "controller out of order",
    "?": "a state that nobody knows",
}


def evse_lines(e: Answer) -> Iterator[Line]:
    out = "" if e.get("operative", True) else ", out of service"
    yield f"EVSE {e.get('id', '?')}", f"{e.get('status') or 'not read yet'}{out}", BOLD
    yield "  car", ", ".join(_car(e)), ""
    power = f"{e['power_w'] / 1000:.2f} kW" if e.get("power_w") is not None else "power unknown"
    yield "  power", f"{power}; offers {e.get('explanation') or amps(e.get('offer_a'))}{_phases(e)}", ""
    if e.get("energy_wh") is not None:
        age_s = e.get("meter_age_s") or 0
        old = f", read {span(age_s)} ago" if age_s >= 5 else ""
        yield "  meter", f"{e['energy_wh'] / 1000:.3f} kWh{old}", ""
    if tx := e.get("transaction"):
        yield "  charge", ", ".join(_transaction(tx)), ""
    for fault in e.get("faults") or ():
        info = f" ({fault['info']})" if fault.get("info") else ""
        yield "  FAULT", f"{fault.get('id', '?')}: {fault.get('text', '?')}{info}", RED
        if fault.get("remedy"):
            yield "", f"what to do: {fault['remedy']}", ""


def _phases(e: Answer) -> str:
    """Where they can be switched: how many there are, and how many are wanted."""
    now, wanted = e.get("phases_now"), e.get("phases_wanted")
    if not now:
        return ""
    return f"; {now} of 3 phases" + (f", {wanted} wanted" if wanted and wanted != now else "")


def _car(e: Answer) -> Iterator[str]:
    pilot = e.get("pilot")
    yield f"pilot {pilot}: {_PILOT.get(str(pilot), 'unknown')}" if pilot else "pilot not read yet"
    if e.get("cable_a") is not None:
        yield f"cable {amps(e['cable_a'])}" if e["cable_a"] else "no cable"
    if e.get("contactor") is not None:
        yield "contactor closed" if e["contactor"] else "contactor open"
    if e.get("locked") is not None:
        yield "locked" if e["locked"] else "not locked"


def _transaction(tx: Answer) -> Iterator[str]:
    name = f" (CSMS: {tx['csms_id']})" if tx.get("csms_id") else ""
    yield f"{tx.get('id', '?')}{name}"
    yield str(tx.get("state") or "?")
    yield f"{(tx.get('energy_wh') or 0) / 1000:.3f} kWh in {span(tx.get('for_s'))}"
    if tx.get("token"):
        yield f"card {tx['token']}"


def _letters(letters: Sequence[Answer]) -> Iterator[Line]:
    if not letters:
        return
    yield "", "", ""
    yield "Given up", f"{len(letters)} kept; the CSMS has refused them or never answered", RED
    for letter in letters[:MAX_LETTERS]:
        where = f"EVSE {letter['evse']}, " if letter.get("evse") else ""
        yield "", f"{letter.get('id', '?')} {letter.get('kind', '')}: {where}{letter.get('why') or '?'}", ""
    if len(letters) > MAX_LETTERS:
        yield "", f"and {len(letters) - MAX_LETTERS} more", ""
    yield "", "what to do: chargepoint queue", ""


def _notes(warnings: Sequence[str]) -> list[Line]:
    if not warnings:
        return []
    return [("", "", ""), *(("" if number else "Notes", str(text), "") for number, text in enumerate(warnings))]
