"""The demo's charger as its manufacturer would describe it: the configuration file, and where its parts lie.

A socket for type 2 plugs, a controller board with the reference register layout and a three-phase meter on one RS-485
line, a card reader on a line of its own. Only the places differ from a real charger's file: all lies in one folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

IDENTITY = "CP001"
MAX_A = 32.0
SAMPLE_S = 2  # how often the central system hears of the meter
CONFIGURATION = """\
# The configuration of this charger. etc/README.md explains every key.

[station]
vendor = "Example"
model = "Wallbox 22"
serial = "WB22-000042"

[csms]
url = "{url}"
identity = "{identity}"
versions = ["{version}"]

[[bus]]                              # one RS-485 line: controller and meter
name = "rs485"
port = "{folder}/ttyRS485"
baud = 19200

[[evse]]
id = 1
cable = "socket"
max_current_a = {max_a:g}
phases = 3

[evse.controller]                    # owns control pilot and contactor
map = "reference"
bus = "rs485"
unit = 1

[evse.meter]                         # counts what is billed
map = "eastron_sdm630"
bus = "rs485"
unit = 2
poll_ms = 500

[[reader]]
driver = "rdm6300"
port = "{folder}/ttyCards"
evses = [1]

[storage]
dir = "{folder}/memory"

[service]
socket = "{folder}/control.sock"

[variables]                          # short times, so that a minute is enough to see everything
"SampledDataCtrlr.TxUpdatedInterval" = {sample_s}
"OCPPCommCtrlr.RetryBackOffWaitMinimum" = 1
"OCPPCommCtrlr.RetryBackOffRandomRange" = 1
"OCPPCommCtrlr.RetryBackOffRepeatTimes" = 1
"""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the demo keeps things. Sockets have short paths: the kernel takes 107 characters."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def sim_socket(self) -> Path:
        return self.folder / "sim.sock"

    @property
    def control_socket(self) -> Path:
        return self.folder / "control.sock"

    @property
    def agent_log(self) -> Path:
        return self.folder / "agent.log"

    @property
    def hardware_log(self) -> Path:
        return self.folder / "hardware.log"


def write(places: Places, url: str, version: str) -> None:
    """Write the configuration file."""
    (places.folder / "memory").mkdir(exist_ok=True)
    text = CONFIGURATION.format(
        url=url, identity=IDENTITY, version=version, folder=places.folder, max_a=MAX_A, sample_s=SAMPLE_S
    )
    places.config.write_text(text)
