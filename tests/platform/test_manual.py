"""What packaging/README.md says of the service is true: its commands are run where a technician would type them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.ledger import begun, over
from tests.platform.host import ROOT
from tests.platform.machine import Machine
from tests.platform.network import Network
from tests.platform.station import station

Layers = tuple[Path, ...]
MANUAL = (ROOT / "packaging/README.md").read_text()


def fences(heading: str) -> list[str]:
    """The shell of one section."""
    section = re.split(r"^#{2,3} ", MANUAL.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found


def test_the_package_is_installed_and_the_charger_described_as_the_manual_says(bare: Machine, deb: Path) -> None:
    make, install, describe = fences("The Debian package")
    assert make == "make deb\n"  # what that gives is `deb`
    bare.put(f"/root/{deb.name}", deb.read_bytes())
    bare.run("env", "-C", "/root", "sh", "-euc", install, timeout_s=120)
    told = bare.run("sh", "-euc", describe)
    assert ": ok, 1 EVSE" in told and "CP-0001" in told


async def test_the_commands_of_the_service_do_what_the_manual_says(layers: Layers, network: Network) -> None:
    async with station(layers, network) as s:
        await s.ready()
        for script in fences("The service"):
            told = await s.run("sh", "-euc", script)
            assert "Status:" in told and "CSMS" in told
        await s.seen("it is up", ActiveState="active")


async def test_a_password_is_provisioned_as_the_manual_says(layers: Layers, network: Network) -> None:
    async with station(layers, network) as s:
        await s.ready()
        s.machine.put("/root/csms-password", "of-this-charger")
        mark = s.csms.mark()
        for script in fences("Keys and passwords"):
            assert "ok" in await s.run("sh", "-euc", f"cd /root\n{script}")
        await s.ready(mark)
        assert s.csms.requests[-1].headers["Authorization"].startswith("Basic ")


async def test_every_journal_query_of_the_manual_finds_something(layers: Layers, network: Network) -> None:
    queries = [line for script in fences("Its journal") for line in script.splitlines()]
    assert len(queries) >= 7
    async with station(layers, network) as s:
        await s.ready()
        await s.do("plug-in", evse=1)
        await s.tap()
        charge = await begun(s.csms)
        await s.do("unplug", evse=1)
        await over(s.csms)
        await s.pull_hardware()
        await s.machine.seen(lambda: s.machine.journal("FAULT=rfid-reader"), "a fault")
        for query in queries:
            assert (await s.run("sh", "-euc", query)).strip(), query
        ended = s.machine.journal("-u", "chargepoint", "EVENT=TransactionEnded")
        assert [(line["TX"], line["EVSE"]) for line in ended] == [(charge.id, "1")]
        stranger = await s.run("journalctl", "-u", "chargepoint", "EVSE=99", "--no-pager")
        assert "No entries" in stranger


@pytest.mark.parametrize("word", ["WatchdogSec", "DeviceAllow", "MemoryMax", "StartLimitIntervalSec", "LoadCredential"])
def test_the_unit_sets_what_the_manual_speaks_of(word: str) -> None:
    assert re.search(f"^{word}=", (ROOT / "packaging/systemd/chargepoint.service").read_text(), re.MULTILINE)
