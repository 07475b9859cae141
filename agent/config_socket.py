"""Where the control socket is, by the configuration: all that the technician's commands need of it, and no more, for
they shall be there at once also on a small board.
"""

from __future__ import annotations

from pathlib import Path

from agent.config_keys import SERVICE
from agent.config_toml import read

DEFAULT_FILE = "/etc/chargepoint/agent.toml"
DEFAULT_SOCKET = "/run/chargepoint/control.sock"


def control_socket(path: str | Path) -> str:
    """For people who may not read the passwords of the same configuration, too."""
    top, _files = read(Path(path))
    return str(Path(path).absolute().parent / top.table("service").values(SERVICE)["socket"])
