"""`mbpoll`, a Modbus master that never saw our code, against `chargepoint simulate` on a serial line and on TCP.

What our drivers and our simulated hardware misunderstand alike shows here. mbpoll comes with packaging/bootstrap.sh.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.cli.sim import main as sim
from tests.drivers.stranger import is_missing

CONFIG = """
[station]
vendor = "Example"
model = "Wallbox 22"

[csms]
url = "ws://127.0.0.1:9000/ocpp"
identity = "CP-1"

[[bus]]
name = "line"
port = "{folder}/ttyRS485"
baud = 115200
parity = "N"

[[bus]]
name = "lan"
host = "127.0.0.1"
tcp_port = {tcp_port}

[[evse]]
id = 1
connector = "sType2"
cable = "socket"
max_current_a = 32
phases = 3
  [evse.controller]
  map = "reference"
  bus = "line"
  unit = 1
  [evse.meter]
  map = "eastron_sdm630"
  bus = "line"
  unit = 2

[[evse]]
id = 2
connector = "sType2"
cable = "socket"
max_current_a = 32
phases = 3
  [evse.controller]
  map = "reference"
  bus = "lan"
  unit = 3
  [evse.meter]
  map = "carlo_gavazzi_em340"
  bus = "lan"
  unit = 4
"""


@dataclass
class Box:
    folder: Path
    tcp_port: int

    def line(self, *words: str) -> str:
        """mbpoll on the serial line, once, addresses from 0."""
        return poll("-m", "rtu", "-b", "115200", "-P", "none", *words[:-1], f"{self.folder}/ttyRS485", words[-1])

    def lan(self, *words: str) -> str:
        return poll("-m", "tcp", "-p", str(self.tcp_port), *words[:-1], "127.0.0.1", words[-1])

    def sim(self, *words: str) -> None:
        assert sim(["--socket", str(self.folder / "sim.sock"), *words]) == 0


def poll(*words: str) -> str:
    """What mbpoll says of its one request, its banner left out; the last word may be empty."""
    asked = ["mbpoll", "-0", "-1", "-o", "2", *(word for word in words if word)]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.partition("register table")[2] + done.stderr


def values(said: str) -> list[float]:
    return [float(value) for value in re.findall(r"^\[\d+\]:\s+(\S+)", said, re.MULTILINE)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    if not shutil.which("mbpoll"):
        is_missing("mbpoll")
    folder = tmp_path_factory.mktemp("box")
    with socket.create_server(("127.0.0.1", 0)) as free:
        tcp_port = free.getsockname()[1]
    (folder / "agent.toml").write_text(CONFIG.format(folder=folder, tcp_port=tcp_port))
    words = [sys.executable, "-m", "agent", "simulate"]
    words += ["--config", str(folder / "agent.toml"), "--socket", str(folder / "sim.sock")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready: ")
        yield Box(folder, tcp_port)
        process.terminate()


@pytest.fixture
def box(running: Box) -> Box:
    running.sim("reset")
    return running


def test_a_stranger_reads_the_board_on_the_line(box: Box) -> None:
    assert values(box.line("-a", "1", "-r", "0", "-c", "2", "")) == [0x4350, 1]


def test_a_stranger_reads_the_board_on_tcp(box: Box) -> None:
    assert values(box.lan("-a", "3", "-r", "0", "-c", "2", "")) == [0x4350, 1]


def test_a_car_that_comes_is_seen_by_a_stranger(box: Box) -> None:
    box.sim("plug-in", "--evse", "1")
    assert values(box.line("-a", "1", "-r", "16", "")) == [2]


def test_the_order_of_a_stranger_is_obeyed(box: Box) -> None:
    box.sim("plug-in", "--evse", "1")
    assert "Written 1 references" in box.line("-a", "1", "-r", "28", "160")
    assert values(box.line("-a", "1", "-r", "28", "")) == [160]
    box.sim("wait", "contactor=closed", "--evse", "1", "--timeout", "10")


def test_a_stranger_writes_neighbours_in_one_request(box: Box) -> None:
    asked = ["-m", "tcp", "-p", str(box.tcp_port), "-a", "3", "-r", "29", "127.0.0.1", "9000", "60"]
    assert "Written 2 references" in poll(*asked)
    assert values(box.lan("-a", "3", "-r", "29", "-c", "2", "")) == [9000, 60]


def test_a_stranger_reads_the_floats_of_the_meter_on_the_line(box: Box) -> None:
    volts = values(box.line("-a", "2", "-r", "0", "-c", "3", "-t", "3:float", "-B", ""))
    assert volts == pytest.approx([230.0] * 3, rel=0.03)


def test_a_stranger_reads_the_energy_of_the_meter_on_the_line(box: Box) -> None:
    assert values(box.line("-a", "2", "-r", "72", "-t", "3:float", "-B", "")) == pytest.approx([1234.567], abs=0.01)


def test_a_stranger_reads_numbers_with_their_low_word_first(box: Box) -> None:
    assert values(box.lan("-a", "4", "-r", "52", "-t", "3:int", "")) == [12346]


def test_a_stranger_is_told_that_a_register_is_not_there(box: Box) -> None:
    assert "Illegal data address" in box.line("-a", "1", "-r", "500", "")


def test_a_stranger_is_told_that_a_table_is_not_there(box: Box) -> None:
    assert "Illegal function" in box.lan("-a", "3", "-r", "16", "-t", "3", "")


def test_a_stranger_is_told_that_an_order_is_too_much(box: Box) -> None:
    assert "Illegal data value" in box.line("-a", "1", "-r", "28", "900")


@pytest.mark.parametrize("kind", ["line", "lan"])
def test_a_stranger_hears_nothing_from_a_unit_that_is_not_there(box: Box, kind: str) -> None:
    ask = box.line if kind == "line" else box.lan
    assert "timed out" in ask("-a", "9", "-o", "0.3", "-r", "16", "")


def test_a_stranger_hears_nothing_from_a_meter_that_is_mute(box: Box) -> None:
    box.sim("meter", "--evse", "1", "--silent")
    assert "timed out" in box.line("-a", "2", "-o", "0.3", "-r", "0", "-t", "3:float", "")
