"""From the configuration to IO boards and to a controller made of parts; whether the boards have the channels named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.config import Config, EvseConfig
from agent.config_composed import IO_PILOT, OUTPUTS, ChannelName, ComposedConfig, IoConfig
from agent.errors import ConfigError
from drivers.api import DigitalIo, DriverError, EvseController
from drivers.bus import Bus

Boards = Mapping[str, DigitalIo]


def boards_of(config: Config, buses: Mapping[str, Bus]) -> Boards:
    """Every [[io]] by its name; ConfigError when a map or a channel is wrong."""
    if not config.ios:
        return {}
    check_channels(config)
    return {board.name: _board(config, board, buses) for board in config.ios}


def _board(config: Config, board: IoConfig, buses: Mapping[str, Bus]) -> Any:
    from drivers import registry

    make = registry.find(board.driver)
    if board.driver == "gpio":
        return make(board.chip, board.outputs, board.inputs, board.bias)
    label = f"IO board {board.name} (unit {board.unit})"
    folders = [Path(config.service.maps_dir)]
    return make(buses[str(board.bus)], board.unit, board.map, label, board.watchdog_s, folders)


def composed_of(evse: EvseConfig, boards: Boards, make_pilot: Callable[[], EvseController]) -> Any:
    """The controller; `make_pilot` makes the one that owns the pilot, when that is no module on an IO board."""
    from drivers import composed as parts
    from drivers.interlock import Rules

    made_of = evse.controller.composed
    assert made_of is not None
    at = _Channels(boards)
    contactor = made_of.contactor
    rules = {key: contactor[key] for key in ("min_open_s", "after_fault_s", "force_off_s")}
    return parts.ComposedEvse(
        _pilot(made_of, at) if made_of.pilot["driver"] == IO_PILOT else make_pilot(),
        parts.Contactor(
            at(contactor["output"]),
            at(contactor["mirror"]),
            contactor["verify_ms"] / 1000,
            at(contactor["three_phase"]),
            at(contactor["three_phase_mirror"]),
            at(contactor["fan"]),
        ),
        parts.Guards(**{key: at(channel) for key, channel in (made_of.guards or {}).items()}),
        _lock(made_of.lock, at),
        _cable(made_of.cable, at),
        {word: tuple(map(at, lit)) for word, lit in (made_of.lights or {}).items() if lit is not None},
        Rules(**rules, ventilation=evse.ventilation),
        at(made_of.pilot["interrupt"]),
    )


def _pilot(made_of: ComposedConfig, at: _Channels) -> Any:
    from drivers.io.pilot import IoPilot

    pilot = made_of.pilot
    channels = {key: at(pilot[key]) for key in ("connected", "requesting", "enable", "failed")}
    return IoPilot(**channels, current_a=pilot["current_a"])


def _lock(lock: Mapping[str, Any] | None, at: _Channels) -> Any:
    from drivers.composed import Lock

    if lock is None:
        return None
    return Lock(at(lock["lock"]), at(lock["unlock"]), at(lock["locked"]), lock["pulse_ms"] / 1000)


def _cable(cable: Mapping[str, Any] | None, at: _Channels) -> Any:
    from drivers.composed import Cable
    from drivers.io.resistor import Divider

    return None if cable is None else Cable(at(cable["volts"]), Divider(cable["pull_up_ohm"], cable["supply_v"]))


class _Channels:
    """A name in the configuration becomes the channel of its board."""

    def __init__(self, boards: Boards) -> None:
        self._boards = boards

    def __call__(self, name: ChannelName | None) -> Any:
        from drivers.io.channel import Channel

        return name and Channel(self._boards[name.board], name.number, str(name), name.inverted)


# --- what the boards have ---------------------------------------------------------------------------------------


def check_channels(config: Config) -> list[str]:
    """ConfigError for a map that is wrong, or a channel that its board does not have; warnings."""
    has = {board.name: _channels_of(config, board) for board in config.ios}
    for evse in config.evses:
        made_of = evse.controller.composed
        for table, key, name in made_of.channels() if made_of is not None else ():
            kind = "analog" if key == "volts" else "outputs" if key in OUTPUTS or table == "lights" else "inputs"
            numbers = has[name.board][kind]
            if name.number not in numbers:
                shown = f"{numbers[0]} to {numbers[-1]}" if numbers else "none"
                what = f"{name}: the board {name.board} has no such one among its {kind}, which are {shown}"
                raise ConfigError(config.path, f"evse.{evse.id}.controller.{table}", key, what)
    _check_polls(config)
    return list(_warnings(config))


def _channels_of(config: Config, board: IoConfig) -> dict[str, tuple[int, ...]]:
    if board.driver == "gpio":
        return {"outputs": board.outputs, "inputs": board.inputs, "analog": ()}
    found = _map(config, board)
    kinds = {"outputs": found.outputs, "inputs": found.inputs, "analog": found.analog}
    return {kind: tuple(channels.numbers) if channels else () for kind, channels in kinds.items()}


def _map(config: Config, board: IoConfig) -> Any:
    from drivers.io.iomap import load_io

    try:
        return load_io(str(board.map), [Path(config.service.maps_dir)])
    except DriverError as error:
        raise ConfigError(config.path, f"io.{board.name}", "map", str(error)) from None


def _warnings(config: Config) -> Iterator[str]:
    for board in config.ios:
        if board.driver == "gpio":
            text = (
                "warning: lines of a chip keep their level when the agent dies; a contactor there needs its own guard"
            )
            yield str(ConfigError(config.path, f"io.{board.name}", "driver", text))
            continue
        found = _map(config, board)
        if not found.verified:
            text = f"warning: registers of {board.map} were never confirmed; try each channel first"
            yield str(ConfigError(config.path, f"io.{board.name}", "map", text))
        if not found.guarded:
            text = f"warning: {board.map} has no host watchdog: its relays stay as they are when the agent dies"
            yield str(ConfigError(config.path, f"io.{board.name}", "map", text))
        if board.watchdog_s is not None and not found.guarded:
            what = f"the map {board.map} has no register for it; remove it"
            raise ConfigError(config.path, f"io.{board.name}", "watchdog_s", what)


def _guard_s(config: Config, board: IoConfig) -> float | None:
    if board.driver == "gpio":
        return None
    from drivers.io.mapped import guard_s

    return guard_s(_map(config, board), board.watchdog_s)


def _check_polls(config: Config) -> None:
    """A board whose watchdog runs out between two polls would drop its relays again and again."""
    for evse in config.evses:
        made_of = evse.controller.composed
        if made_of is None:
            continue
        board = next(b for b in config.ios if b.name == made_of.contactor["output"].board)
        guard_s = _guard_s(config, board)
        if guard_s is not None and evse.controller.poll_ms > guard_s * 1000 / 3:
            what = f"must be at most a third of watchdog_s of [io.{board.name}], which is {guard_s:g} s"
            raise ConfigError(config.path, f"evse.{evse.id}.controller", "poll_ms", what)
