"""`chargepoint map list|check|test`: the shelf, every mistake in a map, and a map against its device. No agent needed.

Exit codes: 0 right, 1 there are mistakes, the values are nonsense, or nobody answers, 2 the command line was wrong,
130 interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.cli.bench import guarded, line, one_verb, parser, show, tell, tell_json
from agent.cli.bench.evse import seen
from agent.errors import Exit
from drivers.api import DriverError, EvseReading
from drivers.mapwords import Device, EvseMap, MeterMap
from drivers.probe import bench, judge, shelf
from drivers.probe.judge import Finding
from drivers.probe.mapcheck import Checked, Mistake, check_file

ABOUT = """list: all maps, with their confidence and factory settings
check FILE: every mistake in a map, with its line
test MAP: a map against its device: value beside register, nonsense flagged"""
MAX_FOR_S = 3600


def main(argv: Sequence[str]) -> int:
    return one_verb("map", list(argv), {"list": _list, "check": _check, "test": _test}, ABOUT)


# --- the shelf -----------------------------------------------------------------------------------------------


def _list(argv: list[str]) -> int:
    options_of = parser("map list", "Show all maps, with their confidence and factory settings.")
    line.add_maps(options_of)
    options_of.add_argument("words", nargs="*", metavar="WORD", help="only maps that have all these in their names")
    options = options_of.parse_args(argv)
    shelved = (*shelf.entries(line.folders(options)), *shelf.in_python())
    found = [entry for entry in shelved if _is_meant(entry, options.words)]
    for entry in found:
        if options.json:
            tell_json(_entry_json(entry))
    if not options.json:
        rows = [_columns(entry) for entry in found]
        wide = [max((len(row[place]) for row in rows), default=0) for place in range(4)]
        for row in rows:
            tell("  ".join(text.ljust(width) for text, width in zip(row, wide, strict=True)).rstrip())
    if not found:
        return guarded("chargepoint map", lambda: _nothing(options.words))
    return Exit.OK


def _nothing(words: list[str]) -> int:
    raise DriverError(f"no map has {' and '.join(words)} in its name" if words else "there are no maps")


def _is_meant(entry: shelf.Entry, words: Sequence[str]) -> bool:
    title = shelf.title(entry.map.device) if entry.map else ""
    text = f"{entry.kind} {entry.name} {title}".lower()
    return all(word.lower() in text for word in words)


def _columns(entry: shelf.Entry) -> tuple[str, str, str, str]:
    if entry.map is None:
        return entry.kind, entry.name, "BROKEN", entry.why
    return entry.kind, entry.name, confidence(entry), f"{shelf.title(entry.map.device)}; {_factory(entry.map.device)}"


def confidence(entry: shelf.Entry) -> str:
    """How far the numbers of a map can be trusted."""
    assert entry.map is not None
    if not entry.map.device.verified:
        return "unverified"
    count = len(entry.unverified)
    return f"verified but {count} register{'' if count == 1 else 's'}" if count else "verified"


def _factory(device: Device) -> str:
    serial, tcp = device.serial, device.tcp
    parts = []
    if serial:
        mark = "" if serial.verified else " (unverified)"
        parts.append(f"{serial.baud} 8{serial.parity}{serial.stop_bits} unit {serial.unit}{mark}")
    if tcp:
        parts.append(f"TCP {tcp.port} unit {tcp.unit}" + ("" if tcp.verified else " (unverified)"))
    return ", ".join(parts) or "factory settings not known"


def _entry_json(entry: shelf.Entry) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": entry.kind, "map": entry.name, "file": entry.file, "why": entry.why or None}
    if entry.map is None:
        return told
    device = entry.map.device
    return told | {
        "vendor": device.vendor,
        "model": device.model,
        "source": device.source,
        "verified": device.verified,
        "unverified_registers": list(entry.unverified),
        "serial": device.serial._asdict() if device.serial else None,
        "tcp": device.tcp._asdict() if device.tcp else None,
    }


# --- a file --------------------------------------------------------------------------------------------------


def _check(argv: list[str]) -> int:
    options_of = parser("map check", "Name every mistake in register maps, each with its line and remedy.")
    options_of.add_argument("files", nargs="+", metavar="FILE")
    options = options_of.parse_args(argv)
    codes = [guarded("chargepoint map", lambda file=file: _checked(file, options.json)) for file in options.files]  # type: ignore[misc]
    return max(codes)


def _checked(file: str, as_json: bool) -> int:
    checked = check_file(file)
    if as_json:
        tell_json(
            {
                "file": file,
                "kind": checked.kind,
                "mistakes": [mistake._asdict() for mistake in checked.mistakes],
                "remarks": [remark._asdict() for remark in checked.remarks],
            }
        )
    else:
        for mistake in checked.mistakes:
            tell(_line(file, mistake))
        for remark in checked.remarks:
            tell(_line(file, remark, "remark: "))
        tell(f"{file}: {_summary(checked)}")
    return Exit.FAILURE if checked.mistakes else Exit.OK


def _line(file: str, mistake: Mistake, word: str = "") -> str:
    where = f"{mistake.where}: " if mistake.where else ""
    return f"{file}:{mistake.line}: {word}{where}{mistake.why}"


def _summary(checked: Checked) -> str:
    if isinstance(checked.map, MeterMap):
        return f"ok, a meter map with {len(checked.map.registers)} values"
    if isinstance(checked.map, EvseMap):
        return f"ok, a controller map with {len(checked.map.faults)} faults"
    if checked.map is not None:
        return "ok, a map of an IO board"
    count = len(checked.mistakes)
    return f"{count} mistake{'' if count == 1 else 's'}"


# --- a file and its device -----------------------------------------------------------------------------------


def _test(argv: list[str]) -> int:
    options_of = parser("map test", "Read a device with a map; flag what is nonsense, and say what would make sense.")
    line.add_device(options_of)
    options_of.add_argument(
        "--for-s", type=float, default=5.0, metavar="S", help="between two looks at the energy, or at an IO board; 5"
    )
    options = options_of.parse_args(argv)
    if not 0 < options.for_s <= MAX_FOR_S:
        options_of.error(f"--for-s is {options.for_s:g}; expected up to {MAX_FOR_S}")

    def work() -> int:
        if shelf.is_file(options.map):
            checked = check_file(options.map)
            if checked.mistakes:
                first = checked.mistakes[0]
                more = f"; {len(checked.mistakes)} mistakes, see: chargepoint map check {options.map}"
                raise DriverError(_line(options.map, first) + (more if len(checked.mistakes) > 1 else ""))
        found = shelf.any_map(options.map, line.folders(options))
        place = line.place(options_of, options, found.device)
        if isinstance(found, EvseMap):
            return _test_evse(place, found, options.json)
        if isinstance(found, shelf.IoMap):
            return _test_io(place, found, options.for_s, options.json)
        return _test_meter(place, found, options.for_s, options.json)

    return guarded("chargepoint map", work)


def _test_meter(place: bench.Place, found: MeterMap, for_s: float, as_json: bool) -> int:
    problems: list[Finding] = []
    longer: list[str] = []

    def told(read: bench.Read, last: bool) -> None:
        wrong = [v for v in (*read.identity, *read.values) if v.why]
        problems[:] = [
            *(Finding("register", v.row.key, v.why + judge.of_a_manual(v.row)) for v in wrong),
            *read.findings,
        ]
        longer[:] = bench.unseen(found, read.values, for_s)
        if not last and not as_json:
            tell("\n".join([show.head(found.device, line.shown(place)), *show.table(read.identity)]))
            tell("\n".join(show.table(read.values, read.findings)))
        elif last and as_json:
            tell_json(
                {
                    "map": found.device.name,
                    "values": [show.value_json(value) for value in (*read.identity, *read.values)],
                    "findings": [show.finding_json(problem) for problem in problems],
                }
            )

    bench.try_meter(place, found, for_s, told)
    if not problems and not as_json:
        tell("\n".join(longer) or "the energy counts")
    return _verdict(problems, as_json)


def _test_evse(place: bench.Place, found: EvseMap, as_json: bool) -> int:
    problems: list[Finding] = []

    def told(read: bench.Read, reading: EvseReading) -> bool:
        values = [*read.identity, *read.values]
        problems[:] = [Finding("register", v.row.key, v.why) for v in values if v.why]
        if reading.pilot == "?":
            problems.append(Finding("range", "pilot", f"has a value that [pilot] values does not name: {reading.raw}"))
        if reading.offered_a is not None and not 0 <= reading.offered_a <= 80:
            problems.append(Finding("range", "offer", f"holds {reading.offered_a:g} A; expected 0 to 80"))
        if as_json:
            findings = [show.finding_json(problem) for problem in problems]
            tell_json({"map": found.device.name, "values": [show.value_json(v) for v in values], "findings": findings})
        else:
            tell("\n".join([show.head(found.device, line.shown(place)), *show.table(values, problems)]))
            tell(f"the agent sees: {seen(reading)}")
        return False

    bench.read_evse(place, found, told)
    return _verdict(problems, as_json)


def _test_io(place: bench.Place, found: shelf.IoMap, for_s: float, as_json: bool) -> int:
    """Nothing is switched: a hand at an input, or at the contactor, shows in what changed."""
    problems: list[Finding] = []

    def told(read: bench.Read, last: bool, changed: list[str]) -> None:
        values = [*read.identity, *read.values]
        problems[:] = [*(Finding("register", v.row.key, v.why) for v in values if v.why), *read.findings]
        if last and as_json:
            findings = [show.finding_json(problem) for problem in problems]
            shown = [show.value_json(value) for value in values]
            tell_json({"map": found.device.name, "values": shown, "changed": changed, "findings": findings})
        elif last:
            tell(f"changed in {for_s:g} s: {', '.join(changed) or 'nothing'}")
        elif not as_json:
            tell("\n".join([show.head(found.device, line.shown(place)), *show.table(values, problems)]))
            tell(f"watching the channels for {for_s:g} s; nothing is switched")

    bench.try_io(place, found, for_s, told)
    return _verdict(problems, as_json)


def _verdict(problems: Sequence[Finding], as_json: bool) -> int:
    if not as_json:
        tell("\n".join(show.sentences(problems)) or "all values make sense")
        if first := judge.one_mistake(problems):
            tell(f"! {first}")
    return Exit.FAILURE if problems else Exit.OK
