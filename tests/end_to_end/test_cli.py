"""The command `chargepoint` as a person meets it: a process of its own, its words, its exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from agent import __main__, __version__, config_keys, config_socket
from agent.cli import asking
from agent.edge.control import Control, Peer
from agent.errors import ConfigError
from agent.log import Log
from tests.core.test_config import BASE

ROOT = Path(__file__).parents[2]
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
DEADLINE_S = 60.0
NOBODY = 65534
STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "uptime_s": 11_520,
    "vendor": "Example",
    "model": "Wallbox 22",
    "serial": "S-7",
    "identity": "CP001",
    "config": "/etc/chargepoint/agent.toml",
    "link": {"state": "connected", "host": "wss://csms.example", "why": None, "for_s": 61, "rtt_s": 0.0214},
    "registration": "Accepted",
    "protocol": "2.0.1",
    "clock": {"quality": "synced", "utc": "2026-11-21T11:00:00Z"},
    "evses": [
        {
            "id": 1,
            "status": "Charging",
            "pilot": "C",
            "cable_a": 32,
            "contactor": True,
            "locked": True,
            "operative": True,
            "offer_a": 16.0,
            "explanation": "16 A: the CSMS's limit (below the hardware's limit 32 A)",
            "power_w": 10_987.6,
            "energy_wh": 1_234_567,
            "meter_age_s": 0.4,
            "transaction": {
                "id": "b3-1-7",
                "csms_id": "42",
                "state": "Charging",
                "for_s": 1_440,
                "energy_wh": 3_210,
                "token": "..1234",
            },
            "faults": [],
        }
    ],
    "queue": {"rows": 0, "bytes": 0, "oldest_s": None},
    "dead_letters": [],
    "storage": {"state": "ok", "why": None, "bytes": 1_258_291, "limit_bytes": 67_108_864},
    "warnings": [],
}
SCREEN = """\
Station   CP001 (Example Wallbox 22, serial S-7)
Agent     version 0.1.0, running for 3 h 12 min
CSMS      connected to wss://csms.example for 1 min 1 s, OCPP 2.0.1
          round trip 21 ms
          registered
Clock     2026-11-21T11:00:00Z (confirmed by CSMS or NTP)
Queue     empty: the CSMS has answered everything
Storage   ok, 1.2 MiB of 64.0 MiB used

EVSE 1    Charging
  car     pilot C: car wants energy, cable 32 A, contactor closed, locked
  power   10.99 kW; offers 16 A: the CSMS's limit (below the hardware's limit 32
          A)
  meter   1234.567 kWh
  charge  b3-1-7 (CSMS: 42), Charging, 3.210 kWh in 24 min, card ..1234
