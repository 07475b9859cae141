"""Certificates and the security log, put together: the trust store on disk, the errands that change it, and what the
station must hear of both at a start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agent.blocks.certificates import Certificates
from agent.blocks.security import Security
from agent.blocks.station import Station
from agent.config import Config
from agent.core.certificates import HoldingsSeen
from agent.core.events import Event
from agent.core.security import SecurityLogLost
from agent.core.types import Instant
from agent.edge.custodian import Custodian
from agent.edge.trust import BUNDLE, Trust
from agent.errands import Errands
from agent.network import Network
from agent.store.store import Opened

FOLDER = "certificates"


def folder(config: Config) -> Path:
    return Path(config.security.dir or Path(config.storage.dir) / FOLDER)


def file_servers(config: Config) -> dict[str, Any]:
    """Who may vouch for a server with files: the file for them, or else the system; and all who vouch for the CSMS."""
    csms = config.csms.ca_file
    return {
        "ca_file": config.firmware.ca_file,
        "more_ca_files": (*([Path(csms)] if csms is not None else ()), folder(config) / BUNDLE),
    }


class Custody:
    """`feed` takes an event to the runtime."""

    def __init__(self, config: Config, feed: Callable[[Event], Awaitable[None]]) -> None:
        name = config.station.serial or config.csms.identity
        self.custodian = Custodian(
            Trust(folder(config)), name=name, key_kind=config.security.key, ca_file=config.csms.ca_file
        )  # the whitepaper: a certificate names the serial number
        self._feed = feed

    def serve(self, errands: Errands, network: Network) -> None:
        """From now on certificates are handled, and the link goes by them."""
        for kind, handler in self.custodian.handlers().items():
            errands.serve(kind, handler)
        network.custodian, network.roots_changed = self.custodian, self.look

    async def begin(self, opened: Opened) -> None:
        """After the station has been told what the store remembers."""
        if opened.lost:
            await self._feed(SecurityLogLost("the store was damaged"))
        await self._feed(HoldingsSeen(self.custodian.holdings()))  # a few small files: not worth a thread

    async def look(self) -> None:
        await self._feed(HoldingsSeen(await self.custodian.look()))


def told(station: Station, now: Instant) -> dict[str, object]:
    """For `chargepoint status`."""
    certificates = next(block for block in station.blocks if isinstance(block, Certificates))
    security = next(block for block in station.blocks if isinstance(block, Security))
    return {"certificates": certificates.lines(now), "security_events_waiting": security.waiting}
