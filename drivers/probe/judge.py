"""Which values of a meter are nonsense, by physics alone: `judge` for values, `suspect` for words of registers. Pure.

A finding names the register, says what is wrong, and what is the usual reason. Limits are wide: they tell a wrong map
or a wrong wire from a right one, not a good mains from a bad one (`LIMITS`, from 45 V below the lowest and above the
highest nominal voltage of a public mains). Rules kept: a value that is absent is no nonsense by itself, a meter without
load is right, and nothing is told twice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from drivers.api import UNIT, Measurand, Phase
from drivers.mapwords import MeterMap
from drivers.probe.table import Meaning, Samples, Value
from drivers.registers import TYPES, Row, decode

M = Measurand
LIMITS: dict[str, tuple[float, float]] = {  # by the beginning of a measurand's name, in SI units
    "Voltage": (80.0, 300.0),
    "Current.": (-1000.0, 1000.0),
    "Power.Factor": (-1.001, 1.001),
    "Power.Active.": (-700e3, 700e3),
    "Power.Reactive.": (-700e3, 700e3),
    "Energy.": (0.0, 1e10),
    "Frequency": (45.0, 65.0),
    "Temperature": (-50.0, 130.0),
    "SoC": (0.0, 100.0),
}
BETWEEN = (140.0, 520.0)  # volts between two phases
NO_VOLTAGE = "no phase has a voltage"
TINY = 1e-6  # smaller than this, and not zero: bits that were put together wrongly
SCALES = (0.001, 0.01, 0.1, 10.0, 100.0, 1000.0)
PHASES = ((Phase.L1, Phase.L1_N), (Phase.L2, Phase.L2_N), (Phase.L3, Phase.L3_N))
LINES = (Phase.L1_L2, Phase.L2_L3, Phase.L3_L1)
MOST_V = 60.0  # of an analogue input
DEAD_V = 20.0  # below it a phase is not connected
MANY = 3
MANUAL_NUMBERS = 9999  # 30001 to 39999, 40001 to 49999
LOWER, HIGHER = "each address one lower", "each address one higher"
LEAST_W = 40.0  # below it a meter may be as wrong as it likes
EXPORT_W = 15.0
MORE_THAN_UI = 1.15  # active power is at most apparent power; beyond this it is a mistake
OF_UI = 0.3  # and with a load that charges it is not far below


class Finding(NamedTuple):
    """`kind`: range, scale, order, shift, absent, power, energy, sign. `remedy`: the change to the map."""

    kind: str
    key: str
    text: str
    remedy: str = ""


def name(meaning: Meaning) -> str:
    return f"{meaning[0]}@{meaning[1]}" if meaning[1] else str(meaning[0])


def limits(meaning: Meaning) -> tuple[float, float]:
    """Between which values a measurand makes sense."""
    measurand, phase = meaning
    if measurand is M.VOLTAGE and phase in LINES:
        return BETWEEN
    return next((pair for head, pair in LIMITS.items() if measurand.startswith(head)), (-math.inf, math.inf))


def makes_sense(meaning: Meaning, value: float | None) -> bool:
    if value is None or not math.isfinite(value) or (value != 0 and abs(value) < TINY):
        return False
    low, high = limits(meaning)
    return low <= value <= high or (meaning[0] is M.VOLTAGE and abs(value) < DEAD_V)


# --- values --------------------------------------------------------------------------------------------------


def judge(now: Samples, before: Samples | None = None, span_s: float = 0.0, step_wh: float = 1.0) -> list[Finding]:
    """What is wrong with the values of a poll, and of an earlier one `span_s` before it. `step_wh`: the resolution of
    the energy register."""
    found = [_range(meaning, value) for meaning, value in now.items() if not makes_sense(meaning, value)]
    found += _no_voltage(now)
    if not found:  # what is computed from nonsense is nonsense
        found += [*_power(now), *_sign(now)]
        if before is not None:
            found += _energy(now, before, span_s, step_wh)
    return found


def _range(meaning: Meaning, value: float) -> Finding:
    low, high = limits(meaning)
    return Finding("range", name(meaning), f"is {value:.6g} {UNIT[meaning[0]]}; expected {low:g} to {high:g}")


def _no_voltage(now: Samples) -> Iterator[Finding]:
    volts = {meaning: value for meaning, value in now.items() if meaning[0] is M.VOLTAGE}
    if volts and all(abs(value) < DEAD_V for value in volts.values()):
        key = name(next(iter(volts)))
        yield Finding("range", key, f"{NO_VOLTAGE}: wrong registers, or the meter's voltage inputs are open")


def _apparent_va(now: Samples) -> float | None:
    """U times I over all phases; None when the meter does not tell both."""
    parts = []
    for line, to_neutral in PHASES:
        amps = now.get((M.CURRENT_IMPORT, line))
        volts = now.get((M.VOLTAGE, to_neutral), now.get((M.VOLTAGE, line)))
        if amps is not None and volts is not None:
            parts.append(abs(amps * volts))
        elif amps:
            return None
    return sum(parts) if parts else None


def active_w(now: Samples) -> float | None:
    """Import counts up; the sum of the phases where there is no total."""
    total = now.get((M.POWER_ACTIVE_IMPORT, None))
    phases = [w for line, _ in PHASES if (w := now.get((M.POWER_ACTIVE_IMPORT, line))) is not None]
    return total if total is not None else sum(phases) if phases else None


def _power(now: Samples) -> Iterator[Finding]:
    apparent, active = _apparent_va(now), active_w(now)
    key = M.POWER_ACTIVE_IMPORT
    if apparent is None or active is None:
        return
    what = f"is {active:.0f} W where voltages times currents give {apparent:.0f} VA"
    if abs(active) > MORE_THAN_UI * apparent + LEAST_W:
        yield Finding("power", key, f"{what}: wrong scale, or the ratio of the current transformers")
    elif apparent > 10 * LEAST_W and abs(active) < OF_UI * apparent:
        yield Finding("power", key, f"{what}: wrong scale or unit, or voltages and currents of different phases")


def _sign(now: Samples) -> Iterator[Finding]:
    active = active_w(now)
    if active is not None and active < -EXPORT_W:
        text = f"is {active:.0f} W: what the car takes must count as import; swap the ends of the current path"
        yield Finding("sign", M.POWER_ACTIVE_IMPORT, text)
        return
    for line, _ in PHASES:
        watts = now.get((M.POWER_ACTIVE_IMPORT, line), 0.0)
        if watts < -EXPORT_W:
            text = f"is {watts:.0f} W: this phase is wired the wrong way round, or has another phase's voltage"
            yield Finding("sign", f"{M.POWER_ACTIVE_IMPORT}@{line}", text)


def _energy(now: Samples, before: Samples, span_s: float, step_wh: float) -> Iterator[Finding]:
    meaning = (M.ENERGY_ACTIVE_IMPORT_REGISTER, None)
    new, old = now.get(meaning), before.get(meaning)
    if new is None or old is None:
        return
    watts = [w for w in (active_w(now), active_w(before)) if w is not None]
    due_wh = min(watts) * span_s / 3600 if watts else 0.0
    if new < old:
        yield Finding("energy", meaning[0], f"went back from {old:.10g} to {new:.10g} Wh")
    elif new == old and due_wh > 2 * step_wh:
        text = f"stood still at {new:.10g} Wh, where {due_wh:.0f} Wh flowed: wrong register, or a demand value"
        yield Finding("energy", meaning[0], text)
    elif new - old < due_wh / 5 - 2 * step_wh:
        text = f"grew by {new - old:.6g} Wh only, where {due_wh:.0f} Wh flowed: wrong unit (kWh?) or scale"
        yield Finding("energy", meaning[0], text)
    elif watts and due_wh >= 0 and new - old > 3 * max(watts) * span_s / 3600 + 2 * step_wh:
        text = f"grew by {new - old:.6g} Wh in {span_s:.0f} s at {max(watts):.0f} W: wrong unit or scale"
        yield Finding("energy", meaning[0], text)


def shows_in_s(now: Samples, step_wh: float) -> float | None:
    """How long it takes until an energy that counts must have moved; None without a load."""
    watts = active_w(now)
    return None if watts is None or watts < LEAST_W else 3600 * 3 * step_wh / watts


# --- IO boards -----------------------------------------------------------------------------------------------


def odd_channels(values: Sequence[Value]) -> Iterator[Finding]:
    """Channels that are neither on nor off, and volts that no such board measures. A relay in a holding register may
    have bits of its own above the first eight."""
    for value in values:
        if value.unit == "V" and isinstance(value.value, float) and abs(value.value) > MOST_V:
            yield Finding("range", value.row.key, f"is {value.value:.6g} V: wrong scale, type or register")
        elif value.row.key.startswith("output ") and value.words and value.words[0] & 0xFF not in (0, 1):
            yield Finding(
                "range", value.row.key, f"is {value.words[0]:#06x}, neither on (1) nor off (0): wrong register"
            )


# --- words of registers --------------------------------------------------------------------------------------


def suspect(found: MeterMap, values: Sequence[Value]) -> list[Finding]:
    """What is wrong with the registers of a map, and the change to the map that would make sense of them."""
    of_row = {row.row: (row.measurand, row.phase) for row in found.registers if not row.plus}
    told: list[Finding] = []
    for value in values:
        meaning = of_row.get(value.row)
        if meaning is None or not value.words:
            continue
        if value.value is None:
            told += _absent(value)
        elif not isinstance(value.value, str) and not makes_sense(meaning, value.value):
            told += _better(meaning, value)
    return told


def _absent(value: Value) -> Iterator[Finding]:
    """A sentinel is right; NaN and infinity where no sentinel was declared are worth a look."""
    if not value.row.absent:
        yield Finding("absent", value.row.key, "is NaN or infinite: not measured, or not a float in this word order")


def _better(meaning: Meaning, value: Value) -> Iterator[Finding]:
    """Another reading of the same words that would make sense: word order, type, scale."""
    for kind, text, row in _other_readings(value.row):
        other = decode(row, value.words)
        if other and makes_sense(meaning, other) and _is_likely(meaning, other):
            yield Finding(kind, value.row.key, f"would be {other:.6g} {UNIT[meaning[0]]} with {text}", text)
            return


def _other_readings(row: Row) -> Iterator[tuple[str, str, Row]]:
    order = 'order = "big"' if row.little else 'order = "little"'
    turned = row._replace(little=not row.little)
    if row.words > 1:
        yield "order", order, turned
    for other in (kind for kind, (words, _) in TYPES.items() if words == row.words and kind not in (row.type, "bit")):
        yield "type", f'type = "{other}"', row._replace(type=other)
        if row.words > 1:
            yield "order", f'type = "{other}" and {order}', turned._replace(type=other)
    for scale in SCALES:
        worth = scale * row.multiply / row.divide
        yield "scale", f"a scale {scale:g} times that of the map", row._replace(multiply=worth, divide=1.0)


def _is_likely(meaning: Meaning, value: float) -> bool:
    """Only what is known well beforehand can choose between readings."""
    if meaning[0] is M.VOLTAGE and meaning[1] in LINES:
        return 170 < value < 440
    likely = {M.VOLTAGE: (95.0, 265.0), M.FREQUENCY: (49.0, 61.0)}
    low, high = likely.get(meaning[0], limits(meaning))
    return low <= value <= high


def shifted(meaning: Meaning, row: Row, below: Sequence[int], above: Sequence[int]) -> Finding | None:
    """Whether the words one register before or behind make the sense that those of the map do not."""
    for words, by in ((below, -1), (above, 1)):
        value = decode(row, words) if len(words) == row.words else None
        if value and makes_sense(meaning, value) and _is_likely(meaning, value):
            text = f"would be {value:.6g} {UNIT[meaning[0]]} at {row.at + by}"
            asked = ": are the manual's addresses counted from 1?" if by < 0 else ""
            return Finding("shift", row.key, text + asked, LOWER if by < 0 else HIGHER)
    return None


def of_a_manual(row: Row) -> str:
    """What a register's number means, where it looks like one of a manual that counts from 30001 or 40001."""
    first = {"input": 30001, "holding": 40001}.get(row.table, 0x10000)
    at = row.at - first
    return f": if {row.at} is a number of the manual, its address is {at}" if 0 <= at < MANUAL_NUMBERS else ""


def one_mistake(findings: Sequence[Finding]) -> str:
    """The one change to the map that would make sense of most of what makes none; "" when none would of `MANY`."""
    counted = Counter(finding.remedy for finding in findings if finding.remedy)
    bad = len({finding.key for finding in findings if finding.kind == "range"})
    for remedy, count in counted.most_common(1):
        if count >= MANY:
            return f"try first: {remedy}, which makes sense of {count} of the {max(bad, count)} values that make none"
    return ""


def step_wh(found: MeterMap) -> float:
    """What one step of the energy register is worth; of a float, what remains of its 24 bits at 10 MWh."""
    row = next(r.row for r in found.registers if r.measurand is M.ENERGY_ACTIVE_IMPORT_REGISTER and r.phase is None)
    return 1.0 if TYPES[row.type][1].startswith(">") else row.multiply / row.divide