"""


def command(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent", *words],
        capture_output=True,
        text=True,
        env=ENVIRON,
        timeout=DEADLINE_S,
        check=False,
        **more,
    )


def configured(folder: Path, old: str = "", new: str = "") -> Path:
    file = folder / "agent.toml"
    file.write_text(BASE.replace(old, new, 1) if old else BASE)
    return file


# --- the verbs ---------------------------------------------------------------------------------------------


def test_help_names_every_verb() -> None:
    told = command("--help").stdout
    for verb in __main__.VERBS:
        assert f"\n  {verb} " in told
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize(
    "verb", ["run", "check-config", "status", "doctor", "bus", "meter", "evse", "map", "simulate", "sim"]
)
def test_every_verb_has_help(verb: str) -> None:
    done = command(verb, "--help")
    assert (done.returncode, done.stdout.startswith(f"usage: chargepoint {verb}")) == (0, True)


@pytest.mark.parametrize(("word", "near"), [("frobnicate", ""), ("stauts", "did you mean status? ")])
def test_an_unknown_verb_is_one_line_and_code_2(word: str, near: str) -> None:
    done = command(word)
    told = f"chargepoint: no verb '{word}'; {near}chargepoint help lists them\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


def test_no_verb_is_code_2() -> None:
    assert command().returncode == 2


def test_version_prints_the_version() -> None:
    assert command("version").stdout == f"chargepoint {__version__}\n"


@pytest.mark.parametrize("words", [["run", "--confg", "x"], ["status", "--jsn"], ["check-config", "a", "b"]])
def test_a_wrong_option_is_one_line_and_code_2(words: list[str]) -> None:
    done = command(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("verb", ["run", "check-config", "status"])
def test_a_mistake_in_the_configuration_is_one_line_and_code_78(verb: str, tmp_path: Path) -> None:
    file = configured(tmp_path, "[service]", "[service]\nsocket = 7")
    done = command(verb, "--config", str(file))
    wanted = 'expected a text of at most 100 characters such as "/run/chargepoint/control.sock", not 7'
    assert (done.returncode, done.stdout, done.stderr) == (78, "", f"{file} [service] socket: {wanted}\n")


def test_run_without_a_file_names_the_one_it_looked_for() -> None:
    done = command("run")
    assert (done.returncode, done.stderr) == (
        78,
        "/etc/chargepoint/agent.toml: cannot be read: No such file or directory\n",
    )


def test_run_loads_neither_argparse_nor_the_other_verbs(tmp_path: Path) -> None:
    code = (
        "import sys; from agent.__main__ import main; code = main(['run', '--config', 'nothing']);"
        "print(code, [name for name in ('argparse', 'agent.cli', 'agent.demo', 'ocpp', 'jsonschema')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRON, timeout=DEADLINE_S, check=False
    )
    assert done.stdout == "78 []\n", done.stderr


def test_all_parts_of_the_command_look_for_the_same_file_and_socket() -> None:
    shown = (config_socket.DEFAULT_FILE, config_socket.DEFAULT_SOCKET)
    assert shown == (__main__.DEFAULT_FILE, config_keys.SERVICE["socket"].default)


# --- check-config ------------------------------------------------------------------------------------------


def test_check_config_says_what_is_described(tmp_path: Path) -> None:
    file = configured(tmp_path, '"evse_wb"', '"reference"')
    done = command("check-config", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"{file}: ok, 1 EVSE on 2 buses, 1 reader, CSMS ws://127.0.0.1:9000/ocpp\n",
        "",
    )


def test_check_config_warns_of_a_controller_without_watchdog(tmp_path: Path) -> None:
    file = configured(tmp_path)
    text = "warning: evse_wb has no watchdog: if the agent dies while charging, the last offer stands"
    assert command("check-config", str(file)).stdout.startswith(f"{file} [evse.1.controller] map: {text}\n")


def test_check_config_warns_of_a_line_with_other_settings_than_the_meter_has(tmp_path: Path) -> None:
    told = command("check-config", str(configured(tmp_path, '"eastron_sdm630"', '"eastron_sdm120"'))).stdout
    text = "warning: eastron_sdm120 leaves the factory with 2400 baud, parity N (as far as is known)"
    assert f"[evse.1.meter] map: {text}; [bus.rs485b] has others, set the device to them\n" in told


def test_check_config_warns_of_a_fail_safe_that_only_the_device_itself_knows(tmp_path: Path) -> None:
    told = command("check-config", str(configured(tmp_path, '"evse_wb"', '"mennekes_compact"'))).stdout
    assert "warning: mennekes_compact has a fail-safe current that cannot be set from here: 10 s after" in told


def test_check_config_warns_of_a_line_in_another_framing_than_the_board_speaks(tmp_path: Path) -> None:
    told = command("check-config", str(configured(tmp_path, '"evse_wb"', '"abl_emh1"'))).stdout
    assert '[evse.1.controller] map: warning: abl_emh1 speaks Modbus ASCII; add framing = "ascii" to [bus.' in told


def test_check_config_warns_of_a_map_that_nobody_has_confirmed(tmp_path: Path) -> None:
    told = command("check-config", str(configured(tmp_path, '"eastron_sdm630"', '"finder_7e_23"'))).stdout
    assert "[evse.1.meter] map: warning: the registers of finder_7e_23 were never confirmed" in told


def test_check_config_reads_the_maps_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "maps" / "meter").mkdir(parents=True)
    (tmp_path / "maps" / "meter" / "mine.toml").write_text('vendor = "Mine"\n')
    done = command("check-config", str(configured(tmp_path, '"eastron_sdm630"', '"mine"')))
    assert (done.returncode, "[evse.1.meter] map: " in done.stderr, done.stderr.count("\n")) == (78, True, 1)


def test_check_config_resolves_the_variables(tmp_path: Path) -> None:
    file = configured(tmp_path, "[variables]", "[variables]\nHeartbeetInterval = 1")
    done = command("check-config", str(file))
    told = "no such variable; did you mean HeartbeatInterval?"
    assert (done.returncode, done.stderr) == (78, f"{file} [variables] HeartbeetInterval: {told}\n")


def test_check_config_refuses_a_setting_that_the_map_has_no_register_for(tmp_path: Path) -> None:
    file = configured(tmp_path, '  map = "evse_wb"', '  watchdog_s = 5\n  map = "evse_wb"')
    told = "the map evse_wb has no register for it; remove it"
    assert command("check-config", str(file)).stderr == f"{file} [evse.1.controller] watchdog_s: {told}\n"


# --- status ------------------------------------------------------------------------------------------------


class Agent:
    """A control socket with a status behind it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.status: dict[str, Any] = STATUS
        self.requests: list[dict[str, Any]] = []

    async def answer(self, request: dict[str, Any], _peer: Peer) -> dict[str, Any]:
        self.requests.append(request)
        return self.status


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    found = Agent(tmp_path / "control.sock")
    control = Control(found.path, found.answer, Log(lambda *_: True))
    await control.start()
    yield found
    await control.close()


