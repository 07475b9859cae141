"""`chargepoint check-config [FILE]`: all checks that the agent makes at its start, and the register maps as well.

Prints one line when all is well, `FILE: ok, ...`, and a line for each warning; else one line on stderr that names
file, table and key. Exit codes: 0 right (warnings or not), 2 the command line was wrong, 78 the configuration is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli import Parser
from agent.config import Config, EvseConfig, load
from agent.config_socket import DEFAULT_FILE
from agent.config_toml import read
from agent.errors import ConfigError, Exit
from drivers.api import gap

if TYPE_CHECKING:
    from drivers.mapwords import EvseMap

LEAST_IN_WATTS_A = 16  # drivers/README.md tells why


def main(argv: Sequence[str]) -> int:
    """Check one file; the exit code."""
    parser = Parser(
        prog="chargepoint check-config",
        description="Say whether a configuration is right.",
        epilog="exit codes: 0 right, 2 the command line was wrong, 78 the configuration is wrong",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help=f"default {DEFAULT_FILE}")
    parser.add_argument("--config", metavar="FILE", help="the same")
    options = parser.parse_args(list(argv))
    if options.file and options.config:
        parser.error("one FILE, please")
    file = options.file or options.config or DEFAULT_FILE
    config = load(file)
    _agent_reads(file)
    for warning in complete(config):
        print(warning)
    print(summary(config))
    return Exit.OK


def _agent_reads(name: str) -> None:
    """Root may read everything, the agent of the package only what its group may: a drop-in that was written under
    a tight umask would be right for the one and stop the other."""
    if name != DEFAULT_FILE or os.geteuid() != 0:
        return
    group = Path(name).parent.stat().st_gid
    for file in read(Path(name))[1]:
        found = file.stat()
        by_group = found.st_gid == group and found.st_mode & 0o040
        if found.st_uid == 0 and group != 0 and not (by_group or found.st_mode & 0o004):
            remedy = f"chgrp --reference={Path(name).parent} {file}; chmod 640 {file}"
            raise ConfigError(str(file), "", "", f"the agent may not read it: {remedy}")


def complete(config: Config) -> list[str]:
    """What the agent checks later than at reading the file: maps and variables; all warnings, or ConfigError."""
    warnings = [*config.warnings, *_check_maps(config), *(_check_boards(config) if config.ios else ())]
    _check_variables(config)
    return warnings


def _check_maps(config: Config) -> list[str]:
    """Read every map that is named to the end; warnings."""
    from agent.cli.check_devices import device_warnings
    from drivers.api import DriverError
    from drivers.registry import IN_PYTHON, UNGUARDED
    from drivers.regmap import evse_of, load_evse, load_meter

    folders = (Path(config.service.maps_dir),)
    warnings: list[str] = []
    for evse in map(_with_its_pilot, config.evses):
        role = "controller"
        try:
            if evse.controller.driver == "mapped-evse" and evse.controller.map:
                found = load_evse(evse.controller.map, folders, evse.controller.connector)
                warnings += _controller(config, evse, found)
                warnings += device_warnings(config, evse, role, found.device)
            if evse.controller.driver in IN_PYTHON:
                warnings += device_warnings(config, evse, role, evse_of(evse.controller.driver).device)
            if evse.controller.driver in UNGUARDED:
                text = f"warning: {evse.controller.driver} {gap(None)}"
                warnings.append(str(ConfigError(config.path, f"evse.{evse.id}.controller", "driver", text)))
            role = "meter"
            if evse.meter.driver == "mapped-meter" and evse.meter.map:
                warnings += device_warnings(config, evse, role, load_meter(evse.meter.map, folders).device)
        except DriverError as error:
            raise ConfigError(config.path, f"evse.{evse.id}.{role}", "map", str(error)) from None
    return warnings


def _with_its_pilot(evse: EvseConfig) -> EvseConfig:
    """Of a controller made of parts the pilot has a map of its own."""
    from agent.config_composed import pilot_of
    from agent.core.record import replace

    return evse if evse.controller.composed is None else replace(evse, controller=pilot_of(evse.controller))


def _check_boards(config: Config) -> list[str]:
    from agent.composing import check_channels

    return check_channels(config)


def _controller(config: Config, evse: EvseConfig, found: EvseMap) -> Iterator[str]:
    """What a controller with this map cannot do."""
    table, device = f"evse.{evse.id}.controller", evse.controller
    for key, value, setting in (
        ("watchdog_s", device.watchdog_s, found.watchdog),
        ("failsafe_a", device.failsafe_a, found.failsafe),
    ):
        if value is not None and (setting is None or setting.row is None):
            raise ConfigError(config.path, table, key, f"the map {device.map} has no register for it; remove it")
    original = next(one for one in config.evses if one.id == evse.id).controller.composed
    for key, wanted, able in (
        ("phase_switching", evse.phase_switching, found.phases or original),
        ("wake_up", evse.wake_up, found.wake or (original and original.pilot["interrupt"])),
    ):
        if wanted is not None and not able:
            raise ConfigError(
                config.path, f"evse.{evse.id}", key, f"the map {device.map} cannot do it; remove the table"
            )
    if why := gap(found.guard(device.watchdog_s, device.failsafe_a)):
        yield str(ConfigError(config.path, table, "map", f"warning: {device.map} {why}"))
    if evse.limit_a > found.offer.max_a:
        text = f"warning: {device.map} offers {found.offer.max_a:g} A at most"
        yield str(ConfigError(config.path, f"evse.{evse.id}", "max_current_a", text))
    if found.offer.watts and evse.phases > 1 and evse.limit_a < LEAST_IN_WATTS_A:
        text = f"warning: {device.map} is ordered in watts; below {LEAST_IN_WATTS_A} A no car begins on three phases"
        yield str(ConfigError(config.path, f"evse.{evse.id}", "max_current_a", text))


def _check_variables(config: Config) -> None:
    from agent.config_variables import presets, resolve

    resolve(config)
    presets(config)


def summary(config: Config) -> str:
    """What the configuration describes, in one line."""
    parts = [
        f"{_count(len(config.evses), 'EVSE')} on {_count(len(config.buses), 'bus', 'buses')}",
        _count(len(config.readers), "reader"),
        f"CSMS {config.csms.url}",
    ]
    return f"{config.path}: ok, {', '.join(parts)}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
