"""A charger as it stands in the field: the package on a booted system, its hardware, and a central system beside it.

    async with station(layers, network, "2.0.1") as s:
        await s.ready()
        await s.do("plug-in")

The hardware is `chargepoint simulate`, a service of its own in the machine, at the ports that agent.toml names, and
there before the agent; the central system is this process. Whoever leaves the block without a failure has proved
besides that no frame broke a schema, and that the agent showed no traceback.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.conformance.csms import Csms
from tests.conformance.ledger import status
from tests.platform.machine import PATIENCE_S, Machine
from tests.platform.network import Network

IDENTITY = "CP-7"
CARD = "010063E9AE"
PORTS = "/run/hardware"
CONFIG = """
[station]
vendor = "Example"
model = "Wallbox 22"
serial = "WB-7"
[csms]
url = "{url}"
identity = "{identity}"
versions = ["{version}"]
{csms}
[[bus]]
name = "rs485"
port = "{ports}/rs485"
baud = 115200
[[evse]]
id = 1
max_current_a = 32
[evse.controller]
map = "reference"
bus = "rs485"
unit = 1
poll_ms = 100
[evse.meter]
map = "eastron_sdm630"
bus = "rs485"
unit = 2
poll_ms = 250
[[reader]]
driver = "rdm6300"
port = "{ports}/cards"
evses = [1]
[variables]
"SampledDataCtrlr.TxUpdatedInterval" = 1
"OCPPCommCtrlr.RetryBackOffWaitMinimum" = 0
"OCPPCommCtrlr.RetryBackOffRandomRange" = 0
"""
HARDWARE = f"""
[Unit]
Before=chargepoint.service
[Service]
Type=exec
ExecStart=/usr/bin/chargepoint simulate --config /etc/chargepoint/agent.toml --socket {PORTS}/sim.sock
ExecStartPost=/bin/sh -c 'until [ -S {PORTS}/sim.sock ]; do sleep 0.05; done'
User=chargepoint
LoadCredential=cp:/etc/chargepoint/credentials
RuntimeDirectory=hardware
[Install]
WantedBy=multi-user.target
"""
FILE = "/etc/chargepoint/agent.toml"
UNIT = "chargepoint"


def config(url: str, version: str, csms: str = "") -> str:
    """The file of that charger; `csms`: more lines of its table."""
    return CONFIG.format(url=url, identity=IDENTITY, version=version, ports=PORTS, csms=csms)


class Station:
    def __init__(self, machine: Machine, csms: Csms) -> None:
        self.machine, self.csms = machine, csms
        self.csms_lines = ""

    def configure(self) -> None:
        """Write the file, with the mode that the package gives it."""
        text = config(self.csms.url, self.csms.version, self.csms_lines)
        self.machine.put(FILE, text, 0o640, "chargepoint")

    def drop_in(self, *lines: str) -> None:
        """Settings of the unit that shorten a test."""
        self.machine.put(f"/etc/systemd/system/{UNIT}.service.d/test.conf", "\n".join(("[Service]", *lines, "")))
        if self.machine.pid:
            self.machine.run("systemctl", "daemon-reload")

    async def run(self, *words: str, code: int | None = 0) -> str:
        return await asyncio.to_thread(self.machine.run, *words, code=code)

    async def show(self, what: str) -> str:
        return await asyncio.to_thread(self.machine.show, UNIT, what)

    async def seen(self, what: str, **wanted: str) -> None:
        """Until these properties of the unit are so."""

        def so() -> bool:
            return all(self.machine.show(UNIT, name) == value for name, value in wanted.items())

        await self.machine.seen(so, what)

    async def plug_hardware(self) -> None:
        """It appears at its ports, without a car."""
        await self.run("systemctl", "start", "hardware")

    async def pull_hardware(self) -> None:
        """Its ports are gone, as when somebody pulls the adapters."""
        await self.run("systemctl", "stop", "hardware")

    async def ready(self, since: int = 0) -> None:
        """Until the central system has heard that the connector is free."""
        await self.csms.hear("BootNotification", since, PATIENCE_S)
        await status(self.csms, "Available", 1, since)

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.run("chargepoint", "status", "--json"))
        return found

    async def do(self, verb: str, **words: Any) -> str:
        """A verb of `chargepoint sim`, on the hardware's own socket."""
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_unix_connection(str(self.machine.root / PORTS[1:] / "sim.sock"))
            writer.write(json.dumps({"verb": verb, **words}).encode() + b"\n")
            answer = json.loads(await reader.readline())
            writer.close()
        assert answer["ok"], answer
        return str(answer.get("value", ""))

    async def see(self, key: str) -> str:
        return await self.do("get", key=key, evse=1)

    async def wait(self, key: str, value: str) -> None:
        await self.do("wait", key=key, value=value, evse=1, timeout=PATIENCE_S / 2)

    async def tap(self) -> None:
        await self.do("tap", tag=CARD, evses=[1])

    async def main_pid(self) -> int:
        return int(await self.show("MainPID"))


@asynccontextmanager
async def station(
    layers: Sequence[Path],
    network: Network,
    version: str = "2.0.1",
    *,
    options: tuple[str, ...] = (),
    hardware: bool = True,
    csms: Csms | None = None,
    prepare: Callable[[Station], None] | None = None,
) -> AsyncIterator[Station]:
    """`options`: of the boot. `hardware`: is it there at the boot? `prepare(station)` changes its files before."""
    async with csms or Csms(version) as central:
        with Machine(*layers) as machine:
            one = Station(machine, central)
            if prepare is not None:
                prepare(one)
            one.configure()
            machine.put("/etc/systemd/system/hardware.service", HARDWARE)
            if hardware:
                machine.link("/etc/systemd/system/multi-user.target.wants/hardware.service", "../hardware.service")
            try:
                await asyncio.to_thread(machine.boot, *options, network=network)
                yield one
                assert central.wrong == []
                assert "Traceback" not in machine.log()
            except BaseException:
                print(central.told())
                raise