async def status(*words: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "status", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRON,
    )
    async with asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_status_is_one_screen_in_plain_words(agent: Agent) -> None:
    assert await status("--socket", str(agent.path)) == (0, SCREEN, "")


async def test_status_json_is_what_the_agent_told(agent: Agent) -> None:
    _code, out, _err = await status("--json", "--socket", str(agent.path))
    assert json.loads(out) == STATUS


async def test_status_finds_the_socket_by_the_configuration(agent: Agent, tmp_path: Path) -> None:
    file = configured(tmp_path, "[service]", '[service]\nsocket = "control.sock"')
    assert (await status("--config", str(file)))[1] == SCREEN


async def test_status_asks_in_the_control_sockets_words(agent: Agent) -> None:
    await status("--socket", str(agent.path))
    assert agent.requests == [{"verb": "status", "v": 1}]


async def test_status_of_an_agent_that_has_just_begun_leaves_out_what_is_unknown(agent: Agent) -> None:
    agent.status = {"evses": [{"id": 1, "pilot": None}]}
    code, out, err = await status("--socket", str(agent.path))
    assert (code, "not read yet" in out, err) == (0, True, "")


async def test_status_tells_why_there_is_no_link_and_when_the_next_try_is(agent: Agent) -> None:
    link = {"state": "waiting", "host": "wss://csms.example", "why": "no route", "for_s": 90, "redial_in_s": 12}
    agent.status = STATUS | {"link": link, "registration": "Pending"}
    out = (await status("--socket", str(agent.path)))[1]
    assert "CSMS      no connection to wss://csms.example for 1 min 30 s, next try in 12 s\n" in out
    assert "          because: no route\n" in out


async def test_status_tells_what_to_do_about_a_fault(agent: Agent) -> None:
    fault = {"id": "diode", "text": "no diode", "remedy": "try another car", "info": "flags 0x0002"}
    agent.status = STATUS | {"evses": [STATUS["evses"][0] | {"faults": [fault]}]}
    out = (await status("--socket", str(agent.path)))[1]
    assert "  FAULT   diode: no diode (flags 0x0002)\n          what to do: try another car\n" in out


async def test_status_lists_the_dead_letters(agent: Agent) -> None:
    letter = {"id": "b3-1-7-2", "kind": "Ended", "evse": 1, "why": "InternalError", "utc": 0}
    agent.status = STATUS | {"dead_letters": [letter]}
    out = (await status("--socket", str(agent.path)))[1]
    assert "b3-1-7-2 Ended: EVSE 1, InternalError\n" in out


