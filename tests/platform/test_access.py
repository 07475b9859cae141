"""Who may what: the control socket, keys and passwords, and the walls around the service."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path

from tests.conformance.csms import Csms
from tests.edge.pki import issue
from tests.platform.machine import Machine
from tests.platform.network import Network
from tests.platform.station import Station, station

Layers = tuple[Path, ...]
SOCKET = "/run/chargepoint/control.sock"
SECRET = "a-long-password-of-this-charger"
ASK = f"""
import json, socket
line = ""
while not line:  # an agent that ends with the question in its hand says nothing: ask again
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect("{SOCKET}")
        s.sendall(b'{{"verb":"status"}}\\n')
        line = s.makefile().readline()
print(line)
"""
UNITS = ("/lib/systemd/system/chargepoint.service", "/lib/systemd/system/chargepoint.socket")
GROUP = "/sys/fs/cgroup/system.slice/chargepoint.service"


async def ask(s: Station, user: str, *groups: str) -> str:
    more = [f"--property=SupplementaryGroups={group}" for group in groups]
    words = ("systemd-run", "--quiet", "--wait", "--pipe", f"--uid={user}", *more, "python3", "-c", ASK)
    return await s.run(*words, code=None)


async def test_root_and_members_of_the_group_may_ask_and_nobody_else(layers: Layers, network: Network) -> None:
    async with station(layers, network) as s:
        await s.ready()
        await s.run("useradd", "technician")
        await s.run("useradd", "stranger")
        assert await s.run("stat", "-c", "%A %U %G", SOCKET) == "srw-rw---- chargepoint chargepoint\n"
        assert '"registration":"Accepted"' in await ask(s, "root")
        assert '"registration":"Accepted"' in await ask(s, "technician", "chargepoint")
        assert "PermissionError" in await ask(s, "stranger")
        await s.run("chmod", "666", SOCKET)  # somebody has opened the door: the kernel still says who asks
        assert "only root and members of the agent's group may ask" in await ask(s, "stranger")
        refused = s.machine.journal("EVENT=ControlRefused")
        uid = (await s.run("id", "-u", "stranger")).strip()
        assert [(line["UID"], line["FAULT"]) for line in refused] == [(uid, "control-socket")]


async def test_a_question_in_the_middle_of_a_restart_is_answered_by_the_next_agent(
    layers: Layers, network: Network
) -> None:
    async with station(layers, network) as s:
        await s.ready()
        await s.run("systemctl", "kill", "-s", "STOP", "chargepoint")  # it will not take this question any more
        asking = asyncio.create_task(ask(s, "root"))
        await s.machine.seen(lambda: s.machine.run("cat", "/proc/net/unix").count(SOCKET) == 2, "somebody waits")
        await s.run("systemctl", "restart", "chargepoint")
        assert '"identity":"CP-7"' in await asking


async def test_a_question_after_a_crash_is_answered_by_the_next_agent(layers: Layers, network: Network) -> None:
    async with station(layers, network) as s:
        await s.ready()
        await s.run("systemctl", "kill", "-s", "KILL", "chargepoint")
        assert '"identity":"CP-7"' in await ask(s, "root")
        assert await s.show("NRestarts") == "1"


async def test_a_password_and_keys_are_given_by_the_manager_and_by_nobody_else(
    layers: Layers, network: Network
) -> None:
    def prepare(s: Station) -> None:
        s.csms_lines = 'password_file = "$CREDENTIALS_DIRECTORY/cp_csms-password"'
        s.machine.put("/etc/chargepoint/credentials/csms-password", SECRET, 0o600)

    async with station(layers, network, prepare=prepare) as s:
        await s.ready()
        sent = s.csms.requests[0].headers["Authorization"].split()[1]
        assert b64decode(sent) == f"CP-7:{SECRET}".encode()
        as_agent = ("setpriv", "--reuid=chargepoint", "--regid=chargepoint", "--init-groups")
        assert "Permission denied" in await s.run(*as_agent, "ls", "/etc/chargepoint/credentials", code=2)
        assert "ok" in await s.run("chargepoint", "check-config")  # for root it is beside the file
        await s.run("systemctl", "reload", "chargepoint")
        await s.machine.seen(lambda: "Reloaded" in s.machine.log(), "the file is read again")
        pid = await s.main_pid()
        environ = await s.run("cat", f"/proc/{pid}/environ")
        assert SECRET not in environ + s.machine.log()


async def test_a_charger_shows_a_certificate_whose_key_its_own_user_cannot_read(
    layers: Layers, network: Network, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    root = issue("root", at=now)
    server = issue("csms", root, ca=False, server="127.0.0.1", at=now)
    charger = issue("CP-7", root, ca=False, client=True, at=now)
    (tmp_path / "server.pem").write_bytes(server.key_pem + server.pem.encode())
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=root.pem)
    tls.load_cert_chain(tmp_path / "server.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    files = {"ca_file": root.pem, "client_certificate_file": charger.pem, "client_key_file": charger.key_pem.decode()}

    def prepare(s: Station) -> None:
        s.csms_lines = "\n".join(f'{key} = "$CREDENTIALS_DIRECTORY/cp_{key}"' for key in files)
        for key, text in files.items():
            s.machine.put(f"/etc/chargepoint/credentials/{key}", text, 0o600)

    async with station(layers, network, csms=Csms("2.0.1", tls=tls), prepare=prepare) as s:
        await s.ready()
        assert (await s.status())["link"]["security_profile"] == 3


async def test_an_empty_folder_of_credentials_is_no_hindrance_and_a_missing_one_is_made_at_boot(
    layers: Layers, network: Network
) -> None:
    async with station(layers, network) as s:
        await s.ready()
        await s.run("rmdir", "/etc/chargepoint/credentials")
        s.machine.kill()
        mark = s.csms.mark()
        await asyncio.to_thread(s.machine.boot, network=network)
        await s.csms.hear("BootNotification", mark, 30)
        assert await s.run("stat", "-c", "%A %U", "/etc/chargepoint/credentials") == "drwx------ root\n"


async def test_the_walls_stand(layers: Layers, network: Network) -> None:
    """What the unit forbids is tried from inside, in the service's own namespaces and control group."""
    async with station(layers, network) as s:
        await s.ready()
        await s.run("mknod", "-m", "666", "/root-of-memory", "c", "1", "1")
        await s.run("mknod", "-m", "666", "/serial", "c", "4", "95")
        assert "Read-only" in await inside(s, "touch /etc/chargepoint/x")
        assert "Read-only" in await inside(s, "touch /usr/x")
        assert await inside(s, "touch /var/lib/chargepoint/x && echo written") == "written\n"
        assert "Operation not permitted" in await inside(s, "head -c1 /root-of-memory")
        assert "No such device" in await inside(s, "head -c1 /serial")  # allowed, but this machine has not so many
        pid = await s.main_pid()
        status = dict(
            line.split(":\t", 1) for line in (await s.run("cat", f"/proc/{pid}/status")).splitlines() if ":\t" in line
        )
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


async def inside(s: Station, script: str) -> str:
    """What root's shell says among the service's mounts, under the rules of its control group."""
    enter = f"echo 0 > {GROUP}/cgroup.procs; exec nsenter -t {await s.main_pid()} --mount --root --wd"
    return await s.run("sh", "-c", f'{enter} sh -c "$0"', script, code=None)


def test_the_unit_is_as_closed_as_it_was_promised_and_without_fault(installed_machine: Machine) -> None:
    assert "chargepoint" in installed_machine.run("systemctl", "list-unit-files", "--state=enabled", "--no-legend")
    told = installed_machine.run("systemd-analyze", "security", "--no-pager", "--threshold=15", "chargepoint.service")
    assert "Overall exposure level for chargepoint.service: 1." in told
    assert installed_machine.run("systemd-analyze", "verify", "--man=no", *UNITS) == ""


def test_the_journal_of_the_boot_has_no_complaint_about_the_units(installed_machine: Machine) -> None:
    installed_machine.run("systemctl", "daemon-reload")
    complaints = installed_machine.journal("_PID=1", "-p", "warning")
    assert [line["MESSAGE"] for line in complaints if "chargepoint" in str(line)] == []
