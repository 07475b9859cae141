"""The same package on arm64, with a kernel of its own and a clock that nobody has set."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from tests.conformance.csms import Csms, epoch
from tests.conformance.ledger import status
from tests.end_to_end.agent_helpers import until
from tests.platform.guest import HOST, Guest, image, kernel, layers
from tests.platform.host import MEMORY
from tests.platform.network import Network
from tests.platform.station import HARDWARE, config

BOOT_S = 300.0
TELL = """
[Unit]
After=chargepoint.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'sleep 3; uname -m; systemctl is-active chargepoint; systemctl show -P StatusText chargepoint'
StandardOutput=tty
TTYPath=/dev/ttyAMA0
"""


async def test_an_arm64_charger_with_a_clock_from_the_past_is_accepted_and_tells_the_right_time(deb: Path) -> None:
    kernel()  # what wants the way out of this machine comes before there is none
    layers(deb)
    with tempfile.TemporaryDirectory(prefix="cp-guest-", dir=MEMORY) as name, Network():
        async with Csms("2.0.1") as csms:
            url = csms.url.replace("127.0.0.1", HOST)
            files = {
                "/etc/chargepoint/agent.toml": config(url, "2.0.1"),
                "/usr/lib/systemd/system/hardware.service": HARDWARE,
                "/usr/lib/systemd/system/tell.service": TELL,
            }
            Path(name).chmod(0o755)
            disk = await asyncio.to_thread(image, deb, Path(name), files, ("hardware.service", "tell.service"))
            with Guest(disk, "-rtc", "base=2000-01-01") as guest:
                await until(lambda: csms.calls("BootNotification") or not guest.is_on(), "it boots", BOOT_S)
                assert guest.is_on()
                boot = await csms.hear("BootNotification")
                assert boot["reason"] == "PowerUp"
                await csms.until(lambda: csms.calls("StatusNotification"), "its status", BOOT_S)
                await status(csms, "Available")
                told = [epoch(p["timestamp"]) for p in csms.calls("StatusNotification")]
                assert max(abs(at - time.time()) for at in told[-1:]) < 60, guest.console()
                await until(lambda: "CSMS Accepted" in guest.console(), "what its service manager says", BOOT_S)
                assert "aarch64" in guest.console() and "active" in guest.console()
                assert csms.wrong == []