async def test_status_shows_no_control_characters_of_a_csms(agent: Agent) -> None:
    letter = {"id": "x", "kind": "Ended", "why": "\x1b[2Jbad\nline"}
    agent.status = STATUS | {"dead_letters": [letter]}
    assert "\x1b" not in (await status("--socket", str(agent.path)))[1]


async def test_status_repeats_what_is_odd_in_the_configuration(agent: Agent) -> None:
    agent.status = STATUS | {"warnings": ["one", "two"]}
    assert (await status("--socket", str(agent.path)))[1] == f"{SCREEN}\nNotes     one\n          two\n"


async def test_status_tells_how_much_waits(agent: Agent) -> None:
    agent.status = STATUS | {"queue": {"rows": 12, "bytes": 4096, "oldest_s": 300}}
    out = (await status("--socket", str(agent.path)))[1]
    assert "Queue     12 messages wait for the CSMS, the oldest for 5 min, 4.0 KiB\n" in out


async def test_status_tells_of_the_local_list_and_of_what_is_reserved(agent: Agent) -> None:
    by_name = {"id": 7, "evse": 1, "token": "..1234", "left_s": 2_520}
    of_any = {"id": 8, "evse": None, "token": "..5678", "left_s": None}
    cards = {"enabled": False, "version": 5, "entries": 1_200}
    agent.status = STATUS | {"local_list": cards, "reservations": [by_name, of_any]}
    out = (await status("--socket", str(agent.path)))[1]
    assert "Cards     1200 in the local list, version 5, switched off\n" in out
    assert "Reserved  EVSE 1 for card ..1234 for 42 min yet (reservation 7)\n" in out
    assert "Reserved  one EVSE for card ..5678 who is there (reservation 8)\n" in out


async def test_status_repeats_what_the_agent_refuses(agent: Agent) -> None:
    agent.status = {"error": "more than 8 clients at once"}
    told = "chargepoint status: more than 8 clients at once\n"
    assert await status("--socket", str(agent.path)) == (1, "", told)


def test_status_without_an_agent_is_one_line_and_code_69(tmp_path: Path) -> None:
    done = command("status", "--socket", str(tmp_path / "none.sock"))
    told = "start it with: systemctl start chargepoint (by hand: chargepoint run --config FILE)"
    assert (done.returncode, done.stdout, done.stderr) == (
        69,
        "",
        f"chargepoint status: no agent is running at {tmp_path}/none.sock; {told}\n",
    )


def test_a_bundle_where_neither_an_agent_nor_its_files_are_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.sock"))  # as the service manager does, which nobody takes it from
        listener.listen()
        patch.setattr(asking.ask, "__kwdefaults__", {"program": "", "timeout_s": 0.05})
        assert __main__.main(["support-bundle", "--socket", str(tmp_path / "s.sock")]) == 69
    told = capsys.readouterr().err
    assert "does not answer" in told and "chargepoint check-config" in told


def test_status_of_something_else_is_one_line_and_code_1(tmp_path: Path) -> None:
    code, told = _status_from(tmp_path, b"220 mail.example ready\n")
    assert (code, told.count("\n"), "is not the agent" in told) == (1, 1, True)


def test_status_of_an_agent_that_ends_meanwhile_is_one_line_and_code_69(tmp_path: Path) -> None:
    code, told = _status_from(tmp_path, b"")
    assert (code, told.count("\n"), "ended before it answered; ask again" in told) == (69, 1, True)


