"""`chargepoint bus scan --port PORT | --host HOST`: who is on this line, and which maps fit. Never writes.

Exit codes: 0 something was found, 1 nothing was, or the port cannot be opened, 2 the command line was wrong, 130
interrupted (what was found so far is shown).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

from agent.cli import Parser
from agent.cli.bench import guarded, line, one_verb, parser, tell, tell_json
from agent.errors import Exit
from drivers.bus import TcpSettings
from drivers.probe import bench, shelf
from drivers.probe.scan import Found, Progress, Result, Scan, Settings, say, serial_settings

ABOUT = "scan: find the devices on a serial line or behind a host, and the maps that fit them; never writes"
BAR = 24
REDRAW_S = 0.25  # a slow terminal must not slow the search


def main(argv: Sequence[str]) -> int:
    return one_verb("bus", list(argv), {"scan": _scan}, ABOUT)


def _scan(argv: list[str]) -> int:
    options_of = parser("bus scan", "Find devices and the maps that fit them. Nothing is written.")
    line.add_where(options_of)
    line.add_maps(options_of)
    options_of.add_argument("--baud", metavar="N,N", default="", help="only these; default all that are usual")
    options_of.add_argument("--parity", metavar="N,E,O", default="", help="only these")
    options_of.add_argument("--stop-bits", metavar="1,2", default="", help="only these")
    options_of.add_argument("--units", metavar="1-247", default="1-247", help="only these")
    options_of.add_argument("--timeout-ms", type=int, default=150, metavar="N", help="until an answer begins; 150")
    options_of.add_argument("--everywhere", action="store_true", help="go on at other speeds after a find")
    options = options_of.parse_args(argv)
    return guarded("chargepoint bus", lambda: _searched(options_of, options))


def _searched(options_of: Parser, options: argparse.Namespace) -> int:
    entries = shelf.entries(line.folders(options))
    timeout_s = line.limited(options_of, "--timeout-ms", options.timeout_ms, 10, 10_000) / 1000
    settings = _settings(options_of, options, entries)
    units = line.numbers(options_of, "--units", options.units, 0 if options.host else 1, 255 if options.host else 247)
    screen = _Screen(options.json)
    search = Scan(settings, units, bench.wire_of, entries, screen.told, timeout_s, options.everywhere)
    screen.search = search
    screen.begin(len(settings), len(units))
    try:
        bench.scan(search)
    finally:
        screen.end(search.result())
    return Exit.OK if search.found else Exit.FAILURE


def _settings(options_of: Parser, options: argparse.Namespace, entries: Sequence[shelf.Entry]) -> Sequence[Settings]:
    if options.host:
        return [TcpSettings(options.host, line.limited(options_of, "--tcp-port", options.tcp_port or 502, 1, 65535))]
    bauds = line.numbers(options_of, "--baud", options.baud, 300, 4_000_000) if options.baud else []
    stops = line.numbers(options_of, "--stop-bits", options.stop_bits, 1, 2) if options.stop_bits else []
    parities = [word.strip().upper() for word in options.parity.split(",")] if options.parity else []
    if any(word not in line.PARITIES for word in parities):
        options_of.error(f"--parity takes {', '.join(line.PARITIES)}, not {options.parity!r}")
    return serial_settings(options.port, bauds, parities, stops, entries, options.framing or "rtu")


class _Screen:
    """What a person sees meanwhile: a bar on the terminal, and each device as soon as it is found."""

    def __init__(self, as_json: bool) -> None:
        self.search: Scan | None = None
        self._json = as_json
        self._bar = sys.stderr.isatty()
        self._drawn_at = 0.0
        self._shown = 0
        self._began = time.monotonic()

    def begin(self, settings: int, units: int) -> None:
        assert self.search is not None
        usual_s, all_s = self.search.estimate()
        if not self._json:
            tell(
                f"asks {units} units at {settings} settings; the usual ones first, in {_span(usual_s)}, all in at most "
                f"{_span(all_s)}; Ctrl-C shows what was found"
            )

    def told(self, progress: Progress) -> None:
        self._news()
        now = time.monotonic()
        if self._bar and now - self._drawn_at >= REDRAW_S:
            self._drawn_at = now
            spent_s = now - self._began
            part = spent_s / (spent_s + progress.left_s) if spent_s + progress.left_s else 1.0
            bar = ("#" * round(BAR * part)).ljust(BAR, ".")
            print(
                f"\r[{bar}] {_span(progress.left_s):>8} left, {progress.where:<24}", end="", file=sys.stderr, flush=True
            )

    def _wipe(self) -> None:
        if self._bar and self._drawn_at:
            print(f"\r{'':78}\r", end="", file=sys.stderr, flush=True)

    def _news(self) -> None:
        assert self.search is not None
        for found in self.search.found[self._shown :]:
            self._shown += 1
            if not self._json:
                self._wipe()
                tell("\n".join(_lines(found)))

    def end(self, result: Result) -> None:
        self._wipe()
        self._news()
        if self._json:
            tell_json(_json(result))
            return
        if not result.asked:  # why, is told by whoever could not open the port
            return
        count = len(result.found)
        tell(f"{count} device{'' if count == 1 else 's'} found, {result.asked} questions asked")
        for settings, times in result.garbled.items():
            tell(
                f"! {times} broken answers at {settings}: another speed or parity, A and B swapped, no termination, or "
                "two devices with one unit number"
            )


def _lines(found: Found) -> list[str]:
    where = f"unit {found.unit} at {say(found.settings)}"
    if found.any_unit:
        where += " (answers to any unit number)"
    if not found.guesses:
        return [f"{where}: answers, but no map of the shelf fits"]
    head = "" if found.guesses[0].sure else "a device that does not say its name; by its values it may be"
    lines = [f"{where}: {head}".rstrip()]
    for guess in found.guesses:
        note = "" if guess.verified else ", unverified"
        lines.append(f"  {guess.title} (map {guess.name}{note}): {guess.why}")
    return lines


def _json(result: Result) -> dict[str, Any]:
    return {"found": [_found_json(found) for found in result.found], "garbled": result.garbled, "asked": result.asked}


def _found_json(found: Found) -> dict[str, Any]:
    at = found.settings
    line_json = (
        {"host": at.host, "tcp_port": at.port}
        if isinstance(at, TcpSettings)
        else {"port": at.port, "baud": at.baud, "parity": at.parity, "stop_bits": at.stop_bits}
    )
    maps = [
        {"kind": g.kind, "map": g.name, "sure": g.sure, "why": g.why, "verified": g.verified} for g in found.guesses
    ]
    return {**line_json, "unit": found.unit, "any_unit": found.any_unit, "maps": maps}


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
