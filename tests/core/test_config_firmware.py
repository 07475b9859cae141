"""[firmware]: one test for each mistake, with the line that a person sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.custody import file_servers
from agent.updates import policy
from tests.core.test_config import line, loaded

REBOOT = '[service]\nreboot_command = ["/sbin/reboot"]\n'
WITH_REBOOT = ("[service]\n", REBOOT)


def firmware(text: str) -> tuple[str, str]:
    return "[variables]", f"[firmware]\n{text}\n[variables]"


MISTAKES = {
    'installer = "swupdate"': '[firmware] installer: expected one of none, command, rauc, not "swupdate"',
    'installer = "command"': "[firmware] command: missing; it installs the file whose path it gets, such as "
    '["/usr/lib/maker/install"]',
    'installer = "rauc"\nroots_file = "none.pem"': "[firmware] roots_file: no such file: none.pem",
    'installer = "rauc"\nmax_mib = 0': "[firmware] max_mib: expected a whole number from 1 to 65536, not 0",
    'installer = "command"\ncommand = ["install"]': '[firmware] command: expected a list such as ["/usr/bin/program", '
    '"--option"], the program with its whole path, not ["install"]',
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_in_one_exact_line(text: str, tmp_path: Path) -> None:
    assert line(tmp_path, *WITH_REBOOT, *firmware(text)) == f"agent.toml {MISTAKES[text]}"


def test_firmware_that_needs_a_reboot_needs_a_command_for_it(tmp_path: Path) -> None:
    told = "agent.toml [firmware] installer: starts new firmware by a reboot; set reboot_command in [service]"
    assert line(tmp_path, *firmware('installer = "rauc"')) == told
    loaded(tmp_path, *firmware('installer = "command"\ncommand = ["/bin/true"]\nactivation = "restart"'))


def test_one_key_says_who_vouches_for_servers_that_logs_go_to_also_without_an_installer(tmp_path: Path) -> None:
    (tmp_path / "files.pem").write_text("")
    config = loaded(tmp_path, *firmware('ca_file = "files.pem"'))
    assert config.warnings == ()
    assert file_servers(config) == {
        "ca_file": str(tmp_path / "files.pem"),
        "more_ca_files": (Path(config.storage.dir) / "certificates" / "csms-roots.pem",),
    }


def test_what_has_no_effect_is_a_warning(tmp_path: Path) -> None:
    idle = loaded(tmp_path, *firmware("max_mib = 5")).warnings
    assert [w.partition("agent.toml ")[2] for w in idle] == [
        '[firmware] max_mib: warning: has no effect with installer = "none"'
    ]
    of_rauc = loaded(
        tmp_path, *WITH_REBOOT, *firmware('installer = "rauc"\ncommand = ["/no/rauc"]\nactivation = "none"')
    )
    assert [w.partition("] ")[2] for w in of_rauc.warnings] == [
        'activation: warning: has no effect with installer = "rauc"',
        "command: warning: no such program: /no/rauc",
    ]


def test_lesson_33_a_command_takes_signed_firmware_only_unless_it_checks_signatures_itself(tmp_path: Path) -> None:
    command = 'installer = "command"\ncommand = ["/bin/true"]\nactivation = "none"\n'
    assert not policy(loaded(tmp_path, *firmware(command))).unsigned
    assert policy(loaded(tmp_path, *firmware(command + "accept_unsigned = true"))).unsigned
    assert policy(loaded(tmp_path, *WITH_REBOOT, *firmware('installer = "rauc"\ncommand = ["/bin/true"]'))).unsigned


def test_without_an_installer_nothing_is_promised(tmp_path: Path) -> None:
    assert not policy(loaded(tmp_path)).installer