def _status_from(tmp_path: Path, answer: bytes) -> tuple[int, str]:
    """Exit code and complaint of the command where something answers with this, and hangs up."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "other.sock"))
        listener.listen()
        with subprocess.Popen(
            [sys.executable, "-m", "agent", "status", "--socket", str(tmp_path / "other.sock")],
            stderr=subprocess.PIPE,
            env=ENVIRON,
            text=True,
        ) as process:
            peer, _address = listener.accept()
            with peer:
                peer.recv(100)
                peer.sendall(answer)
            _out, told = process.communicate(timeout=DEADLINE_S)
    return process.returncode, told


def test_status_without_permission_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    code = (
        "import os; from agent.cli.status import Refused, ask\n"
        "os.geteuid() or os.setuid(65534)\n"  # root may open everything
        f"try: ask({str(path)!r})\n"
        "except Refused as error: print(int(error.exit_code), error)"
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRON, timeout=DEADLINE_S, check=False
        )
    told = f"chargepoint status: {path}: you may not open it; use sudo, or join the agent's group\n"
    assert done.stdout == f"1 {told}", done.stderr


@pytest.mark.parametrize(
    ("verb", "closed", "code"),
    [("check-config", "agent.toml", 78), ("check-config", "conf.d", 78), ("replay", "rec", 1)],
)
def test_what_may_not_be_read_is_one_line_that_says_what_to_do(
    verb: str, closed: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with tempfile.TemporaryDirectory() as name:  # into which everybody may look
        folder = Path(name)
        folder.chmod(0o755)
        configured(folder).chmod(0o644)
        (folder / "conf.d").mkdir()
        (folder / "rec").mkdir()
        (folder / closed).chmod(0)
        import_module(__main__.VERBS[verb][0])
        before = os.geteuid()
        os.seteuid(before or NOBODY)  # root may read everything
        try:
            ended = __main__.main([verb, str(folder / ("rec" if verb == "replay" else "agent.toml"))])
        finally:
            os.seteuid(before)
            (folder / closed).chmod(0o755)
        told = capsys.readouterr().err
        assert (ended, told.count("\n")) == (code, 1), told
        assert f"{folder / closed}: " in told and "use sudo" in told


async def watching(agent: Agent, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "status", "--watch", "--socket", str(agent.path), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRON,
    )


async def test_status_watch_tells_again_and_ends_by_ctrl_c_without_a_word(agent: Agent) -> None:
    process = await watching(agent, "--json")
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        assert await process.stdout.readline() == await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _out, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")


async def test_status_watch_lives_on_when_the_agent_goes(agent: Agent) -> None:
    process = await watching(agent, "--json")
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        await process.stdout.readline()
        agent.path.unlink()
        line = json.loads(await process.stdout.readline())
        process.terminate()
        await process.communicate()
    assert "no agent is running" in line["error"]


async def test_status_into_a_closed_pipe_is_quiet(agent: Agent) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "status", "--socket", str(agent.path)),
        stdout=write_end,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRON,
    )
    os.close(write_end)
    async with asyncio.timeout(DEADLINE_S):
        _out, err = await process.communicate()
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize(
    ("kind", "begins"), [("xterm", b"\x1b[H\x1b[J\x1b[1mStation   CP001"), ("dumb", b"Station   CP001")]
)
async def test_the_screen_on_a_terminal_is_cleared_and_in_colour_if_that_can_do_so(
    agent: Agent, kind: str, begins: bytes
) -> None:
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "status", "--watch", "--socket", str(agent.path)),
        stdout=theirs,
        env={key: value for key, value in ENVIRON.items() if key != "NO_COLOR"} | {"TERM": kind},
    )
    os.close(theirs)
    async with asyncio.timeout(DEADLINE_S):
        shown = await asyncio.to_thread(os.read, ours, 4096)
    process.terminate()
    await process.wait()
    os.close(ours)
    assert shown.startswith(begins)


async def test_an_agent_that_runs_is_asked_although_its_file_was_spoilt_meanwhile(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("[csms\n")
    monkeypatch.setattr(config_socket, "DEFAULT_FILE", str(file))
    monkeypatch.setattr(config_socket, "DEFAULT_SOCKET", str(agent.path))
    options = asking.parser("status", "").parse_args([])
    assert await asyncio.to_thread(asking.socket_of, options) == str(agent.path)
    monkeypatch.setattr(config_socket, "DEFAULT_SOCKET", str(tmp_path / "none.sock"))
    with pytest.raises(ConfigError, match="is not TOML"):
        asking.socket_of(options)
