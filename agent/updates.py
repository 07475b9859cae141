"""Firmware updates, put together: the configuration's installer, the roots of the manufacturer, and the errands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agent.clock import Clock
from agent.config import Config
from agent.config_firmware import RAUC
from agent.core.firmware import Activation, UpdatePolicy
from agent.core.types import ClockQuality
from agent.custody import file_servers
from agent.errands import Errands
from agent.log import Log

if TYPE_CHECKING:
    from agent.edge.installers import Installer

FOLDER = "firmware"
KNOWN_HOSTS = "known_hosts"
ROOT = "ManufacturerRoot"


class RootStore(Protocol):
    """Where roots lie that the CSMS has installed: `agent.edge.trust.Trust`."""

    def names(self, kind: str) -> list[str]: ...
    def root(self, kind: str, name: str) -> bytes: ...


def policy(config: Config) -> UpdatePolicy:
    """What the station may promise."""
    firmware = config.firmware
    return UpdatePolicy(
        installer=firmware.enabled,
        unsigned=firmware.installer == "rauc" or firmware.accept_unsigned,
        signed=find_spec("cryptography") is not None,
        during_transaction=firmware.allow_during_transaction,
    )


def serve(config: Config, errands: Errands, clock: Clock, log: Log, store: Callable[[], Any]) -> None:
    """From now on the errands of updates are done; nothing is loaded where there is no installer. `store` gives a
    `RootStore`, or None while there is none."""
    if not config.firmware.enabled:
        return
    from agent.edge.transfer import fetch
    from agent.edge.updater import Updater

    memory = Path(config.storage.dir)
    updater = Updater(
        memory / FOLDER,
        _installer(config, log),
        limit_bytes=config.firmware.max_mib << 20,
        log=log,
        roots=partial(_roots, config, store),
        utc=partial(_utc, clock),
        fetch=partial(fetch, known_hosts=memory / KNOWN_HOSTS, **file_servers(config)),
    )
    for kind, handler in updater.handlers().items():
        errands.serve(kind, handler)


def _installer(config: Config, log: Log) -> Installer:
    from agent.edge.installers import Command, Rauc

    firmware = config.firmware
    if firmware.installer == "rauc":
        return Rauc(firmware.command or RAUC, deadline_s=firmware.timeout_s, log=log)
    return Command(
        firmware.command,
        version=firmware.version_command,
        keep=firmware.keep_command,
        activation=Activation(firmware.activation),
        deadline_s=firmware.timeout_s,
        log=log,
    )


def _roots(config: Config, store: Callable[[], RootStore | None]) -> list[bytes]:
    own, installed = config.firmware.roots_file, store()
    found = [] if own is None else [Path(own).read_bytes()]
    return found + ([installed.root(ROOT, name) for name in installed.names(ROOT)] if installed is not None else [])


def _utc(clock: Clock) -> float | None:
    now = clock.now()
    return None if now.quality is ClockQuality.UNKNOWN else now.utc
