"""`chargepoint meter [N]`: every value that the running agent has of the meter of an EVSE, and how old it is.

With `read` as the first word it is the bench tool for a meter, which needs no agent (`agent.cli.bench`). The answer to
`{"verb": "meter", "evse": N}`: meters [{evse, device, age_s, values [{measurand, phase, value, unit, age_s}], faults}].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.cli import asking
from agent.cli.asking import Answer
from agent.cli.tables import span, table
from agent.errors import Exit

OLD_S = 10.0
_NAMES = {
    "Current": "current",
    "Energy": "energy",
    "Power": "power",
    "Voltage": "voltage",
    "Frequency": "frequency",
    "Temperature": "temperature",
    "SoC": "charge of the battery",
    "Active": "",
    "Reactive": "reactive",
    "Import": "to the car",
    "Export": "from the car",
    "Register": "in all",
    "Interval": "in the interval",
    "Offered": "on offer",
    "Factor": "factor",
}
_LARGE = {"Wh": "kWh", "W": "kW", "varh": "kvarh", "var": "kvar"}


def main(argv: Sequence[str]) -> int:
    """Of the running agent, or on the bench; the exit code."""
    if argv and argv[0] == "read":
        from agent.cli.bench.meter import main as bench

        return bench(argv)
    found = asking.parser("meter", "Show every value of a meter that the running agent has.", watch=True)
    found.add_argument("evse", nargs="?", type=int, metavar="N", help="of this EVSE; all, if none is given")
    found.epilog = f"a meter on the bench, without an agent: chargepoint meter read --help; {found.epilog}"
    options = found.parse_args(list(argv))
    path = asking.socket_of(options)
    asking.show(
        options,
        lambda: asking.ask(path, "meter", evse=options.evse),
        lambda answer: "\n\n".join(asking.fitted(_lines(one)) for one in answer.get("meters") or ()),
    )
    return Exit.OK


def _lines(meter: Answer) -> Iterator[str]:
    age_s = meter.get("age_s")
    read = "never read" if age_s is None else f"read {age_s:g} s ago" if age_s < OLD_S else f"read {span(age_s)} ago"
    yield f"EVSE {meter.get('evse')}: {meter.get('device')}, {read}"
    for fault in meter.get("faults") or ():
        yield f"FAULT {fault.get('id')}: {fault.get('text')}; what to do: {fault.get('remedy')}"
    rows = [_row(value) for value in meter.get("values") or ()]
    if rows:
        yield from table(("value", "phase", ">reading", "unit", ">age s"), rows)
    elif age_s is None:
        yield "what to do: check its wiring, unit and speed; chargepoint meter read shows it without the agent"


def _row(value: Answer) -> tuple[str, ...]:
    number, unit = float(value.get("value") or 0.0), str(value.get("unit") or "")
    large = _LARGE.get(unit)
    shown = f"{number / 1000:.3f}" if large else f"{number:.2f}"
    parts = str(value.get("measurand")).split(".")
    words = (_NAMES.get(word, word) for word in sorted(parts, key=lambda word: word != "Reactive"))
    return (
        " ".join(word for word in words if word),
        str(value.get("phase") or ""),
        shown,
        large or unit,
        f"{value['age_s']:.1f}" if value.get("age_s") is not None else "?",
    )
