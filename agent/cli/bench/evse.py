"""`chargepoint evse read|offer MAP ...`: a controller as its registers and as the agent sees it; needs no agent.

MAP may be a driver in Python too (openevse, innogy-ebox, smartevse ...). With --config it is the number of an
EVSE, whose controller is whatever that file says: made of parts, or by a driver of your own (`controller`).

`read` writes nothing; only a controller made of parts keeps its rules whenever it is asked, as for the agent. `offer`
lets the controller offer a current for some seconds, so that a person may watch pilot and contactor; it asks first (or
--yes), writes the watchdog registers as the agent would, and takes the offer back at the end, however it ends. Exit
codes: 0 done, 1 no answer, another device, no leave, or a contactor that stays closed, 2 the command line was wrong,
78 the configuration was, 130 interrupted (the offer was taken back).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from agent.cli import Parser
from agent.cli.bench import clear_screen, controller, guarded, line, one_verb, parser, show, tell, tell_json
from agent.errors import Exit
from drivers.api import DriverError, EvseReading
from drivers.mapwords import EvseMap
from drivers.probe import bench, shelf

ABOUT = """read: what a controller tells, beside its registers
offer: let it offer a current for some seconds, and take it back"""
MAX_FOR_S = 3600
YES = ("y", "yes")


def main(argv: Sequence[str]) -> int:
    return one_verb("evse", list(argv), {"read": _read, "offer": _offer}, ABOUT)


def _read(argv: list[str]) -> int:
    options_of = parser("evse read", "Show what a controller tells, beside its registers. Nothing is written.")
    line.add_device(options_of, configured=True)
    options_of.add_argument("--connector", type=int, default=1, metavar="N", help="of a device that has several")
    options_of.add_argument("--watch", action="store_true", help="again every second, until Ctrl-C")
    options = options_of.parse_args(argv)

    def work() -> int:
        if (made := controller.of(options_of, options)) is not None:
            return _read_by(made, options)
        found = shelf.evse(options.map, line.folders(options), options.connector)
        place = line.place(options_of, options, found.device)
        bad = False

        def told(read: bench.Read, reading: EvseReading) -> bool:
            nonlocal bad
            bad = any(value.why for value in read.identity)
            if options.json:
                tell_json(_json(found, read, reading))
                return bool(options.watch)
            if options.watch:
                clear_screen()
            tell("\n".join([show.head(found.device, line.shown(place)), *show.table([*read.identity, *read.values])]))
            tell("\n".join([*show.stranger(read.identity, ()), f"the agent sees: {seen(reading)}"]))
            return bool(options.watch)

        bench.read_evse(place, found, told)
        return Exit.FAILURE if bad else Exit.OK

    return guarded("chargepoint evse", work)


def _read_by(made: controller.Made, options: argparse.Namespace) -> int:
    """A controller that is no map has no registers to show."""

    def told(who: str, reading: EvseReading) -> bool:
        if options.json:
            tell_json({"controller": made.name, "identity": who, "raw": reading.raw, "reading": reading_json(reading)})
            return bool(options.watch)
        if options.watch:
            clear_screen()
        tell(f"{who or made.name}, {made.where}\n  {reading.raw}\nthe agent sees: {seen(reading)}")
        return bool(options.watch)

    bench.read_by(made.opens, told)
    return Exit.OK


def seen(reading: EvseReading) -> str:
    """What a controller tells, in one line."""
    words = {None: "not told", True: "closed", False: "open"}
    parts = [f"pilot {reading.pilot}", f"contactor {words[reading.contactor]}"]
    if reading.offered_a is not None:
        parts.append(f"order {reading.offered_a:g} A")
    if reading.cable_a is not None:
        parts.append(f"cable {reading.cable_a:g} A" if reading.cable_a else "no cable")
    if reading.locked is not None:
        parts.append("locked" if reading.locked else "unlocked")
    return ", ".join([*parts, f"faults: {', '.join(reading.faults) or 'none'}"])


def _json(found: EvseMap, read: bench.Read, reading: EvseReading) -> dict[str, object]:
    return {
        "map": found.device.name,
        "identity": [show.value_json(value) for value in read.identity],
        "values": [show.value_json(value) for value in read.values],
        "reading": reading_json(reading),
    }


def reading_json(reading: EvseReading) -> dict[str, object]:
    return {
        "pilot": str(reading.pilot),
        "contactor": reading.contactor,
        "offered_a": reading.offered_a,
        "cable_a": reading.cable_a,
        "locked": reading.locked,
        "faults": [str(fault) for fault in reading.faults],
    }


def _offer(argv: list[str]) -> int:
    options_of = parser("evse offer", "Let a controller offer a current for some seconds, then take it back.")
    line.add_device(options_of, configured=True)
    options_of.add_argument("amps", type=float, metavar="AMPS", help="6 or more; 0 withholds power")
    options_of.add_argument("--for-s", type=float, default=20.0, metavar="S", help="how long; 20")
    options_of.add_argument("--connector", type=int, default=1, metavar="N", help="of a device that has several")
    options_of.add_argument("--yes", action="store_true", help="do not ask")
    options = options_of.parse_args(argv)
    if not 0 < options.for_s <= MAX_FOR_S:
        options_of.error(f"--for-s is {options.for_s:g}; expected up to {MAX_FOR_S}")
    return guarded("chargepoint evse", lambda: _offered(options_of, options))


def _offered(options_of: Parser, options: argparse.Namespace) -> int:
    amps = options.amps
    made = controller.of(options_of, options) or controller.mapped(options_of, options)
    if amps != 0 and not made.min_a <= amps <= made.max_a:
        options_of.error(f"AMPS is {amps:g}; {made.name} takes {made.min_a:g} to {made.max_a:g}, or 0")
    if not options.yes and not _agreed(f"{made.name}, {made.where}", amps, options.for_s):
        raise DriverError("nothing was written; answer y, or say --yes")

    def told(left_s: float, reading: EvseReading) -> None:
        if options.json:
            tell_json({"left_s": round(left_s), "reading": reading_json(reading)})
        else:
            tell(f"{left_s:3.0f} s left: {seen(reading)}" if left_s else f"taken back: {seen(reading)}")

    bench.offer_by(made.opens, amps, options.for_s, told, min(made.poll_s, bench.POLL_S), made.opens_s)
    return Exit.OK


def _agreed(what: str, amps: float, for_s: float) -> bool:
    print(f"{what}\nA car that is plugged in may charge with {amps:g} A for {for_s:g} s.", file=sys.stderr)
    print("Is nobody at the outlet, and no agent running? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in YES
