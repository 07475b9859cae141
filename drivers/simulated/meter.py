"""The meter: it integrates energy phase by phase, exactly, and shows what flows with a meter's noise. Pure.

Current is a straight line over a step and the mains sag with it, so power is a parabola: Simpson's rule is exact.
Noise is on what is shown, never on what is counted, and a current of nothing is shown as nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from drivers.api import Measurand, Phase
from drivers.simulated.noise import noise

MAINS_V = (230.0, 231.2, 228.9)
LOOP_OHM = 0.2
POWER_FACTOR = 0.99
FREQUENCY_HZ = 50.0
TEMPERATURE_C = 31.0
REFRESH_S = 0.5  # shown values change this often
_PHASES = {Phase.L1: 0, Phase.L2: 1, Phase.L3: 2, Phase.L1_N: 0, Phase.L2_N: 1, Phase.L3_N: 2}
_PAIRS = {Phase.L1_L2: (0, 1), Phase.L2_L3: (1, 2), Phase.L3_L1: (2, 0)}
_TAN = math.tan(math.acos(POWER_FACTOR))


class Meter:
    """One meter behind the contactor, on as many phases as its EVSE has."""

    __slots__ = (
        "energy_wh", "mains", "max_phases", "number", "phase_wh", "rate_w", "seed", "signed_start", "signed_stop",
        "silent", "start_wh",
    )  # fmt: skip

    def __init__(self, phases: int, start_wh: float, seed: int) -> None:
        self.max_phases = phases
        self.start_wh = start_wh
        self.seed = seed
        self.number = 1  # the meters that were here before it count
        self.mains = 1.0  # mains voltage, 1 = nominal, 0 = gone
        self.silent = False
        self.rate_w: float | None = None  # forced power
        self.signed_start = self.signed_stop = ""
        self.energy_wh = 0.0
        self.phase_wh = [0.0, 0.0, 0.0]
        self.set_wh(start_wh)

    def reset(self) -> None:
        """The first count again, and all that was forced undone."""
        self.rate_w, self.silent = None, False
        self.signed_start = self.signed_stop = ""
        self.set_wh(self.start_wh)

    def exchange(self, energy_wh: float) -> None:
        """Another meter of the same make, which has counted that much elsewhere."""
        self.number += 1
        self.set_wh(energy_wh)

    def set_wh(self, energy_wh: float) -> None:
        self.energy_wh = energy_wh
        share_wh = energy_wh / self.max_phases
        self.phase_wh = [share_wh if k < self.max_phases else 0.0 for k in range(3)]

    def step(self, seconds: float, from_a: float, to_a: float, phases: int) -> float:
        """Count a step in which the current of each phase went straight from one value to the other; the car's Wh."""
        drawn_wh = 0.0
        if from_a > 0.0 or to_a > 0.0:
            middle_a = (from_a + to_a) / 2.0
            for k in range(phases):
                mean_w = (self._power_w(k, from_a) + 4.0 * self._power_w(k, middle_a) + self._power_w(k, to_a)) / 6.0
                drawn_wh += self._count(k, mean_w * seconds / 3600.0)
        if self.rate_w is None:
            self.energy_wh += drawn_wh
        else:
            forced_wh = self.rate_w * seconds / 3600.0
            self.energy_wh += forced_wh
            for k in range(self.max_phases):
                self.phase_wh[k] += forced_wh / self.max_phases
        return drawn_wh

    def _count(self, k: int, energy_wh: float) -> float:
        if self.rate_w is None:
            self.phase_wh[k] += energy_wh
        return energy_wh

    def _power_w(self, k: int, current_a: float) -> float:
        return (MAINS_V[k] * self.mains - LOOP_OHM * current_a) * current_a * POWER_FACTOR

    def power_w(self, current_a: float, phases: int) -> float:
        """True power now, without noise."""
        if self.rate_w is not None:
            return self.rate_w
        return sum(self._power_w(k, current_a) for k in range(phases))

    def shown(self, now_s: float, current_a: float, phases: int) -> Shown:
        return Shown(self, now_s, current_a, phases)


