"""The package on another release of Debian and another processor, and its upgrade while somebody charges."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import __version__
from tests.conformance.ledger import begun, charges, over
from tests.platform.host import call
from tests.platform.machine import Machine
from tests.platform.network import Network
from tests.platform.package import installed, package
from tests.platform.releases import release
from tests.platform.rootfs import BINFMT, BINFMT_NAMESPACE, SMALL, rootfs
from tests.platform.station import CARD, Station, station

DEB = "/root/agent.deb"
NEWER = "0.2.0"
Layers = tuple[Path, ...]


async def install(s: Station, package: Path) -> None:
    s.machine.put(DEB, package.read_bytes())
    await asyncio.to_thread(s.machine.run, "dpkg", "--force-confold", "-i", DEB, timeout_s=120)


async def test_an_upgrade_and_the_way_back_in_mid_charge_are_billed_as_one_charge(
    layers: Layers, deb: Path, network: Network
) -> None:
    async with station(layers, network) as s:
        await s.ready()
        await s.do("plug-in", evse=1)
        await s.tap()
        await begun(s.csms)
        await s.wait("contactor", "closed")
        for package, version in ((release(deb, NEWER), NEWER), (deb, __version__)):
            mark = s.csms.mark()
            await install(s, package)
            await s.csms.hear("BootNotification", mark, 60)
            assert (await s.status())["version"] == version
            await s.wait("contactor", "closed")
        await s.do("unplug", evse=1)
        charge = await over(s.csms)
        assert len(charges(s.csms)) == 1
        assert charge.tag == CARD and charge.reason == "EVDisconnected"
        assert charge.ended_wh == pytest.approx(float(await s.see("meter-wh")), abs=0.5)


# --- Debian 13 ---


@pytest.fixture(scope="module")
def trixie() -> Path:
    return rootfs("trixie")


@pytest.fixture
def on_trixie(trixie: Path, deb: Path) -> Iterator[Machine]:
    with installed(trixie, deb) as layers, Machine(*layers) as machine:
        machine.boot()
        yield machine


def test_the_same_package_runs_on_debian_13(on_trixie: Machine) -> None:
    on_trixie.until(lambda: on_trixie.is_active("chargepoint"), "the agent is up")
    assert "Python 3.13" in on_trixie.run("python3", "--version")
    site = "/usr/lib/chargepoint/site"
    sources = on_trixie.run("find", site, "-name", "*.py").splitlines()
    assert len(on_trixie.run("find", site, "-name", "*.cpython-313.pyc").splitlines()) == len(sources)
    assert on_trixie.run("chargepoint", "status", "--json")[0] == "{"
    assert on_trixie.run("udevadm", "verify", "/usr/lib/udev/rules.d/70-chargepoint.rules", code=0)
    on_trixie.run("dpkg", "-P", "chargepoint-agent", timeout_s=60)
    left = on_trixie.run("find", "/usr", "/etc", "/var/lib", "-xdev", "-name", "*chargepoint*")
    assert left == ""


# --- 32 bits ---

ON_ARMHF = """
set -eu
base=$1 deb=$2; shift 2
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$base,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
cp "$deb" /mnt/root/agent.deb
"$@" sh -euc '
mount -t proc proc /mnt/root/proc
cd /mnt/root
chroot . python3 -c "import sys; print(f\\"largest {sys.maxsize}\\")"
chroot . dpkg -i /agent.deb
chroot . dpkg-query -W -f "\\${Status}\\n" chargepoint-agent
chroot . find /usr/lib/chargepoint/site/agent/core -name "*.pyc" | grep -c .
chroot . chargepoint check-config
chroot . dpkg -P chargepoint-agent
'
echo "left: $(find /mnt/root/etc /mnt/root/usr /mnt/root/var/lib -name '*chargepoint*')"
"""


def test_the_same_package_is_installed_and_purged_on_armhf() -> None:
    """By the dpkg and the Python of that system, which qemu-user runs; the first time that takes minutes."""
    base, deb = rootfs(arch="armhf", packages=SMALL), package()
    words = ("unshare", "--mount", "--propagation=private", "sh", "-c", ON_ARMHF, "run", base, deb)
    said = call(*words, *BINFMT_NAMESPACE, BINFMT["armhf"], timeout_s=300)
    lines = said.splitlines()
    assert lines[0] == f"largest {2**31 - 1}"
    assert "install ok installed" in lines
    assert any(line.isdecimal() and int(line) > 20 for line in lines), "modules are compiled"
    assert any(": ok, 1 EVSE" in line for line in lines)
    assert lines[-1] == "left: "
