"""The service under a real systemd: it starts, is watched, is killed in the middle of a charge, and comes back."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.conformance.ledger import begun, charges, over, read
from tests.platform.network import Network
from tests.platform.station import CARD, FILE, Station, station

Layers = tuple[Path, ...]
BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


async def begin(s: Station) -> None:
    await s.ready()
    await s.do("plug-in", evse=1)
    await s.tap()
    await begun(s.csms)
    await s.wait("contactor", "closed")


async def test_the_service_starts_at_boot_is_ready_and_says_in_words_what_it_does(
    layers: Layers, network: Network
) -> None:
    async with station(layers, network) as s:
        await s.ready()
        await s.seen("it is up", ActiveState="active", SubState="running", NRestarts="0")
        assert await s.show("User") == "chargepoint"

        def told() -> bool:
            return "CSMS Accepted; EVSE 1 Available 0 A" in s.machine.show("chargepoint", "StatusText")

        await s.machine.seen(told, "STATUS in words")
        assert (await s.status())["link"]["state"] == "connected"
        assert await s.run("systemctl", "--failed", "--quiet") == ""


async def test_a_hang_leaves_the_python_stack_in_the_journal_and_the_service_comes_back(
    layers: Layers, network: Network
) -> None:
    async with station(layers, network, prepare=lambda s: s.drop_in("WatchdogSec=3", "RestartSec=100ms")) as s:
        await s.ready()
        mark = s.csms.mark()
        fifo = s.machine.root / "etc/chargepoint/conf.d/50-password.toml"
        os.mkfifo(s.machine.root / "etc/chargepoint/hang")
        await s.run("chmod", "644", "/etc/chargepoint/hang")
        fifo.write_text('[csms]\npassword_file = "/etc/chargepoint/hang"\n')  # nobody will ever write to it
        await s.run("systemctl", "kill", "-s", "HUP", "chargepoint")
        await s.seen("it is ended", Result="watchdog")
        fifo.unlink()
        await s.ready(mark)
        log = s.machine.log()
        assert "Watchdog timeout" in log
        assert "Fatal Python error: Aborted" in log and "_read_password" in log and "_on_reload" in log


@BOTH
async def test_a_kill_in_mid_charge_loses_nothing_and_is_billed_once(
    layers: Layers, network: Network, version: str
) -> None:
    async with station(layers, network, version) as s:
        await begin(s)
        closings = await s.see("relay-count")
        mark = s.csms.mark()
        await s.run("systemctl", "kill", "-s", "KILL", "chargepoint")
        await s.csms.hear("BootNotification", mark, 30)
        await s.seen("it was started again", NRestarts="1", ActiveState="active")
        assert await s.see("relay-count") == closings
        await s.do("unplug", evse=1)
        charge = await over(s.csms)
        assert len(charges(s.csms)) == 1
        assert charge.tag == CARD and charge.reason == "EVDisconnected"
        assert charge.ended_wh == pytest.approx(float(await s.see("meter-wh")), abs=0.5)


async def test_a_power_cut_in_mid_charge_is_billed_once_after_the_next_boot(layers: Layers, network: Network) -> None:
    async with station(layers, network) as s:
        await begin(s)
        before = float(await s.see("meter-wh"))
        mark = s.csms.mark()
        s.machine.kill()
        await asyncio.to_thread(s.machine.boot, network=network)
        await s.csms.hear("BootNotification", mark, 30)
        charge = await over(s.csms)
        assert len(charges(s.csms)) == 1
        assert charge.ended_wh >= before - 0.5 and charge.reason in ("PowerLoss", "EVDisconnected")


async def test_a_reload_takes_up_the_file_and_fails_when_that_is_wrong(layers: Layers, network: Network) -> None:
    async with station(layers, network) as s:
        await s.ready()
        file = s.machine.root / FILE[1:]
        good = file.read_text()
        file.write_text(good + '"ConnectionTimeOut" = 77\n')
        await s.run("systemctl", "reload", "chargepoint")
        await s.machine.seen(lambda: "Reloaded" in s.machine.log(), "it is read again")
        assert await read(s.csms, "ConnectionTimeOut") == "77"
        file.write_text(good + '"ConnectionTimeOut" = "soon"\n')
        await s.run("systemctl", "reload", "chargepoint", code=1)
        (told,) = s.machine.journal("-u", "chargepoint", "-p", "err", "FAULT=configuration")
        assert "agent.toml [variables] ConnectionTimeOut" in told["MESSAGE"]
        await s.seen("it runs on", ActiveState="active", NRestarts="0")
        assert await read(s.csms, "ConnectionTimeOut") == "77"


async def test_a_wrong_file_is_told_in_one_line_and_mending_it_is_enough(layers: Layers, network: Network) -> None:
    async with station(layers, network, prepare=lambda s: s.drop_in("RestartSec=100ms")) as s:
        await s.ready()
        wrong = "/etc/chargepoint/conf.d/10-wrong.toml"
        s.machine.put(wrong, "[csms]\nurl = 7\n", 0o640, "chargepoint")
        await s.run("systemctl", "restart", "chargepoint", code=1)
        await s.machine.seen(lambda: int(s.machine.show("chargepoint", "NRestarts")) >= 6, "it never gives up")
        told = s.machine.journal("-u", "chargepoint", "-p", "err", "FAULT=configuration")
        assert f"{wrong} [csms] url: expected" in told[0]["MESSAGE"]
        assert "does not answer" in await s.run("chargepoint", "status", code=69)
        s.machine.put(wrong, "[csms]\n", 0o600)  # root may read it
        told_root = await s.run("chargepoint", "check-config", code=78)
        assert f"{wrong}: the agent may not read it: chgrp" in told_root
        mark = s.csms.mark()
        await s.run("sh", "-c", told_root.partition("read it: ")[2])
        await s.csms.hear("BootNotification", mark, 30)
        await s.seen("it is up", ActiveState="active")


async def test_a_stop_withholds_power_within_its_time_and_no_question_starts_it_again(
    layers: Layers, network: Network
) -> None:
    async with station(layers, network) as s:
        await begin(s)
        await s.run("systemctl", "stop", "chargepoint")
        assert await s.show("Result") == "success"
        assert await s.see("order-ma") == "0"
        assert "no agent is running" in await s.run("chargepoint", "status", code=69)
        assert await s.show("ActiveState") == "inactive"
        mark = s.csms.mark()
        await s.run("systemctl", "start", "chargepoint")
        await s.csms.hear("BootNotification", mark, 30)
        assert (await s.status())["evses"][0]["transaction"] is not None


async def test_a_serial_port_that_is_plugged_in_later_is_used(layers: Layers, network: Network) -> None:
    async with station(layers, network, hardware=False) as s:
        await s.csms.hear("BootNotification", 0, 30)
        await s.seen("it is ready without its hardware", ActiveState="active", NRestarts="0")

        def faults() -> set[str]:
            found = json.loads(s.machine.run("chargepoint", "status", "--json"))["evses"][0]["faults"]
            return {fault["id"] for fault in found}

        assert "card reader on /run/hardware/cards: cannot be opened: No such file or directory" in s.machine.log()
        for _ in range(2):
            await s.plug_hardware()
            await s.machine.seen(lambda: not faults(), "all of it answers")
            await s.pull_hardware()
            await s.machine.seen(lambda: "rfid-reader" in faults(), "it is missed")
        await s.seen("it never ended for that", ActiveState="active", NRestarts="0")


async def test_a_root_file_system_that_nobody_can_write_to_is_enough(layers: Layers, network: Network) -> None:
    options = ("--read-only", "--tmpfs=/var", "--tmpfs=/tmp")
    async with station(layers, network, options=options) as s:
        await begin(s)
        assert "Read-only" in await s.run("touch", "/etc/x", code=1)
        assert await s.run("systemctl", "is-system-running") == "running\n"
        kept = await s.run("ls", "/var/lib/chargepoint")
        assert kept