class Shown:
    """What the meter shows at one moment; ask it for any measurand. None: this meter cannot know it."""

    __slots__ = ("amps", "energy_wh", "phase_wh", "tick", "volts", "watts")

    def __init__(self, meter: Meter, now_s: float, current_a: float, phases: int) -> None:
        self.tick = int(now_s / REFRESH_S)
        self.energy_wh, self.phase_wh = meter.energy_wh, meter.phase_wh
        self.volts, self.amps, self.watts = [0.0] * 3, [0.0] * 3, [0.0] * 3
        for k in range(meter.max_phases):
            volts = MAINS_V[k] * meter.mains * (1.0 + 0.01 * noise(meter.seed, k, self.tick))
            if meter.rate_w is not None:
                self.watts[k] = meter.rate_w / meter.max_phases
                self.amps[k] = self.watts[k] / (volts * POWER_FACTOR) if volts else 0.0
            elif k < phases:
                self.amps[k] = current_a * (1.0 + 0.01 * noise(meter.seed, 3 + k, self.tick))
                volts -= LOOP_OHM * current_a
                self.watts[k] = volts * self.amps[k] * POWER_FACTOR
            self.volts[k] = volts

    def value(self, measurand: Measurand, phase: Phase | None) -> float | None:
        show = _SHOW.get(measurand)
        return None if show is None else show(self, phase)

    def pick(self, values: list[float], phase: Phase | None) -> float | None:
        if phase is None:
            return sum(values)
        return values[_PHASES[phase]] if phase in _PHASES else None

    def voltage(self, phase: Phase | None) -> float | None:
        if phase in _PAIRS:
            a, b = (self.volts[k] for k in _PAIRS[phase])
            return math.sqrt(a * a + b * b + a * b)
        if phase is None:
            present = [v for v in self.volts if v > 0.0]
            return sum(present) / len(present) if present else 0.0
        return self.pick(self.volts, phase)

    def current(self, phase: Phase | None) -> float | None:
        if phase is Phase.N:
            a, b, c = self.amps
            return math.sqrt(max(0.0, a * a + b * b + c * c - a * b - b * c - c * a))
        return self.pick(self.amps, phase)

    def energy(self, phase: Phase | None) -> float | None:
        return self.energy_wh if phase is None else self.pick(self.phase_wh, phase)

    def scaled(self, value: float | None, factor: float) -> float | None:
        return None if value is None else value * factor

    def frequency(self) -> float:
        return FREQUENCY_HZ * (1.0 + 0.0025 * noise(0, 6, self.tick))

    def power_factor(self, phase: Phase | None) -> float | None:
        watts = self.pick(self.watts, phase)
        return None if watts is None else (POWER_FACTOR if watts > 0.0 else 1.0)


_SHOW: dict[Measurand, Callable[[Shown, Phase | None], float | None]] = {
    Measurand.VOLTAGE: Shown.voltage,
    Measurand.CURRENT_IMPORT: Shown.current,
    Measurand.POWER_ACTIVE_IMPORT: lambda s, p: s.pick(s.watts, p),
    Measurand.POWER_REACTIVE_IMPORT: lambda s, p: s.scaled(s.pick(s.watts, p), _TAN),
    Measurand.ENERGY_ACTIVE_IMPORT_REGISTER: Shown.energy,
    Measurand.ENERGY_REACTIVE_IMPORT_REGISTER: lambda s, p: s.scaled(s.energy(p), _TAN),
    Measurand.FREQUENCY: lambda s, _: s.frequency(),
    Measurand.POWER_FACTOR: Shown.power_factor,
    Measurand.TEMPERATURE: lambda _s, _p: TEMPERATURE_C,
    Measurand.CURRENT_EXPORT: lambda _s, _p: 0.0,
    Measurand.POWER_ACTIVE_EXPORT: lambda _s, _p: 0.0,
    Measurand.POWER_REACTIVE_EXPORT: lambda _s, _p: 0.0,
    Measurand.ENERGY_ACTIVE_EXPORT_REGISTER: lambda _s, _p: 0.0,
    Measurand.ENERGY_REACTIVE_EXPORT_REGISTER: lambda _s, _p: 0.0,
}
