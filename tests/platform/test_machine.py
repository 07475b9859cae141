"""The bench itself: a booted system is real, and nothing of it is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.platform.host import ROOT, cgroup2
from tests.platform.machine import GROUP, Machine
from tests.platform.network import Network

KILLED = """
import sys, time
from pathlib import Path
from tests.platform.machine import Machine
with Machine(Path(sys.argv[1])) as machine:
    machine.boot()
    print(machine.pid, machine.folder, machine._group, flush=True)
    time.sleep(600)
"""


def test_a_machine_boots_systemd_and_powers_off(bare: Machine) -> None:
    assert bare.run("systemctl", "is-system-running").strip() == "running"
    assert bare.run("cat", "/proc/1/comm").strip() == "systemd"
    assert bare.off() == 0
    assert not list(_groups(bare))


def test_what_a_machine_writes_survives_its_power_cut_and_leaves_the_system_as_it_was(debian: Path) -> None:
    with Machine(debian) as machine:
        machine.boot()
        machine.put("/etc/kept", "yes")
        machine.run("sync")
        machine.kill()
        machine.boot()
        assert machine.run("cat", "/etc/kept") == "yes"
    assert not (debian / "etc/kept").exists()


def test_a_machine_has_no_network_but_the_one_of_its_test(debian: Path, network: Network) -> None:
    with Machine(debian) as machine:
        machine.boot(network=network)
        links = machine.run("ip", "-brief", "link").split("\n")
        assert [line.split()[0] for line in links if line] == ["lo"]


def test_nothing_is_left_when_the_test_itself_is_killed(debian: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(debian)], stdout=subprocess.PIPE, text=True,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    pid, folder, group = process.stdout.readline().split()
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    with Machine(debian) as machine:
        machine.until(lambda: not Path(f"/proc/{pid}").exists(), "its processes are gone")
        machine.until(lambda: "populated 0" in (Path(group) / "cgroup.events").read_text(), "its group is empty")
    assert folder not in Path("/proc/mounts").read_text()
    subprocess.run(["rm", "-rf", folder], check=True)
    subprocess.run(["find", group, "-depth", "-type", "d", "-delete"], check=True)


def _groups(machine: Machine) -> list[Path]:
    root = cgroup2()
    assert root is not None
    return [path for path in root.glob(f"{GROUP}-*") if path == machine._group]
