"""Under a service manager, and for the technician: sd_notify, SIGHUP, `chargepoint status`."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys

from tests.conformance.ledger import begun, read
from tests.end_to_end.agent_helpers import Charger, charger, eventually, until


class Manager:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, c: Charger) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(c.folder / "notify"))
        self.socket.setblocking(False)
        self.told: list[str] = []
        c.environ = {"NOTIFY_SOCKET": str(c.folder / "notify"), "WATCHDOG_USEC": "900000"}

    def read(self) -> list[str]:
        while True:
            try:
                self.told += self.socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self.told


async def test_the_service_manager_is_told_ready_status_watchdog_reload_and_stop() -> None:
    async with charger("2.0.1", start=False) as c:
        manager = Manager(c)
        await c.start()
        await until(lambda: "READY=1" in manager.read(), "READY")
        await c.ready()
        await until(lambda: any("CSMS Accepted; EVSE 1 Available 0 A" in line for line in manager.read()), "STATUS")
        await until(lambda: manager.read().count("WATCHDOG=1") >= 3, "the watchdog is fed")
        assert c.process is not None
        c.plan.variables["HeartbeatInterval"] = 123
        c.write_config()
        c.process.send_signal(signal.SIGHUP)
        await until(lambda: manager.read().count("READY=1") == 2, "READY again")
        assert manager.told.index("RELOADING=1") > manager.told.index("READY=1")
        assert await c.end() == 0
        assert "STOPPING=1" in manager.read()
        manager.socket.close()


NAMES_HANG = """
import socket, sys, time
socket.getaddrinfo = lambda *_args, **_more: time.sleep(60)
from agent.__main__ import main
sys.exit(main(["run", "--config", {config!r}]))
"""


async def test_a_name_lookup_that_hangs_does_not_hold_up_the_end() -> None:
    async with charger("1.6", start=False) as c:
        c.config.write_text(c.config.read_text().replace("ws://127.0.0.1:", "ws://csms.example:"))
        c.program = ("-c", NAMES_HANG.format(config=str(c.config)))
        await c.start()
        await until(lambda: "PilotChanged" in c.log, "the agent runs")
        assert await c.end() == 0  # past STOP_LIMIT_S it would be 1


async def test_a_reload_takes_up_variables_and_refuses_what_is_wrong() -> None:
    async with charger("1.6") as c:
        await c.ready()
        assert c.process is not None
        c.plan.variables["ConnectionTimeOut"] = 99
        c.write_config()
        c.process.send_signal(signal.SIGHUP)
        await until(lambda: "Reloaded" in c.log, "it is read again")
        assert await read(c.csms, "ConnectionTimeOut") == "99"
        c.config.write_text(c.config.read_text() + "\nNonsense = 1\n")
        c.process.send_signal(signal.SIGHUP)
        await until(lambda: "ReloadRefused" in c.log, "it is refused")
        assert await read(c.csms, "ConnectionTimeOut") == "99"
        assert c.process.returncode is None


SHAPE = """version uptime_s vendor model serial identity config link registration protocol clock evses queue
dead_letters storage warnings"""


async def command(c: Charger, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "status", "--socket", str(c.folder / "control.sock"), *words),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _err = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_status_tells_a_technician_what_goes_on() -> None:
    async with charger("2.0.1") as c:
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        await begun(c.csms)
        await c.charging()

        async def drawing() -> bool:
            return ((await c.status())["evses"][0]["power_w"] or 0) > 1000

        await eventually(drawing, "power")
        told = json.loads(await command(c, "--json"))
        assert set(SHAPE.split()) <= told.keys()
        assert (told["link"]["state"], told["registration"], told["protocol"]) == ("connected", "Accepted", "2.0.1")
        evse = told["evses"][0]
        assert (evse["pilot"], evse["contactor"], evse["offer_a"], evse["faults"]) == ("C", True, 32, [])
        assert evse["transaction"]["token"].endswith("E9AE")
        assert told["storage"]["state"] == "ok"
        screen = await command(c)
        assert "contactor closed" in screen and "32 A: the hardware's limit" in screen
        await c.do("fault", name="ground")

        async def faulted() -> list[dict[str, str]]:
            return list((await c.status())["evses"][0]["faults"])

        assert (await eventually(faulted, "the fault"))[0]["id"] == "ground"
        assert "FAULT" in await command(c)
