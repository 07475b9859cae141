"""`chargepoint simulate` as its own process, driven by `chargepoint sim` over the real socket, verb by verb."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pymodbus.client import ModbusSerialClient

from agent.cli.sim import main as sim
from agent.config import load
from agent.demo.simulate import station_of
from drivers.simulated.client import SimClient
from drivers.simulated.plan import SimBus, SimEvse, SimReader, SimStation, SimUnit
from drivers.simulated.verbs import VERBS

START = "import sys; from agent.demo.simulate import main; sys.exit(main(sys.argv[1:]))"
CONFIG = """
[station]
vendor = "Example"
model = "Wallbox 22"

[csms]
url = "ws://127.0.0.1:9000/ocpp"
identity = "CP-1"

[[bus]]
name = "rs485"
port = "{folder}/ttyRS485"
baud = 115200
parity = "N"

[[evse]]
id = 1
connector = "sType2"
cable = "socket"
max_current_a = 32
phases = 3
  [evse.controller]
  map = "{evse_map}"
  bus = "rs485"
  unit = 1
  [evse.meter]
  map = "eastron_sdm630"
  bus = "rs485"
  unit = 2

[[reader]]
driver = "rdm6300"
port = "{folder}/ttyRFID"
evses = [1]
"""


@dataclass
class Running:
    process: subprocess.Popen[str]
    folder: Path
    capture: pytest.CaptureFixture[str]
    ready: str

    @property
    def socket(self) -> str:
        return str(self.folder / "sim.sock")

    def sim(self, *words: str) -> str:
        """What a verb that works prints."""
        code, out, error = self.run(*words)
        assert (code, error) == (0, "")
        return out.strip()

    def run(self, *words: str) -> tuple[int, str, str]:
        self.capture.readouterr()
        try:
            code = sim(["--socket", self.socket, *words])
        except SystemExit as stop:  # argparse ends so
            code = int(str(stop.code))
        out, error = self.capture.readouterr()
        return code, out, error

    def fails(self, *words: str) -> str:
        """The one line of a verb that the hardware cannot do."""
        code, out, error = self.run(*words)
        assert (code, out, error.count("\n")) == (1, "", 1)
        return error.strip()

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


Start = Callable[..., Running]


def begin(folder: Path, capture: pytest.CaptureFixture[str], evse_map: str = "reference") -> Running:
    config = folder / "agent.toml"
    config.write_text(CONFIG.format(folder=folder, evse_map=evse_map))
    words = [sys.executable, "-c", START, "--config", str(config), "--socket", str(folder / "sim.sock"), "--verbose"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ready = process.stdout.readline()
    assert ready.startswith("ready: ")
    return Running(process, folder, capture, ready)


def finish(running: Running) -> None:
    if running.process.poll() is None:
        running.process.kill()
    running.process.communicate(timeout=10)


@pytest.fixture
def start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Start]:
    """A charger of its own for tests that end it or need another map."""
    begun: list[Running] = []

    def run(evse_map: str = "reference") -> Running:
        begun.append(begin(tmp_path, capsys, evse_map))
        return begun[-1]

    yield run
    for running in begun:
        finish(running)


_shared: list[Running] = []


@pytest.fixture(scope="module", autouse=True)
def _end_shared() -> Iterator[None]:
    yield
    while _shared:
        finish(_shared.pop())


@pytest.fixture
def box(tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> Running:
    """One charger for all tests, as new for each."""
    if not _shared:
        _shared.append(begin(tmp_path_factory.mktemp("box"), capsys))
    running = _shared[0]
    running.capture = capsys
    running.sim("reset")
    running.sim("power", "fail")  # so that orders of the test before are forgotten
    running.sim("power", "restore")
    running.sim("wait", "contactor=open", "--evse", "1", "--timeout", "5")  # it takes its time to drop out
    return running


def charge(box: Running, offer_a: int = 16) -> None:
    box.sim("plug-in", "--evse", "1")
    write(box, 28, offer_a * 10)
    box.sim("wait", "contactor=closed", "--evse", "1", "--timeout", "10")


def write(box: Running, address: int, value: int) -> None:
    client = ModbusSerialClient(str(box.folder / "ttyRS485"), baudrate=115200, timeout=2)
    assert client.connect()
    assert not client.write_registers(address, [value], device_id=1).isError()
    client.close()  # type: ignore[no-untyped-call]


def test_plug_in_shows_at_the_pilot_and_locks_the_plug(box: Running) -> None:
    box.sim("plug-in", "--evse", "1")
    assert box.sim("get", "ev-state", "--evse", "1") == "B"
    assert box.sim("get", "lock", "--evse", "1") == "locked"


def test_a_car_charges_when_the_controller_is_ordered_to_offer(box: Running) -> None:
    charge(box)
    assert box.sim("get", "offered-ma", "--evse", "1") == "16000"
    assert int(box.sim("get", "relay-count", "--evse", "1")) >= 1
    box.sim("wait", "drawn-ma=16000", "--evse", "1", "--timeout", "10")


def test_unplug_opens_the_contactor_at_once(box: Running) -> None:
    charge(box)
    box.sim("unplug", "--evse", "1")
    box.sim("wait", "contactor=open", "--evse", "1", "--timeout", "5")
    assert box.sim("get", "ev-state", "--evse", "1") == "A"


def test_ev_unplug_leaves_the_cable_in_the_socket(box: Running) -> None:
    box.sim("plug-in", "--evse", "1", "--ev", "hold")
    box.sim("ev-unplug", "--evse", "1")
    assert box.sim("get", "ev-state", "--evse", "1") == "A"
    assert "no car is plugged in" in box.fails("ev-unplug", "--evse", "1")


def test_a_fault_follows_after_a_plug_in(start: Start) -> None:
    box = start()
    box.sim("plug-in", "--evse", "1", "--ev", "none", "--then", "fault:ground", "--after", "0.1")
    assert box.process.stdout is not None
    lines = [box.process.stdout.readline() for _ in range(2)]
    assert lines[1].endswith("evse 1: fault ground present\n")


@pytest.mark.parametrize("state", "ABCDEF")
def test_the_pilot_can_be_forced(box: Running, state: str) -> None:
    box.sim("ev-state", state, "--evse", "1")
    assert box.sim("get", "ev-state", "--evse", "1") == state


def test_the_car_draws_what_it_is_told(box: Running) -> None:
    box.sim("ev-draw", "--evse", "1", "--amps", "10", "--phases", "1", "--soc", "50")
    charge(box)
    box.sim("wait", "drawn-ma=10000", "--evse", "1", "--timeout", "10")


@pytest.mark.parametrize(
    "name",
    [
        *("other", "diode", "ground", "lock-failure", "unlock-failure", "meter", "contactor", "over-temperature"),
        *("under-voltage", "over-voltage", "over-current", "rfid-reader", "internal", "dc-residual", "emergency-stop"),
    ],
)
def test_every_fault_of_the_list_comes_and_goes(box: Running, name: str) -> None:
    box.sim("fault", name, "--evse", "1")
    box.sim("fault-clear", name, "--evse", "1")


def test_a_fault_that_the_map_cannot_tell_is_one_line(start: Start) -> None:
    error = start("evse_wb").fails("fault", "lock-failure", "--evse", "1")
    assert error == "chargepoint sim: evse 1: the map evse_wb has no way to report lock-failure"


def test_the_meter_can_be_set_forced_signed_and_silenced(box: Running) -> None:
    box.sim("meter", "--evse", "1", "--wh", "5000")
    assert box.sim("get", "meter-wh", "--evse", "1") == "5000"
    box.sim("meter", "--evse", "1", "--rate-w", "7200")
    assert box.sim("get", "power-w", "--evse", "1") == "7200"
    box.sim("meter", "--evse", "1", "--signed-start", "OCMF|a", "--signed-stop", "OCMF|b")
    assert box.sim("get", "signed-start", "--evse", "1") == "OCMF|a"
    assert box.sim("get", "signed-stop", "--evse", "1") == "OCMF|b"
    box.sim("meter", "--evse", "1", "--silent")
    box.sim("bus", "--device", "meter", "--mode", "ok")


def test_the_stop_button_needs_a_map_that_has_one(box: Running) -> None:
    box.sim("stop-button", "--evse", "1", "--reason", "emergency")


@pytest.mark.parametrize("device", ["evse", "meter"])
@pytest.mark.parametrize("mode", ["timeout", "garbage", "slow", "ok"])
def test_devices_can_be_made_to_fail_on_the_bus(box: Running, device: str, mode: str) -> None:
    box.sim("bus", "--device", device, "--mode", mode)


def test_power_failure_opens_the_contactor_and_reset_starts_over(box: Running) -> None:
    charge(box)
    box.sim("power", "fail")
    box.sim("wait", "contactor=open", "--evse", "1", "--timeout", "1")
    assert "no power" in box.fails("tap", "010063E9AE")
    box.sim("power", "restore")
    assert box.sim("get", "offered-ma", "--evse", "1") == "0"
    box.sim("reset")
    assert box.sim("get", "ev-state", "--evse", "1") == "A"
    assert box.sim("get", "meter-wh", "--evse", "1").startswith("1234567")


def test_the_led_is_off_until_it_is_told(box: Running) -> None:
    assert box.sim("get", "led", "--evse", "1") == "off"
    write(box, 31, 4)
    assert box.sim("get", "led", "--evse", "1") == "charging"


def test_cards_are_tapped_at_the_reader_that_serves_the_evse(box: Running) -> None:
    box.sim("tap", "010063E9AE", "--evses", "1")
    assert "no reader serves evse 2" in box.fails("tap", "010063E9AE", "--evses", "2")
    assert "looks like 010063E9AE" in box.fails("tap", "not-a-card")


def test_waiting_in_vain_says_what_the_hardware_is(box: Running) -> None:
    error = box.fails("wait", "contactor=closed", "--evse", "1", "--timeout", "0.1")
    assert error.endswith("evse 1: contactor is open after 0.1 s, not closed")


@pytest.mark.parametrize(
    "words", [["dance"], ["plug-in"], ["wait", "contactor", "--evse", "1", "--timeout", "1"], ["get", "lock"], []]
)
def test_a_wrong_command_line_is_one_line_and_code_2(box: Running, words: list[str]) -> None:
    code, _, error = box.run(*words)
    assert (code, error.count("\n")) == (2, 1)


def test_an_evse_that_is_not_there_is_one_line(box: Running) -> None:
    assert box.fails("plug-in", "--evse", "7") == "chargepoint sim: there is no evse 7; there are 1"


@pytest.mark.parametrize("seconds", ["nan", "-1", "1e9", "soon"])
def test_a_time_that_cannot_be_waited_for_is_one_line(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        sim(["--socket", "nowhere", "wait", "contactor=open", "--evse", "1", f"--timeout={seconds}"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"a time is 0 to 1e+06 seconds, not {seconds}\n")


def test_nobody_at_the_socket_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sim(["--socket", str(tmp_path / "none.sock"), "reset"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_state_survives_masters_that_come_and_go(box: Running) -> None:
    charge(box)
    for _ in range(3):
        write(box, 28, 100)
    assert box.sim("get", "contactor", "--evse", "1") == "closed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_removes_its_links(start: Start, number: int) -> None:
    box = start()
    assert (box.folder / "ttyRS485").is_symlink()
    assert box.end(number) == 0
    assert [p.name for p in box.folder.iterdir()] == ["agent.toml"]


def test_a_fault_that_is_not_named_cannot_come_later(box: Running) -> None:
    assert "--after needs --then" in box.fails("plug-in", "--evse", "1", "--after", "3")
    assert box.sim("get", "ev-state", "--evse", "1") == "A"


def serve(folder: Path, socket: str) -> subprocess.CompletedProcess[str]:
    """One that cannot start."""
    (folder / "agent.toml").write_text(CONFIG.format(folder=folder, evse_map="reference"))
    words = [sys.executable, "-c", START, "--config", str(folder / "agent.toml"), "--socket", socket]
    return subprocess.run(words, check=False, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("socket", ["sim.sock", "other.sock"])
def test_nobody_takes_ports_or_socket_from_hardware_that_runs(box: Running, socket: str) -> None:
    ended = serve(box.folder, str(box.folder / socket))
    port = box.folder / "ttyRS485"
    assert (ended.returncode, ended.stderr) == (
        1, f"chargepoint simulate: {port}: other simulated hardware serves it; end it first\n",
    )  # fmt: skip
    assert box.sim("get", "contactor", "--evse", "1") == "open"
    assert (box.folder / "ttyRS485").exists()


def test_what_was_left_behind_by_hardware_that_was_killed_is_taken_over(start: Start) -> None:
    start().end(signal.SIGKILL)
    box = start()
    assert box.sim("get", "contactor", "--evse", "1") == "open"


def test_nobody_takes_the_socket_from_hardware_with_other_ports(box: Running, tmp_path: Path) -> None:
    ended = serve(tmp_path, box.socket)
    assert (ended.returncode, ended.stderr) == (
        1, f"chargepoint simulate: {box.socket}: other simulated hardware answers there; end it first\n",
    )  # fmt: skip
    assert box.sim("get", "contactor", "--evse", "1") == "open"


def test_a_socket_that_cannot_be_made_is_one_line_that_names_it(tmp_path: Path) -> None:
    ended = serve(tmp_path, "/nowhere/sim.sock")
    assert (ended.returncode, ended.stderr) == (
        1,
        "chargepoint simulate: /nowhere/sim.sock: No such file or directory\n",
    )


def test_a_configuration_that_is_wrong_is_one_line_and_code_78(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text("[[bus]\n")
    words = [sys.executable, "-c", START, "--config", str(config), "--socket", str(tmp_path / "sim.sock")]
    ended = subprocess.run(words, check=False, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stderr.count("\n")) == (78, 1)


SITE = """
[station]
vendor = "Example"
model = "Twin"
[csms]
url = "ws://127.0.0.1:9000/ocpp"
identity = "CP-2"
[service]
maps_dir = "my-maps"
[[bus]]
name = "lan"
host = "127.0.0.1"
tcp_port = 5020
[[evse]]
id = 1
cable = "attached"
cable_a = 20
max_current_a = 16
phases = 1
controller = {{ map = "heidelberg_ec", bus = "lan", unit = 1 }}
meter = {{ map = "eastron_sdm120", bus = "lan", unit = 2 }}
[[evse]]
id = 2
max_current_a = 63
controller = {{ map = "heidelberg_ec", bus = "lan", unit = 3 }}
meter = {{ map = "eastron_sdm630", bus = "lan", unit = 4 }}
[[reader]]
driver = "ascii-line"
port = "{folder}/ttyCards"
uid_order = "reversed"
"""


def test_a_configuration_becomes_the_same_hardware(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(SITE.format(folder=tmp_path))
    station = station_of(load(file), seed=3)
    assert station == SimStation(
        buses=(SimBus("lan", host="127.0.0.1", tcp_port=5020),),
        evses=(
            SimEvse(1, SimUnit("heidelberg_ec", "lan", 1), SimUnit("eastron_sdm120", "lan", 2), True, 20.0, 16.0, 1),
            SimEvse(2, SimUnit("heidelberg_ec", "lan", 3), SimUnit("eastron_sdm630", "lan", 4), False, 63.0, 63.0, 3),
        ),
        readers=(SimReader("ascii_line", f"{tmp_path}/ttyCards", (1, 2), reverse=True),),
        seed=3,
        map_dirs=(str(tmp_path / "my-maps"),),
    )


async def test_programs_have_a_client_of_their_own(box: Running) -> None:
    client = SimClient(box.socket)
    await client.do("plug-in", evse=1)
    await client.do("wait", key="ev-state", value="B", evse=1, timeout=2)
    assert await client.do("get", key="ev-state", evse=1) == "B"


def test_every_verb_of_the_hardware_can_be_typed(box: Running) -> None:
    _, out, _ = box.run("--help")
    assert all(verb in out for verb in VERBS)
