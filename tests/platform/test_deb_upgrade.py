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
from tests.platform.rootfs import BINFMT, BINFMT_NAMESPACE, extracted, rootfs
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
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
dpkg-deb -x "$3" "$1/root"
chroot "$1/root" /usr/bin/python3 -c 'import sys; print(f"largest {sys.maxsize}")'
chroot "$1/root" /usr/bin/python3 -m compileall -q /usr/lib/chargepoint/site/agent/core
chroot "$1/root" /usr/bin/chargepoint check-config
"""


def test_what_the_package_holds_runs_on_armhf() -> None:
    """Debian's Python for it, unpacked and not set up, which would take minutes here."""
    deb, base = package(), extracted("armhf", "python3")
    words = ("unshare", "--mount", "sh", "-c", ON_ARMHF, "run", "/mnt", base, deb)
    said = call(*BINFMT_NAMESPACE, BINFMT["armhf"], *words, timeout_s=300).splitlines()
    assert said[0] == f"largest {2**31 - 1}"
    assert ": ok, 1 EVSE" in said[-1]
