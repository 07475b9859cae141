"""Our life under a service manager, with a real notification socket, real signals and a process of its own to kill."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.edge.service import Notifier, Service, Watchdog, passed_sockets, watchdog_interval_s

UNIT = Path(__file__).parents[2] / "packaging/systemd/chargepoint.service"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket on which a service manager listens; its name is `getsockname()`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.settimeout(5)
        yield server


@pytest.fixture
def service(manager: socket.socket) -> Iterator[Service]:
    notifier = Notifier(manager.getsockname())
    yield Service(notifier)
    notifier.close()


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().splitlines()


def test_ready_comes_with_a_status(service: Service, manager: socket.socket) -> None:
    service.ready("waiting for a car")
    assert heard(manager) == ["READY=1", "STATUS=waiting for a car"]


def test_a_status_is_one_short_line(service: Service, manager: socket.socket) -> None:
    service.status("a\nREADY=1 " + "x" * 500)
    (line,) = heard(manager)
    assert line.startswith("STATUS=a READY=1 xxx")
    assert len(line) == 207


def test_the_same_status_is_sent_once(service: Service, manager: socket.socket) -> None:
    for text in ("a", "a", "b"):
        service.status(text)
    assert heard(manager) + heard(manager) == ["STATUS=a", "STATUS=b"]


def test_a_reload_carries_its_time(service: Service, manager: socket.socket) -> None:
    service.reloading()
    first, second = heard(manager)
    assert first == "RELOADING=1"
    assert second.removeprefix("MONOTONIC_USEC=").isdigit()


def test_stopping_is_told(service: Service, manager: socket.socket) -> None:
    service.stopping()
    assert heard(manager) == ["STOPPING=1", "STATUS=stopping"]


def test_a_manager_with_an_abstract_name_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0chargepoint-test-{os.getpid()}")
        server.settimeout(5)
        notifier = Notifier(f"@chargepoint-test-{os.getpid()}")
        assert notifier("READY=1")
        assert heard(server) == ["READY=1"]
        notifier.close()


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not Notifier()("READY=1")


def test_a_manager_that_is_gone_is_no_error(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "none"))
    assert not notifier("READY=1")
    notifier.close()


def test_a_hung_manager_does_not_hang_the_agent(service: Service, manager: socket.socket) -> None:
    for number in range(5000):
        service.status(str(number))


# --- watchdog ---


class Ward:
    """A watchdog on a clock that the test moves, and what it told."""

    def __init__(self, **beats: float) -> None:
        self.now = 0.0
        self.told: list[str] = []
        self.late: list[tuple[str, ...]] = []
        self.dog = Watchdog(beats, Service(self._hear), mono=lambda: self.now, on_late=self.late.append)

    def _hear(self, state: str) -> bool:
        self.told.append(state)
        return True


def test_the_watchdog_is_fed_while_all_hearts_beat() -> None:
    ward = Ward(loop=5.0, meter=10.0)
    ward.now = 4.0
    assert ward.dog.feed()
    assert ward.told == ["WATCHDOG=1"]


def test_one_silent_heart_keeps_the_watchdog_hungry_and_is_named() -> None:
    ward = Ward(loop=5.0, meter=10.0)
    ward.now = 11.0
    ward.dog.beat("loop")
    assert not ward.dog.feed()
    assert ward.told == ["STATUS=no sign of life from: meter"]
    assert ward.late == [("meter",)]


def test_a_heart_that_beats_again_is_told() -> None:
    ward = Ward(loop=5.0)
    ward.now = 6.0
    ward.dog.feed()
    ward.dog.beat("loop")
    assert ward.dog.feed()
    assert ward.late == [("loop",), ()]


def test_a_new_heart_has_its_time_for_the_first_beat() -> None:
    ward = Ward()
    ward.now = 100.0
    ward.dog.register("store", 5.0)
    assert ward.dog.feed()
    ward.now = 106.0
    assert not ward.dog.feed()


def test_a_heart_that_left_is_not_missed() -> None:
    ward = Ward(loop=5.0)
    ward.dog.forget("loop")
    ward.now = 100.0
    assert ward.dog.feed()


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
    ],
)
def test_the_manager_says_how_often_to_feed(environ: dict[str, str], interval_s: float | None) -> None:
    assert watchdog_interval_s(environ) == interval_s


# --- signals ---

AGENT = """
import asyncio, sys, time
from agent.edge.service import catch_signals, leave, show_crashes

