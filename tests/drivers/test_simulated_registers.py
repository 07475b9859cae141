"""Simulated registers say what the world is, through every map that ships, and orders come back out of them."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.api import Fault, Measurand, Pilot
from drivers.mapwords import EvseMap
from drivers.registers import Row, decode, encode, raw, words_from_bits
from drivers.regmap import load_evse, load_meter, map_names
from drivers.simulated.charging_point import ChargingPoint
from drivers.simulated.devices import build_devices
from drivers.simulated.plan import SimBus, SimEvse, SimStation, SimUnit
from drivers.simulated.registers import SimDevice
from drivers.simulated.verbs import Hands, SimError
from drivers.simulated.world import World


class Bench:
    """One EVSE on a bench, without any line."""

    def __init__(
        self,
        evse_map: str = "reference",
        meter_map: str = "eastron_sdm630",
        attached: bool = False,
        meter_unit: int = 2,
    ) -> None:
        evse = SimEvse(1, SimUnit(evse_map, "b", 1), SimUnit(meter_map, "b", meter_unit), attached_cable=attached)
        self.world = World(SimStation((SimBus("b", port="none"),), (evse,)))
        self.devices = build_devices(self.world)
        self.hands = Hands(self.world, tuple(self.devices.values()))
        self.map: EvseMap = load_evse(evse_map)

    @property
    def point(self) -> ChargingPoint:
        return self.world.points[1]

    @property
    def evse(self) -> SimDevice:
        return self.devices["b", 1]

    @property
    def meter(self) -> SimDevice:
        return self.devices["b", 2]

    def do(self, verb: str, **args: object) -> str:
        return self.hands.do(verb, args)

    def word(self, at: int, table: str = "holding") -> int:
        words = self.evse.read(table, at, 1)
        assert isinstance(words, list)
        return words[0]

    def words(self, row: Row) -> list[int]:
        words = self.evse.read(row.table, row.at, row.words)
        assert isinstance(words, list)
        return words

    def pilot(self) -> str | None:
        found, charging = self.map.pilot.word(self.words(self.map.pilot.row)), self.map.charging
        return "C" if found == "B" and charging and charging.is_set(self.words(charging.row)) else found

    def order(self, current_a: float) -> int | None:
        """The current, and what gives power beside it."""
        row, enable = self.map.offer.row, self.map.enable
        code = self.evse.write(row.table, row.at, encode(row, current_a))
        if enable is not None and code == 0:
            return self.evse.write(enable.row.table, enable.row.at, words_from_bits(enable.row, enable.on))
        return code


@pytest.mark.parametrize("name", map_names("meter"))
def test_every_meter_map_gives_the_values_of_the_world(name: str) -> None:
    bench = Bench(meter_map=name)
    bench.do("plug-in", evse=1)
    bench.order(16.0)
    bench.world.advance(30.0)
    shown, meter_map = bench.point.shown(), load_meter(name)
    of_row = {r.row.key: r for r in meter_map.registers}
    for read in (*meter_map.fast, *meter_map.slow):
        answer = bench.meter.read(read.table, read.at, read.count)
        assert isinstance(answer, list)
        for row in read.rows:
            entry = of_row.get(row.key)  # what is added to a register holds nothing
            step = row.multiply / row.divide if "int" in row.type else 0.0
            expected = shown.value(entry.measurand, entry.phase) if entry else 0.0
            assert decode(row, read.words_of(row, answer)) == pytest.approx(expected, rel=1e-6, abs=step / 2 + 1e-9)


@pytest.mark.parametrize("name", map_names("evse"))
def test_every_evse_map_answers_its_own_read_plan(name: str) -> None:
    bench = Bench(evse_map=name)
    for read in bench.map.reads:
        assert isinstance(bench.evse.read(read.table, read.at, read.count), list)


@pytest.mark.parametrize("name", map_names("evse"))
@pytest.mark.parametrize("state", "ABCD")
def test_every_pilot_state_that_a_map_knows_is_told(name: str, state: str) -> None:
    bench = Bench(evse_map=name)
    known = {*bench.map.pilot.words.values(), *(["C"] if bench.map.charging else [])}
    bench.order(10.0)
    if state not in known:
        with pytest.raises(SimError, match=f"no word for pilot state {state}"):
            bench.do("ev-state", evse=1, state=state)
        return
    bench.do("ev-state", evse=1, state=state)
    assert bench.pilot() == state


@pytest.mark.parametrize("name", map_names("evse"))
def test_every_fault_that_a_map_knows_is_told_and_taken_back(name: str) -> None:
    bench = Bench(evse_map=name)
    for fault, flag in bench.map.faults:
        assert not flag.is_set(bench.words(flag.row))
        bench.do("fault", evse=1, name=fault.value)
        assert flag.is_set(bench.words(flag.row))
        bench.do("fault-clear", evse=1, name=fault.value)
        assert not flag.is_set(bench.words(flag.row))


@pytest.mark.parametrize("name", map_names("evse"))
def test_an_order_in_a_map_is_read_back_as_it_was_given(name: str) -> None:
    bench = Bench(evse_map=name)
    row = bench.map.offer.row
    assert bench.order(10.0) == 0
    assert decode(row, bench.words(row)) == pytest.approx(10.0, abs=row.multiply / row.divide / 2)


def test_identification_registers_say_what_the_map_expects() -> None:
    bench = Bench()
    for expected in bench.map.device.identify:
        words = bench.evse.read(expected.row.table, expected.row.at, expected.row.words)
        assert isinstance(words, list)
        assert not expected.values or raw(expected.row, words) in expected.values


def test_pwm_shows_as_the_second_word_of_a_state() -> None:
    bench = Bench(evse_map="heidelberg_ec")
    bench.do("plug-in", evse=1, ev="hold")
    without = bench.word(5, "input")
    bench.order(16.0)
    assert (without, bench.word(5, "input")) == (4, 5)


def test_an_attached_cable_is_absent_where_the_map_can_say_so() -> None:
    assert Bench(attached=True).word(18) == 0xFFFF


def test_an_empty_socket_shows_a_cable_of_nothing() -> None:
    assert Bench(evse_map="evse_wb").word(1003) == 0


def test_the_watchdog_setting_and_its_failsafe_current_act() -> None:
    bench = Bench()
    bench.do("plug-in", evse=1)
    bench.evse.write("holding", 29, [15000])
    bench.evse.write("holding", 30, [60])
    bench.order(16.0)
    bench.world.advance(20.0)
    assert (bench.word(28), bench.point.controller.pwm_a) == (60, 6.0)


def test_polling_feeds_the_watchdog() -> None:
    bench = Bench()
    bench.evse.write("holding", 29, [15000])
    bench.order(16.0)
    for now_s in range(60):
        bench.world.advance(float(now_s))
        assert bench.word(28) == 160


def test_a_register_that_cannot_be_written_refuses_and_nothing_of_the_request_is_done() -> None:
    bench = Bench()
    assert bench.evse.write("holding", 26, [0, 0, 160]) == 2
    assert bench.point.controller.order_a == 0.0


def test_several_registers_are_written_at_once() -> None:
    bench = Bench()
    assert bench.evse.write("holding", 28, [160, 5000, 60]) == 0
    c = bench.point.controller
    assert (c.order_a, c.watchdog_s, c.failsafe_a) == (16.0, 5.0, 6.0)


def test_an_unlock_order_opens_the_lock_and_not_under_load() -> None:
    bench = Bench()
    bench.do("plug-in", evse=1)
    assert bench.word(19) == 1
    assert bench.evse.write("holding", 32, [1]) == 0
    assert bench.word(19) == 0
    bench.order(16.0)
    bench.world.advance(10.0)
    assert bench.evse.write("holding", 32, [1]) == 3


def test_the_led_shows_the_word_that_was_written() -> None:
    bench = Bench()
    bench.evse.write("holding", 31, [4])
    assert bench.do("get", key="led", evse=1) == "charging"


def test_a_press_of_the_stop_button_is_counted_until_it_is_seen() -> None:
    bench = Bench()
    bench.do("stop-button", evse=1, reason="emergency")
    assert (bench.word(22), bench.word(23), bench.word(24)) == (2, 1, 0)
    bench.evse.write("holding", 24, [1])
    assert (bench.word(22), bench.word(24)) == (0, 1)


def test_a_stop_button_that_the_map_has_not_is_refused() -> None:
    with pytest.raises(SimError, match="the map evse_wb has no local stop button"):
        Bench(evse_map="evse_wb").do("stop-button", evse=1)


def test_a_fault_without_any_way_to_show_is_refused() -> None:
    with pytest.raises(SimError, match=r"^evse 1: the map evse_wb has no way to report lock-failure$"):
        Bench(evse_map="evse_wb").do("fault", evse=1, name="lock-failure")


@pytest.mark.parametrize("fault", ["meter", "contactor", "over-voltage", "under-voltage", "over-current"])
def test_a_fault_of_the_physical_world_needs_no_bit(fault: str) -> None:
    bench = Bench(evse_map="evse_wb")
    bench.do("fault", evse=1, name=fault)
    assert Fault(fault) in bench.point.faults


def test_over_voltage_shows_at_the_meter() -> None:
    bench = Bench(evse_map="evse_wb")
    bench.do("fault", evse=1, name="over-voltage")
    volts = bench.point.shown().value(Measurand.VOLTAGE, None)
    assert volts is not None and volts > 265.0


def test_a_silent_meter_says_nothing_and_speaks_again() -> None:
    bench = Bench()
    bench.do("meter", evse=1, silent=True)
    assert bench.meter.read("input", 0, 2) is None
    bench.do("bus", device="meter", mode="ok")
    assert isinstance(bench.meter.read("input", 0, 2), list)


def test_the_meter_register_can_be_set() -> None:
    bench = Bench()
    bench.do("meter", evse=1, wh=5000)
    assert bench.do("get", key="meter-wh", evse=1) == "5000"


def test_get_says_the_energy_as_coarsely_as_the_meter_does() -> None:
    bench = Bench(meter_map="carlo_gavazzi_em340")
    bench.do("meter", evse=1, wh=12345)
    assert bench.do("get", key="meter-wh", evse=1) == "12300"


def test_an_energy_that_the_register_cannot_hold_is_refused() -> None:
    with pytest.raises(SimError, match="does not fit"):
        Bench(meter_map="carlo_gavazzi_em340").do("meter", evse=1, wh=1e15)


@pytest.mark.parametrize(
    ("verb", "args", "why"),
    [
        ("meter", {"evse": 1, "wh": float("nan")}, "^meter: wh is not a number$"),
        ("meter", {"evse": 1, "rate_w": float("inf")}, "^meter: rate_w is not a number$"),
        ("bus", {"device": "evse", "mode": "ok", "evse": 5}, "^there is no evse 5; there are 1$"),
    ],
)
def test_what_no_hardware_can_do_is_told_in_one_line(verb: str, args: dict[str, Any], why: str) -> None:
    with pytest.raises(SimError, match=why):
        Bench().do(verb, **args)


def test_controller_and_meter_may_share_a_unit() -> None:
    bench = Bench(evse_map="heidelberg_ec", meter_map="eastron_sdm120", meter_unit=1)
    assert len(bench.devices) == 1
    assert isinstance(bench.evse.read("input", 0x48, 2), list)


def test_a_silent_meter_inside_a_controller_fails_and_leaves_the_controller_alone() -> None:
    bench = Bench(evse_map="heidelberg_ec", meter_map="eastron_sdm120", meter_unit=1)
    bench.do("meter", evse=1, silent=True)
    assert bench.evse.read("input", 0x48, 2) == 4
    assert bench.word(5, "input") == 2


def test_a_unit_used_twice_is_refused() -> None:
    evses = tuple(SimEvse(n, SimUnit("evse_wb", "b", 1)) for n in (1, 2))
    with pytest.raises(SimError, match="unit 1 is used more than once"):
        build_devices(World(SimStation((SimBus("b"),), evses)))


def test_e_shows_as_f_on_a_board_with_one_word_for_both() -> None:
    bench = Bench(evse_map="evse_wb")
    bench.do("ev-state", evse=1, state="E")
    assert bench.pilot() == Pilot.F
