"""[variables] of the configuration in the words of the device model. Asked by the agent at its start and by
`chargepoint check-config`, so that both say the same.

A name is an OCPP 1.6 key ("HeartbeatInterval"), which may stand for several variables, or a variable itself
("OCPPCommCtrlr.HeartbeatInterval"); both compare without regard to case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.config import Config
from agent.config_toml import hint
from agent.core.catalogue import rows
from agent.core.variables import Variables, expected, fit
from agent.errors import ConfigError
from agent.ocpp.v16 import keys

_LINK = ("OCPPCommCtrlr.NetworkConfigurationPriority", "SecurityCtrlr.BasicAuthPassword")


def resolve(config: Config) -> dict[str, str]:
    """Variable -> value, fit for `Variables.layer("config", ...)`; ConfigError for the first that is wrong."""
    found: dict[str, str] = {}
    setters: dict[str, str] = {}  # variable -> the name that set it
    lines = [(config.path, name, value) for name, value in config.variables.items()]
    for file, name, variable, value in _assignments(config, lines):
        other = setters.setdefault(variable, name)
        if other != name and found[variable] != value:
            raise _error(file, name, f"sets the same variable as {other}, to another value")
        found[variable] = value
    return found


def presets(config: Config) -> dict[str, str]:
    """The same for what the quirks in force preset; of several files the last counts."""
    quirks = config.csms.quirks
    if quirks is None:
        return {}
    return {variable: value for _file, _name, variable, value in _assignments(config, quirks.variables)}


def _assignments(config: Config, lines: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str, str, str]]:
    """File and name as they were written, the variable as the catalogue spells it, its value."""
    model: Variables | None = None
    for file, name, value in lines:
        model = model or Variables(rows([evse.id for evse in config.evses]))
        made = keys.assignments(name, value)
        if made is None:
            raise _error(file, name, _refusal(name, model))
        for variable, inner in made.items():
            row = model.find(variable)
            if row is None:
                raise _error(file, name, _refusal(name, model))
            if row.id.component.startswith("NetworkConfiguration") or str(row.id) in _LINK:
                raise _error(file, name, "is of the link; set it in [csms] or [[csms.fallback]]")
            if fit(row, inner) is None:
                raise _error(file, name, f"expected {expected(row)}")
            yield file, name, str(row.id), inner


def _refusal(name: str, model: Variables) -> str:
    key = keys.find(name)
    if key is not None and not key.variables:
        return "is a fact of this program and cannot be set"
    if key is not None:
        return "does not take this value"
    known = {row.name.lower(): row.name for row in keys.KEYS.values() if row.variables}
    known |= {str(row.id).lower(): str(row.id) for row in model.rows()}
    return f"no such variable; {hint(name, tuple(known.values()), 'see etc/README.md for the names')}"


def _error(file: str, name: str, expected_: str) -> ConfigError:
    return ConfigError(file, "variables", name, expected_)
