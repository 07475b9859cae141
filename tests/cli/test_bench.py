"""`chargepoint bus | meter | evse | map` on simulated hardware: what is told, and how each command ends."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import nullcontext
from pathlib import Path

import pytest

from agent.__main__ import main
from agent.cli.bench import guarded
from agent.cli.bench.bus import _Screen
from drivers.api import DriverError, EvseReading, Pilot
from drivers.bus import SerialSettings
from drivers.probe import bench as probe
from drivers.probe.bench import wire_of
from drivers.probe.scan import Progress, Scan
from drivers.simulated.pdu import answer
from drivers.simulated.plan import SimEvse, SimStation
from drivers.simulated.registers import SimDevice
from tests.cli.bench_helpers import bench, charge, chargepoint, start
from tests.end_to_end import agent_helpers
from tests.end_to_end.agent_helpers import QuickHardware, charger
from tests.end_to_end.test_composed_session import MADE_OF_PARTS, PILOTS

SHIPPED = Path(__file__).parents[2] / "drivers" / "maps"


async def test_a_scan_finds_both_devices_and_names_them(tmp_path: Path) -> None:
    async with bench(tmp_path) as (port, _):
        done = await chargepoint("bus", "scan", "--port", port, "--units", "1-3", "--baud", "115200", "--parity", "N")
    assert done.code == 0
    assert "unit 1 at 115200 8N1:\n  reference reference register layout 1 (map reference)" in done.out
    assert "unit 2 at 115200 8N1:\n  Eastron SDM630-Modbus V2 (map eastron_sdm630): meter code is 112" in done.out
    assert "2 devices found" in done.out


async def test_a_scan_tells_scripts_one_object(tmp_path: Path) -> None:
    async with bench(tmp_path) as (port, _):
        done = await chargepoint("bus", "scan", "--port", port, "--units", "1-2", "--json")
    found = {device["unit"]: device for device in done.json["found"]}
    assert (done.code, sorted(found)) == (0, [1, 2])
    assert found[2]["baud"] == 9600, "the usual speed comes first, and a pseudo-terminal takes any"
    assert [guess["map"] for guess in found[2]["maps"]] == ["eastron_sdm630"]


async def test_a_meter_that_says_no_name_is_known_by_its_values(tmp_path: Path) -> None:
    async with bench(tmp_path, meter="orno_we516") as (port, _):
        done = await chargepoint("bus", "scan", "--port", port, "--units", "2", "--baud", "9600", "--json")
    [device] = done.json["found"]
    assert "orno_we516" in [guess["map"] for guess in device["maps"]]
    assert not any(guess["sure"] for guess in device["maps"])


async def test_a_scan_of_an_empty_line_finds_nothing_and_says_so(tmp_path: Path) -> None:
    async with bench(tmp_path) as (port, _):
        done = await chargepoint("bus", "scan", "--port", port, "--units", "7", "--baud", "9600", "--parity", "N")
    assert (done.code, "0 devices found" in done.out) == (1, True)


LOOKS = [
    ("bus", "scan", "--units", "1,7", "--baud", "115200", "--parity", "N"),
    ("meter", "read", "eastron_sdm630", "--unit", "2"),
    ("evse", "read", "reference", "--unit", "1"),
    ("map", "test", "reference", "--unit", "1"),
    ("map", "test", "waveshare_relay_8_d", "--unit", "7", "--baud", "115200", "--for-s", "0.1"),
]


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
async def test_nothing_that_looks_writes_a_byte_to_any_device(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions: set[int] = set()

    def heard(device: SimDevice, pdu: bytes) -> bytes | None:
        functions.add(pdu[0])
        return answer(device, pdu)

    monkeypatch.setattr("drivers.simulated.server.answer", heard)
    async with bench(tmp_path, board="waveshare_relay_8_d") as (port, _):
        assert (await chargepoint(*words, "--port", port)).code == 0
    assert functions
    assert functions <= {1, 2, 3, 4}, "reads of coils, inputs and registers"


def test_a_bar_shows_how_far_a_search_is_and_how_long_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    clock = iter([0.0, 30.0, 30.1, 90.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    screen = _Screen(False)
    screen.search = Scan([SerialSettings("/dev/ttyS1")], range(1, 248), wire_of)
    screen.begin(1, 247)
    for left_s in (90.0, 89.0, 0.0):
        screen.told(Progress(1, 2, left_s, "9600 8N1 unit 7"))
    told = capsys.readouterr()
    assert "asks 247 units at 1 settings; the usual ones first, in 4 s, all in at most 94 s" in told.out
    bars = [line.rstrip() for line in told.err.split("\r") if line]
    assert bars == [
        "[######..................]     90 s left, 9600 8N1 unit 7",  # a quarter of two minutes; soon after, no other
        "[########################]      0 s left, 9600 8N1 unit 7",
    ]


async def test_ctrl_c_ends_a_scan_with_what_was_found(tmp_path: Path) -> None:
    async with bench(tmp_path) as (port, _):
        process = await start("bus", "scan", "--port", port)
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while b"eastron_sdm630" not in (line := await process.stdout.readline()):
                assert line
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")
    assert b"2 devices found" in out


async def test_a_meter_is_read_beside_its_registers(tmp_path: Path) -> None:
    async with bench(tmp_path) as (port, hardware):
        done = await chargepoint("meter", "read", "eastron_sdm630", "--port", port, "--unit", "2")
        kwh = float(await hardware.do("get", key="meter-wh", evse=1))
    assert done.code == 0
    [energy] = [line for line in done.out.splitlines() if "Energy.Active.Import.Register " in line]
    assert energy.endswith("input 72 (0x0048) float32")
    assert float(energy.split()[1]) == pytest.approx(kwh, abs=1)


async def test_a_watched_meter_tells_each_second_until_ctrl_c(tmp_path: Path) -> None:
    async with bench(tmp_path) as (port, _):
        words = ("meter", "read", "eastron_sdm630", "--port", port, "--unit", "2", "--watch", "--json")
        process = await start(*words)
        assert process.stdout is not None
        async with asyncio.timeout(30):
            told = [json.loads(await process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 130
    assert all(value["unit"] == "V" for value in told[1]["values"] if value["key"].startswith("Voltage"))


async def test_an_unverified_register_is_shown_as_such(tmp_path: Path) -> None:
    async with bench(tmp_path, meter="acrel_adl400") as (port, _):
        words = ("meter", "read", "acrel_adl400", "--port", port, "--unit", "2", "--baud", "115200", "--parity", "N")
        done = await chargepoint(*words)
    lines = {line.split()[0]: line for line in done.out.splitlines() if line}
    assert lines["Frequency"].endswith("unverified")
    assert not lines["Voltage@L1-N"].endswith("unverified")


async def test_another_device_than_the_map_is_told(tmp_path: Path) -> None:
    async with bench(tmp_path, meter="carlo_gavazzi_em340") as (port, _):
        done = await chargepoint("meter", "read", "eastron_sdm630", "--port", port, "--unit", "2")
    assert done.code == 1
    assert "! meter code" in done.out
    assert "this is not the device that the map is for: chargepoint bus scan names it" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("meter", "read", "eastron_sdm630", "--unit", "9"), "unit 9 on {port}: no answer in "),
        (("meter", "read", "no_such"), "no meter map 'no_such'; "),
        (("evse", "read", "./none.toml"), "./none.toml: cannot be read: No such file or directory"),
    ],
)
async def test_a_failure_is_one_line_and_code_1(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    async with bench(tmp_path) as (port, _):
        done = await chargepoint(*words, "--port", port)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert said.format(port=port) in done.err


async def test_whoever_gets_no_answer_is_told_what_to_look_at(tmp_path: Path) -> None:
    async with bench(tmp_path) as (port, _):
        done = await chargepoint("meter", "read", "eastron_sdm630", "--port", port, "--unit", "9")
    assert "is it on, A and B right, unit and speed as set there? chargepoint bus scan looks for it" in done.err


def test_nothing_is_added_to_a_cry_of_danger(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise DriverError("unit 1: no answer in 0.5 s; THE OFFER MAY STILL STAND: switch the charger off")

    assert guarded("chargepoint evse", work) == 1
    assert capsys.readouterr().err.endswith("switch the charger off\n")


async def test_a_port_that_is_not_there_is_one_line() -> None:
    done = await chargepoint("bus", "scan", "--port", "/dev/none", "--units", "1")
    assert (done.code, done.err) == (
        1,
        "chargepoint bus: /dev/none: the port cannot be opened: No such file or directory; is it plugged in? "
        "see ls -l /dev/serial/by-path\n",
    )
    assert "found" not in done.out.partition("\n")[2], "nothing was asked"


@pytest.mark.parametrize(
    "words",
    [
        ("bus",),
        ("bus", "look"),
        ("bus", "scan"),
        ("bus", "scan", "--port", "x", "--units", "0"),
        ("bus", "scan", "--port", "x", "--parity", "Q"),
        ("meter", "read", "eastron_sdm630"),
        ("meter", "read", "eastron_sdm630", "--port", "x", "--unit", "999"),
        ("evse", "offer", "reference", "3", "--port", "x", "--yes"),
        ("evse", "read", "openevse", "--host", "x"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main(list(words))
    except SystemExit as end:
        code = end.code
    told = capsys.readouterr()
    assert (code, told.err.count("\n"), told.out) == (2, 1, "")


async def test_a_controller_is_read_as_the_agent_sees_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as (port, hardware):
        await hardware.do("plug-in", evse=1, ev="hold")
        done = await chargepoint("evse", "read", "reference", "--port", port, "--json")
    assert done.json["reading"]["pilot"] == "B"
    assert done.json["reading"]["faults"] == []


async def test_watching_a_controller_writes_nothing_not_even_for_a_pressed_button(tmp_path: Path) -> None:
    async with bench(tmp_path) as (port, hardware):
        await hardware.do("stop-button", evse=1, reason="local")
        process = await start("evse", "read", "reference", "--port", port, "--watch", "--json")
        assert process.stdout is not None
        async with asyncio.timeout(30):
            told = [json.loads(await process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        await process.communicate()
        assert hardware.devices["b", 1].read("holding", 23, 2) == [1, 0], "pressed once, and not taken note of"
    assert len(told) == 3


async def test_an_offer_is_made_and_taken_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as (port, hardware):
        words = ("evse", "offer", "reference", "10", "--port", port, "--yes", "--for-s", "1", "--json")
        done = await chargepoint(*words)
        told = [json.loads(line)["reading"]["offered_a"] for line in done.out.splitlines()]
        assert (done.code, told) == (0, [10.0, 0.0])
        assert await hardware.do("get", key="order-ma", evse=1) == "0"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_an_offer_is_taken_back_when_the_terminal_goes(tmp_path: Path, number: signal.Signals) -> None:
    async with bench(tmp_path) as (port, hardware):
        process = await start("evse", "offer", "reference", "10", "--port", port, "--yes", "--for-s", "60")
        await hardware.wait("order-ma", "10000", evse=1, timeout_s=20)
        process.send_signal(number)
        await process.communicate()
        assert process.returncode == 130
        assert await hardware.do("get", key="order-ma", evse=1) == "0"


@pytest.mark.parametrize("driver", ["innogy-ebox", "edgetech-smartevse", "etek"])
async def test_a_driver_in_python_charges_a_car_on_the_bench(tmp_path: Path, driver: str) -> None:
    async with bench(tmp_path, controller=driver) as (port, hardware):
        await hardware.do("plug-in", evse=1)
        read = await chargepoint("evse", "read", driver, "--port", port)
        words = ("evse", "offer", driver, "10", "--port", port, "--yes", "--for-s", "60", "--json")
        process = await start(*words)
        async with asyncio.timeout(30):
            while float(await hardware.do("get", key="drawn-ma", evse=1)) < 9_500:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        await process.communicate()
        left = await hardware.do("get", key="order-ma", evse=1)
    assert (read.code, "the agent sees: pilot B" in read.out, process.returncode, left) == (0, True, 130, "0")


class Welded:
    """A controller whose contactor never opens."""

    async def read(self) -> EvseReading:
        return EvseReading(Pilot.B, contactor=True)

    async def offer(self, current_a: float) -> None:
        """Takes every order."""


def test_a_contactor_that_stays_closed_when_the_offer_ends_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "OPENS_S", 0.0)
    told: list[float] = []
    with pytest.raises(DriverError, match="THE CONTACTOR IS STILL CLOSED"):
        probe.offer_by(lambda: nullcontext(Welded()), 10.0, 0.01, lambda left_s, _: told.append(left_s))
    assert told[-1] == 0.0


async def test_an_openevse_is_read_and_offered_to_by_the_name_of_its_driver(tmp_path: Path) -> None:
    port = str(tmp_path / "rapi")
    async with QuickHardware(SimStation((), (SimEvse(1, rapi_port=port),))) as hardware:
        await hardware.do("plug-in", evse=1, ev="hold")
        read = await chargepoint("evse", "read", "openevse", "--port", port)
        words = ("evse", "offer", "openevse", "10", "--port", port, "--yes", "--for-s", "1", "--json")
        offered = await chargepoint(*words)
    assert (read.code, "the agent sees: pilot B" in read.out, "OpenEVSE" in read.out) == (0, True, True)
    assert [json.loads(line)["reading"]["offered_a"] for line in offered.out.splitlines()] == [10.0, 0.0]


async def test_a_controller_made_of_parts_is_tried_as_configured_and_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_helpers, "_EVSE", MADE_OF_PARTS.replace("PILOT", PILOTS["controller"]))
    async with charger("2.0.1", start=False) as c:
        await c.do("plug-in")
        words = ("1", "--config", str(c.config), "--json")
        read = await chargepoint("evse", "read", *words)
        offered = await chargepoint("evse", "offer", "1", "10", *words[1:], "--yes", "--for-s", "3")
        at_the_end = await c.see("contactor")
    readings = [json.loads(line)["reading"] for line in offered.out.splitlines()]
    assert (read.code, read.json["reading"]["pilot"], offered.code) == (0, "B", 0)
    assert True in [reading["contactor"] for reading in readings], "the car was let charge"
    assert (readings[-1]["contactor"], readings[-1]["offered_a"], at_the_end) == (False, 0.0, "open")


async def test_the_hardware_of_a_running_agent_is_left_to_it() -> None:
    async with charger("2.0.1") as c:
        await c.ready()
        done = await chargepoint("evse", "offer", "1", "10", "--config", str(c.config), "--yes")
    assert (done.code, done.out, "the agent is running" in done.err) == (1, "", True)


async def test_without_a_yes_nothing_is_offered(tmp_path: Path) -> None:
    async with bench(tmp_path) as (port, hardware):
        done = await chargepoint("evse", "offer", "reference", "10", "--port", port, typed="n\n")
        assert (done.code, done.out) == (1, "")
        assert "nothing was written" in done.err
        assert await hardware.do("get", key="order-ma", evse=1) == "0"


async def test_nothing_is_offered_to_another_device(tmp_path: Path) -> None:
    async with bench(tmp_path, controller="heidelberg_ec") as (port, hardware):
        done = await chargepoint("evse", "offer", "reference", "10", "--port", port, "--yes")
        assert (done.code, done.err.count("\n")) == (1, 1)
        assert await hardware.do("get", key="order-ma", evse=1) == "0"


# --- maps ----------------------------------------------------------------------------------------------------


async def test_the_shelf_is_listed_with_confidence_and_factory_settings() -> None:
    done = await chargepoint("map", "list", "sdm630")
    assert done.code == 0
    assert done.out.startswith("meter  eastron_sdm630  verified  Eastron SDM630-Modbus V2; 9600 8N1 unit 1")


def test_a_driver_in_python_that_holds_a_map_is_on_the_shelf(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "list", "edgetech"]) == 0
    assert capsys.readouterr().out.startswith("driver  edgetech-smartevse")


async def test_a_broken_map_on_the_shelf_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "meter").mkdir()
    (tmp_path / "meter" / "mine.toml").write_text("vendor = 1\n")
    done = await chargepoint("map", "list", "--maps-dir", str(tmp_path), "--json")
    told = {entry["map"]: entry for entry in map(json.loads, done.out.splitlines())}
    assert "vendor: is 1; expected a text" in told["mine"]["why"]
    assert told["eastron_sdm630"]["vendor"] == "Eastron"


async def test_every_mistake_of_a_map_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        (SHIPPED / "meter" / "eastron_sdm120.toml")
        .read_text()
        .replace('"Frequency"', '"Frequenz"')
        .replace("kWh", "kW")
    )
    done = await chargepoint("map", "check", str(file))
    wrong = [
        number for number, line in enumerate(file.read_text().splitlines(), 1) if "kW" in line or "Frequenz" in line
    ]
    told = [int(line.removeprefix(f"{file}:").split(":")[0]) for line in done.out.splitlines()[:-1]]
    assert (done.code, told) == (1, wrong)


async def test_a_right_map_is_ok() -> None:
    done = await chargepoint("map", "check", str(SHIPPED / "meter" / "eastron_sdm630.toml"))
    assert (done.code, done.out.splitlines()[-1].split(": ")[1]) == (0, "ok, a meter map with 33 values")


async def test_a_right_map_stands_the_test_on_its_device_under_load(tmp_path: Path) -> None:
    async with bench(tmp_path) as (port, hardware):
        await charge(hardware)
        words = ("map", "test", "eastron_sdm630", "--port", port, "--unit", "2", "--for-s", "1.5")
        done = await chargepoint(*words)
    assert (done.code, done.out.splitlines()[-2:]) == (0, ["the energy counts", "all values make sense"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('type = "float32"', 'type = "float32"\norder = "little"', '! try first: order = "big", which makes sense of '),
        ("at = 0x0000 }", "at = 30001 }", "has no such register: if 30001 is a number of the manual, its address is 0"),
        ("at = 0x0000 }", "at = 0x0000, scale = 0.1 }", "a scale 10 times that of the map"),
        ("at = 0x0000 }", "at = 0x0001 }", "are the manual's addresses counted from 1?"),
        ('type = "float32"', 'type = "int32"', 'with type = "float32"'),
        ("at = 0x0034 }", 'at = 0x0034, unit = "kW" }', "Power.Active.Import: is "),
        ("at = 0x0034 }", "at = 0x0034, scale = -1 }", "swap the ends of the current path"),
    ],
)
async def test_a_wrong_map_is_told_what_would_make_sense(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "mine.toml"
    hasty = (SHIPPED / "meter" / "eastron_sdm630.toml").read_text().replace("pause_ms = 60", "pause_ms = 0")
    file.write_text(hasty.replace(old, new, 1))
    async with bench(tmp_path) as (port, hardware):
        await charge(hardware)
        done = await chargepoint("map", "test", str(file), "--port", port, "--unit", "2", "--for-s", "0.1")
    assert done.code == 1
    assert said in done.out


async def test_an_io_board_is_watched_while_a_hand_moves_the_contactor_and_nothing_is_switched(tmp_path: Path) -> None:
    async with bench(tmp_path, board="lc_relay_8") as (port, hardware):
        process = await start(
            "map", "test", "lc_relay_8", "--port", port, "--unit", "7", "--baud", "115200", "--for-s", "1"
        )
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while b"watching the channels" not in (line := await process.stdout.readline()):
                assert line
        await hardware.do("fault", name="contactor", evse=1)  # welded: the mirror contact opens
        out, err = await process.communicate()
        assert hardware.world.points[1].controller.relay_count == 0
    assert (process.returncode, err) == (0, b"")
    assert out.decode().splitlines() == ["changed in 1 s: input 1", "all values make sense"]


async def test_an_io_board_that_is_not_there_is_one_line_and_code_1(tmp_path: Path) -> None:
    async with bench(tmp_path) as (port, _):
        done = await chargepoint("map", "test", "wp8025", "--port", port, "--unit", "7", "--timeout-ms", "50")
    assert (done.code, done.err.count("\n")) == (1, 1)
