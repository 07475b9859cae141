"""The Debian package from its installation to its purge, on a booted system."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.platform.host import ROOT, call
from tests.platform.machine import Machine
from tests.platform.releases import release
from tests.platform.rootfs import SMALL, rootfs

DEB = "/root/agent.deb"
CONF = "/etc/chargepoint/agent.toml"
CREDENTIAL = "/etc/chargepoint/credentials/csms-password"
DROP_IN = "/etc/chargepoint/conf.d/site.toml"
NAME = "chargepoint-agent"
NEWER = "0.2.0"
# What an installation may leave on a machine that never had the package: caches and logs of the system's own.
NOT_OURS = (
    *("proc", "sys", "run", "tmp", "dev", "var/log", "var/cache", "var/lib/dpkg", "root"),
    *("var/lib/systemd/random-seed", "var/lib/systemd/timers", "var/lib/systemd/catalog"),
)


JUDGE = """
import sys
sys.path.insert(0, "/usr/lib/chargepoint/site")
from agent.edge import certificates, signing
from pki import UTC_NOW, issue

def told(work):
    try:
        work()
    except certificates.Unfit as why:
        return str(why)
    return ""

root, other = issue("Root"), issue("Other")
leaf = issue("CP", root, ca=False, client=True)
old = issue("Old", days=(-9, -1))
assert told(lambda: certificates.root(root.pem, UTC_NOW)) == ""
assert certificates.signed_by(leaf.certificate, root.certificate)
print("fit")
assert told(lambda: certificates.root(old.pem, UTC_NOW)) == "it has expired"
print("expired")
assert not certificates.signed_by(leaf.certificate, other.certificate)
print("stranger")
signer = issue("Signer", root, ca=False)
assert signing.check_signer(signer.pem, [root.pem.encode()], UTC_NOW) == ("", "")
assert signing.check_signer(signer.pem, [other.pem.encode()], UTC_NOW) != ("", "")
print("signer")
"""


@pytest.fixture
def installed(bare: Machine, deb: Path) -> Machine:
    """Booted, with the package."""
    install(bare, deb)
    return bare


@pytest.fixture(scope="session")
def newer(deb: Path) -> Path:
    return release(deb, NEWER)


def install(machine: Machine, package: Path, *options: str, code: int = 0) -> str:
    machine.put(DEB, package.read_bytes())
    return machine.run("dpkg", *options, "-i", DEB, code=code, timeout_s=120)


def is_up(machine: Machine) -> bool:
    return machine.show("chargepoint", "ActiveState") == "active"


def version(machine: Machine) -> str:
    """Of the agent that runs."""
    return str(json.loads(machine.run("chargepoint", "status", "--json"))["version"])


def listing(machine: Machine) -> dict[str, str]:
    """Every file with its owner and mode, and all users."""
    pruned = [word for path in NOT_OURS for word in ("-path", f"/{path}", "-prune", "-o")]
    rows = machine.run("find", "/", "-xdev", *pruned, "-printf", "%p\t%U %G %m\n").splitlines()
    files = dict(row.split("\t") for row in rows)
    return files | {name: machine.run("cat", name) for name in ("/etc/passwd", "/etc/group")}


def test_an_installed_agent_runs_is_enabled_and_tells_its_version(installed: Machine) -> None:
    installed.until(lambda: is_up(installed), "the agent is up")
    assert installed.run("systemctl", "is-enabled", "chargepoint").strip() == "enabled"
    assert installed.run("dpkg-query", "-W", "-f", "${Version}", NAME) == version(installed)


def test_who_may_read_what(installed: Machine) -> None:
    modes = installed.run(
        "stat", "-c", "%n %a %U:%G", "/etc/chargepoint", CONF, "/etc/chargepoint/conf.d", "/etc/chargepoint/credentials"
    )
    assert modes.splitlines() == [
        "/etc/chargepoint 750 root:chargepoint",
        f"{CONF} 640 root:chargepoint",
        "/etc/chargepoint/conf.d 750 root:chargepoint",
        "/etc/chargepoint/credentials 700 root:root",
    ]
    assert "dialout" in installed.run("id", "-Gn", "chargepoint").split()


def test_the_one_conffile_is_the_configuration(installed: Machine) -> None:
    conffiles = installed.run("dpkg-query", "-W", "-f", "${Conffiles}", NAME).split()
    assert conffiles[::2] == [CONF]


def test_all_modules_are_compiled_for_the_python_that_is_there(installed: Machine) -> None:
    sources = installed.run("find", "/usr/lib/chargepoint/site", "-name", "*.py").splitlines()
    compiled = installed.run("find", "/usr/lib/chargepoint/site", "-name", "*.pyc").splitlines()
    assert len(sources) > 200
    assert len(compiled) == len(sources)


def test_a_module_that_somebody_installed_by_hand_does_not_reach_the_agent(installed: Machine) -> None:
    for folder in ("/usr/local/lib/python3.11/dist-packages", "/usr/lib/python3/dist-packages", "/root"):
        installed.put(f"{folder}/websockets/__init__.py", "raise SystemExit('not this one')\n")
        installed.put(f"{folder}/sitecustomize.py", "raise SystemExit('nor this')\n")
    assert installed.run("env", "-C", "/root", "PYTHONPATH=/root", "chargepoint", "version").startswith("chargepoint ")
    installed.run("systemctl", "restart", "chargepoint")
    assert is_up(installed)


def test_a_drivers_package_of_the_manufacturer_is_found(installed: Machine) -> None:
    folder = "/usr/lib/chargepoint/extensions"
    installed.put(f"{folder}/acme.py", "class Board:\n    pass\n")
    installed.put(f"{folder}/acme-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    installed.put(f"{folder}/acme-1.0.dist-info/entry_points.txt", "[chargepoint.drivers]\nacme = acme:Board\n")
    installed.put(DROP_IN, '[[evse]]\nid = 1\ncontroller = { driver = "acme" }\n')
    assert ": ok" in installed.run("chargepoint", "check-config")


def test_the_journal_is_spoken_to_through_the_package_of_debian(installed: Machine) -> None:
    installed.until(lambda: is_up(installed), "the agent is up")
    pid = installed.show("chargepoint", "MainPID")
    assert "/systemd/_journal" in installed.run("cat", f"/proc/{pid}/maps")


def test_the_package_of_debian_judges_certificates(installed: Machine) -> None:
    installed.put("/root/pki.py", (ROOT / "tests/edge/pki.py").read_text())
    installed.put("/root/judge.py", JUDGE)
    assert installed.run("python3", "/root/judge.py").split() == ["fit", "expired", "stranger", "signer"]


def test_an_upgrade_keeps_what_was_edited_and_what_is_secret(installed: Machine, newer: Path) -> None:
    edited = installed.run("cat", CONF) + "# edited here\n"
    installed.put(CONF, edited)
    installed.put(CREDENTIAL, "a password", mode=0o600)
    installed.put(DROP_IN, '[station]\nserial = "S1"\n')
    before = installed.show("chargepoint", "MainPID")
    install(installed, newer, "--force-confold")
    installed.until(lambda: is_up(installed) and installed.show("chargepoint", "MainPID") != before, "it is up again")
    assert version(installed) == NEWER
    assert installed.run("cat", CONF) == edited
    assert installed.run("stat", "-c", "%a %U", CREDENTIAL).strip() == "600 root"
    assert installed.run("cat", CREDENTIAL) == "a password"
    assert installed.run("cat", DROP_IN).startswith("[station]")


def test_a_service_that_was_disabled_stays_so_over_an_upgrade(installed: Machine, newer: Path) -> None:
    installed.run("systemctl", "disable", "--now", "chargepoint")
    install(installed, newer)
    assert installed.run("systemctl", "is-enabled", "chargepoint", code=1).strip() == "disabled"


def test_going_back_is_clean_where_the_stored_layout_is_the_same(bare: Machine, deb: Path, newer: Path) -> None:
    install(bare, newer)
    bare.until(lambda: is_up(bare), "the newer agent is up")
    install(bare, deb)
    bare.until(lambda: is_up(bare) and version(bare) != NEWER, "the older agent is up")
    assert "salvage" not in bare.log().lower()


def test_going_back_is_refused_where_they_could_not_be_read(bare: Machine, deb: Path) -> None:
    install(bare, release(deb, "9.0.0", layouts=1))
    bare.until(lambda: is_up(bare), "the newer agent is up")
    said = install(bare, deb, code=1)
    assert re.search(r"stored transactions have layout \d+, this release knows \d+", said)
    assert is_up(bare)
    assert version(bare) == "9.0.0"
    assert bare.run("dpkg-query", "-W", "-f", "${Version} ${Status}", NAME) == "9.0.0 install ok installed"


def test_what_is_removed_keeps_its_configuration_and_its_memory(installed: Machine) -> None:
    installed.put(CREDENTIAL, "a password", mode=0o600)
    installed.run("dpkg", "-r", NAME)
    assert installed.run("find", "/usr/lib/chargepoint", code=1).endswith("No such file or directory\n")
    for kept in (CONF, CREDENTIAL, "/var/lib/chargepoint/chargepoint.db"):
        installed.run("test", "-e", kept)


def test_nothing_is_left_after_a_purge(bare: Machine, deb: Path) -> None:
    before = listing(bare)
    install(bare, deb)
    bare.until(lambda: is_up(bare), "the agent is up")
    bare.put(CREDENTIAL, "a password", mode=0o600)
    bare.put(DROP_IN, "")
    bare.run("chargepoint", "status")
    bare.run("usermod", "--append", "--groups", "chargepoint", "games")  # as the manual says of technicians
    bare.run("dpkg", "-P", NAME)
    after = listing(bare)
    assert {name: what for name, what in after.items() if before.get(name) != what} == {}
    assert bare.run("systemctl", "--failed", "--no-legend") == ""
    assert not (bare.root / "run/chargepoint").exists()


# --- no service manager at all: a container, or an image that is being made without /proc ---

BARE = """
set -eu
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
cp "$2" /mnt/root/agent.deb
chroot /mnt/root dpkg -i /agent.deb
chroot /mnt/root chargepoint check-config
chroot /mnt/root stat -c '%a %U:%G' /etc/chargepoint /etc/chargepoint/agent.toml /etc/chargepoint/credentials
chroot /mnt/root dpkg -P chargepoint-agent
echo "left: $(find /mnt/root/etc /mnt/root/usr /mnt/root/var/lib -name '*chargepoint*')"
"""


def test_it_installs_and_goes_where_there_is_no_systemd_and_no_proc(deb: Path) -> None:
    said = call("unshare", "--mount", "sh", "-c", BARE, "bare", rootfs(packages=SMALL), deb, timeout_s=120)
    lines = said.splitlines()
    assert any(": ok, 1 EVSE" in line for line in lines)
    assert "750 root:chargepoint\n640 root:chargepoint\n700 root:root\n" in said
    assert lines[-1] == "left: "
