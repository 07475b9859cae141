"""The same package on Debian 13: another Python, a systemd that knows Type=notify-reload."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.ledger import begun, over, read
from tests.platform.network import Network
from tests.platform.station import FILE, Station, station

Layers = tuple[Path, ...]
pytestmark = pytest.mark.xdist_group("debian13")


async def test_the_package_runs_a_charge_on_debian_13(layers13: Layers, network: Network) -> None:
    async with station(layers13, network, "1.6") as s:
        await s.ready()
        await s.do("plug-in", evse=1)
        await s.tap()
        await begun(s.csms)
        await s.do("unplug", evse=1)
        await over(s.csms)
        assert 'PRETTY_NAME="Debian GNU/Linux 13' in await s.run("cat", "/etc/os-release")
        assert await s.run("systemctl", "--failed", "--quiet") == ""
        await s.run("systemd-analyze", "security", "--no-pager", "--threshold=15", "chargepoint.service")
        complaints = s.machine.journal("_PID=1", "-p", "warning")
        assert [line["MESSAGE"] for line in complaints if "chargepoint" in str(line)] == []


async def test_a_reload_waits_for_the_new_settings_and_a_wrong_file_fails_it(
    layers13: Layers, network: Network
) -> None:
    """By the package alone: systemd 252 does not know the type that does this."""
    async with station(layers13, network) as s:
        await s.ready()
        assert await s.show("Type") == "notify-reload"
        file = s.machine.root / FILE[1:]
        good = file.read_text()
        file.write_text(good + '"ConnectionTimeOut" = 77\n')
        await s.run("systemctl", "reload", "chargepoint")
        assert "Reloaded" in s.machine.log()
        assert await read(s.csms, "ConnectionTimeOut") == "77"
        file.write_text(good + '"ConnectionTimeOut" = "soon"\n')
        await s.run("systemctl", "reload", "chargepoint", code=1)
        assert s.machine.journal("-u", "chargepoint", "-p", "err", "FAULT=configuration")
        await s.seen("it is up", ActiveState="active", SubState="running", NRestarts="0")
        assert await read(s.csms, "ConnectionTimeOut") == "77"


async def test_a_reload_on_debian_13_finds_the_credentials(layers13: Layers, network: Network) -> None:
    def prepare(s: Station) -> None:
        s.csms_lines = 'password_file = "$CREDENTIALS_DIRECTORY/cp_csms-password"'
        s.machine.put("/etc/chargepoint/credentials/csms-password", "of-this-charger", 0o600)

    async with station(layers13, network, prepare=prepare) as s:
        await s.ready()
        await s.run("systemctl", "reload", "chargepoint")
        await s.machine.seen(lambda: "Reloaded" in s.machine.log(), "the file is read again")


async def test_the_socket_stays_open_while_systemd_257_restarts_the_agent(layers13: Layers, network: Network) -> None:
    """From Python 3.13 on asyncio would remove the socket's file at the end of the old agent."""
    async with station(layers13, network) as s:
        await s.ready()
        before = await s.run("stat", "-c", "%i", "/run/chargepoint/control.sock")
        await s.run("systemctl", "restart", "chargepoint")
        assert await s.run("stat", "-c", "%i", "/run/chargepoint/control.sock") == before
        assert (await s.status())["identity"] == "CP-7"
