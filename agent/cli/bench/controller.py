"""Whom `chargepoint evse read|offer` asks: a map on a line, a driver in Python by name, or an EVSE of a configuration.

Rule kept: while an agent runs by that configuration its hardware is the agent's.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, NamedTuple

from agent.cli import Parser, asking
from agent.cli.bench import line, show
from agent.config import Config, load
from agent.config_socket import control_socket
from agent.errors import NotRunning
from drivers.api import DriverError, EvseController
from drivers.probe import bench, shelf

if TYPE_CHECKING:
    from agent.parts import Parts

OPENEVSE = "openevse"
OPENEVSE_BAUD, OPENEVSE_MAX_A = 115200, 80.0
LEAST_A = 6.0  # what the pilot can say
MARGIN_S = 4.0


class Made(NamedTuple):
    """One controller, not opened yet."""

    name: str
    where: str
    opens: bench.Opens
    max_a: float
    min_a: float = LEAST_A
    poll_s: float = bench.POLL_S  # one that is made of parts opens its contactor by being asked
    opens_s: float = bench.OPENS_S


def of(parser: Parser, options: argparse.Namespace) -> Made | None:
    """None: it is a map."""
    if options.config:
        return _configured(parser, options)
    return _openevse(parser, options) if options.map == OPENEVSE else None


def mapped(parser: Parser, options: argparse.Namespace) -> Made:
    found = shelf.evse(options.map, line.folders(options), options.connector)
    place = line.place(parser, options, found.device)
    where = show.head(found.device, line.shown(place))
    return Made(found.device.name, where, bench.opens(place, found), found.offer.max_a, found.offer.min_a)


def _openevse(parser: Parser, options: argparse.Namespace) -> Made:
    from drivers.registry import find

    if not options.port:
        parser.error(f"{OPENEVSE} speaks on a serial line: --port, not --host")
    baud = line.limited(parser, "--baud", options.baud or OPENEVSE_BAUD, 300, 4_000_000)

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[EvseController]:
        driver = find(OPENEVSE)(options.port, baud, OPENEVSE_MAX_A)
        try:
            yield driver
        finally:
            await driver.close()

    return Made("OpenEVSE", f"{options.port} at {baud} baud", opened, OPENEVSE_MAX_A)


def _configured(parser: Parser, options: argparse.Namespace) -> Made:
    config = load(options.config)
    evse = next((evse for evse in config.evses if str(evse.id) == options.map), None)
    if evse is None:
        known = ", ".join(str(evse.id) for evse in config.evses)
        parser.error(f"MAP is {options.map}; with --config it is the number of an EVSE: {known}")
    _refuse_while_running(options.config)

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[EvseController]:
        parts = _parts(config)
        try:
            yield next(part.controller for part in parts.evses if part.id == evse.id)
        finally:
            await parts.close()

    name = evse.controller.map or evse.controller.driver
    where, poll_s = f"EVSE {evse.id} of {options.config}", evse.controller.poll_ms / 1000
    made_of = evse.controller.composed
    opens_s = bench.OPENS_S if made_of is None else made_of.contactor["force_off_s"] + MARGIN_S
    return Made(name, where, opened, evse.limit_a, poll_s=poll_s, opens_s=opens_s)


def _parts(config: Config) -> Parts:
    from agent.parts import Parts
    from drivers.wire import make_bus

    return Parts(config, make_bus)


def _refuse_while_running(file: str) -> None:
    with contextlib.suppress(NotRunning):
        asking.ask(control_socket(file), "status", program="evse")
        raise DriverError("the agent is running, and the hardware is its own: systemctl stop chargepoint first")
