"""[variables] of the configuration in the words of the device model. Asked by the agent at its start and by
`chargepoint check-config`, so that both say the same.

A name is an OCPP 1.6 key ("HeartbeatInterval"), which may stand for several variables, or a variable itself
("OCPPCommCtrlr.HeartbeatInterval"); both compare without regard to case.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.config import Config
from agent.config_toml import hint
from agent.core.catalogue import rows
from agent.core.variables import Variables, expected, fit
from agent.errors import ConfigError
from agent.ocpp.v16 import keys


def resolve(config: Config) -> dict[str, str]:
    """Variable -> value, fit for `Variables.layer("config", ...)`; ConfigError for the first that is wrong."""
    if not config.variables:
        return {}
    found: dict[str, str] = {}
    setters: dict[str, str] = {}  # variable -> the name that set it
    for name, variable, value in _assignments(config):
        other = setters.setdefault(variable, name)
        if other != name and found[variable] != value:
            raise _error(config, name, f"sets the same variable as {other}, to another value")
        found[variable] = value
    return found


def _assignments(config: Config) -> Iterator[tuple[str, str, str]]:
    """The name as it was written, the variable as the catalogue spells it, its value."""
    model = Variables(rows([evse.id for evse in config.evses]))
    for name, value in config.variables.items():
        made = keys.assignments(name, value)
        if made is None:
            raise _error(config, name, _refusal(name, model))
        for variable, inner in made.items():
            row = model.find(variable)
            if row is None:
                raise _error(config, name, _refusal(name, model))
            if fit(row, inner) is None:
                raise _error(config, name, f"expected {expected(row)}")
            yield name, str(row.id), inner


def _refusal(name: str, model: Variables) -> str:
    key = keys.find(name)
    if key is not None and not key.variables:
        return "is a fact of this program and cannot be set"
    if key is not None:
        return "does not take this value"
    known = {row.name.lower(): row.name for row in keys.KEYS.values() if row.variables}
    known |= {str(row.id).lower(): str(row.id) for row in model.rows()}
    return f"no such variable; {hint(name, tuple(known.values()), 'see etc/README.md for the names')}"


def _error(config: Config, name: str, expected_: str) -> ConfigError:
    return ConfigError(config.path, "variables", name, expected_)
