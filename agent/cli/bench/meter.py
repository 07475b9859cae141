"""`chargepoint meter read MAP --port PORT`: all values of a meter beside their registers; needs no agent.

Exit codes: 0 read, 1 no answer or another device, 2 the command line was wrong, 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.cli.bench import clear_screen, guarded, line, one_verb, parser, show, tell, tell_json
from agent.errors import Exit
from drivers.probe import bench, shelf

ABOUT = "read: all values of a meter beside the registers that they come from"


def main(argv: Sequence[str]) -> int:
    return one_verb("meter", list(argv), {"read": _read}, ABOUT)


def _read(argv: list[str]) -> int:
    options_of = parser("meter read", "Show all values of a meter beside the registers that they come from.")
    line.add_device(options_of)
    options_of.add_argument("--watch", action="store_true", help="again every second, until Ctrl-C")
    options = options_of.parse_args(argv)

    def work() -> int:
        found = shelf.meter(options.map, line.folders(options))
        place = line.place(options_of, options, found.device)
        bad = False

        def told(read: bench.Read) -> bool:
            nonlocal bad
            bad = any(value.why for value in read.identity) or all(value.why for value in read.values)
            if options.json:
                tell_json(_json(read, found.device.name))
                return bool(options.watch)
            if options.watch:
                clear_screen()
            tell("\n".join([show.head(found.device, line.shown(place)), *show.table(read.identity)]))
            tell("\n".join([*show.table(read.values, read.findings), *show.sentences(read.findings),
                            *show.stranger(read.identity, read.values)]))  # fmt: skip
            return bool(options.watch)

        bench.read_meter(place, found, told)
        return Exit.FAILURE if bad else Exit.OK

    return guarded("chargepoint meter", work)


def _json(read: bench.Read, name: str) -> dict[str, object]:
    return {
        "map": name,
        "identity": [show.value_json(value) for value in read.identity],
        "values": [show.value_json(value) for value in read.values],
        "findings": [show.finding_json(finding) for finding in read.findings],
    }