async def main():
    show_crashes()
    stopped = asyncio.Event()
    def stop(name):
        print("stop", name, flush=True)
        if "hang" in sys.argv:
            time.sleep(60)
        stopped.set()
    catch_signals(asyncio.get_running_loop(), stop, lambda: print("reload", flush=True),
                  stop_limit_s=0.5 if "hang" in sys.argv else 20.0)
    if "thread" in sys.argv:
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
    print("up", flush=True)
    async with asyncio.timeout(30):
        await stopped.wait()
    leave(7)

asyncio.run(main())
"""


class Agent:
    """A process with our signal handling in it."""

    def __init__(self, *args: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", AGENT, *args],
            cwd=UNIT.parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ends(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_agent_in_order(number: signal.Signals) -> None:
    agent = Agent()
    assert agent.says() == "up"
    agent.process.send_signal(number)
    assert agent.says() == f"stop {number.name}"
    assert agent.ends() == (7, "")


def test_a_hangup_reloads() -> None:
    agent = Agent()
    agent.says()
    agent.process.send_signal(signal.SIGHUP)
    assert agent.says() == "reload"
    agent.process.terminate()
    assert agent.ends()[0] == 7


def test_a_stop_that_hangs_is_ended_by_force_and_shows_where() -> None:
    agent = Agent("hang")
    agent.says()
    agent.process.terminate()
    code, errors = agent.ends()
    assert code == 1
    assert "in stop" in errors


def test_a_thread_that_hangs_does_not_delay_the_end() -> None:
    agent = Agent("thread")
    agent.says()
    agent.process.terminate()
    assert agent.ends()[0] == 7


def test_the_watchdogs_abort_leaves_a_stack() -> None:
    agent = Agent()
    agent.says()
    agent.process.send_signal(signal.SIGABRT)
    code, errors = agent.ends()
    assert code == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in errors


# --- the unit ---


def directives() -> dict[str, str]:
    lines = (line for line in UNIT.read_text().splitlines() if "=" in line and line[0] not in "#[")
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Type", "notify"),
        ("WatchdogSec", "30"),
        ("Restart", "always"),
        ("RestartSec", "2"),
        ("StartLimitIntervalSec", "0"),
        ("SuccessExitStatus", "82 83"),
    ],
)
def test_the_unit_never_gives_up(name: str, value: str) -> None:
    assert directives()[name] == value


def test_a_socket_of_the_manager_is_found_by_its_path_and_hidden_from_programs_that_we_start(tmp_path: Path) -> None:
    path = str(tmp_path / "control.sock")
    with socket.socket(socket.AF_UNIX) as managers:
        managers.bind(path)
        managers.listen()
        number = os.dup(managers.fileno())
        os.set_inheritable(number, True)
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "control", "HOME": "/"}
        found = passed_sockets(environ, number)
        assert list(found) == [path] and not os.get_inheritable(number)
        assert environ == {"HOME": "/"}
        found[path].close()


def test_a_socket_for_another_process_is_left_alone() -> None:
    assert passed_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == {}


@pytest.mark.parametrize("count", ["", "x", "²"])
def test_a_number_of_sockets_that_is_none_counts_as_no_socket(count: str) -> None:
    assert passed_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count}) == {}


def test_a_descriptor_that_is_no_socket_is_ignored(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert passed_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}, file.fileno()) == {}
