"""[firmware] of the configuration: who installs new firmware, and on what terms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.config_keys import FIRMWARE
from agent.config_toml import Table, with_paths
from agent.core.record import record

RAUC = ("/usr/bin/rauc",)
_OF_COMMAND = ("version_command", "keep_command", "activation", "accept_unsigned")  # RAUC knows these by itself


@record
class FirmwareConfig:
    """How firmware is updated. `installer` "none": not at all."""

    installer: str = "none"
    command: tuple[str, ...] = ()
    version_command: tuple[str, ...] = ()
    keep_command: tuple[str, ...] = ()
    activation: str = "reboot"
    accept_unsigned: bool = False
    allow_during_transaction: bool = False
    roots_file: str | None = None
    ca_file: str | None = None
    max_mib: int = 1024
    timeout_s: float = 1800.0

    @property
    def enabled(self) -> bool:
        return self.installer != "none"

    @property
    def needs_reboot(self) -> bool:
        return self.installer == "rauc" or (self.installer == "command" and self.activation == "reboot")


_WITHOUT = ("installer", "ca_file")  # count without an installer too: logs are sent to such servers


def take_firmware(table: Table, where: Path, reboot_command: tuple[str, ...]) -> tuple[FirmwareConfig, list[str]]:
    """The table, and warnings. ConfigError for the first thing that cannot work."""
    values: dict[str, Any] = with_paths(table.values(FIRMWARE), where, "roots_file", "ca_file")
    config = FirmwareConfig(**values)
    if config.installer == "command" and not config.command:
        table.fail("command", 'missing; it installs the file whose path it gets, such as ["/usr/lib/maker/install"]')
    if config.needs_reboot and not reboot_command:
        table.fail("installer", "starts new firmware by a reboot; set reboot_command in [service]")
    if config.enabled:
        for key in ("roots_file", "ca_file"):
            if values[key] is not None and not Path(values[key]).is_file():
                table.fail(key, f"no such file: {values[key]}")
    return config, _warnings(table, config)


def _warnings(table: Table, config: FirmwareConfig) -> list[str]:
    idle = [key for key in table.data if key not in _WITHOUT] if not config.enabled else []
    if config.installer == "rauc":
        idle = [key for key in _OF_COMMAND if key in table.data]
    text = f'warning: has no effect with installer = "{config.installer}"'
    lines = [str(table.error(key, text)) for key in idle]
    if not config.enabled and config.ca_file is not None and not Path(config.ca_file).is_file():
        lines.append(str(table.error("ca_file", f"warning: no such file: {config.ca_file}")))
    program = config.command or (RAUC if config.installer == "rauc" else ())
    if config.enabled and not Path(program[0]).is_file():
        lines.append(str(table.error("command", f"warning: no such program: {program[0]}")))
    return lines
