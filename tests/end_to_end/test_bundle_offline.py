"""The support bundle of a charger whose agent does not run."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from agent.__main__ import main
from agent.edge.redaction import Redactor
from agent.errors import Exit
from agent.support_offline import _told
from tests.core.test_config import BASE
from tests.end_to_end.agent_helpers import CARD, ROOT, charger

PASSWORD = "correct-horse-battery"


def pack(file: Path, target: Path) -> dict[str, object]:
    """What the command says of it in JSON."""
    out = io.StringIO()
    with redirect_stdout(out):
        assert main(["support-bundle", str(target), "--config", str(file), "--json"]) == 0
    told: dict[str, object] = json.loads(out.getvalue())
    return told


def parts(path: Path) -> dict[str, str]:
    with tarfile.open(path, "r:gz") as tar:
        files = {member.name.partition("/")[2]: tar.extractfile(member) for member in tar}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def configured(folder: Path, text: str = BASE) -> Path:
    """A charger that never ran."""
    file = folder / "agent.toml"
    file.write_text(
        text.replace("[storage]", '[storage]\ndir = "memory"').replace("[service]", '[service]\nsocket = "s"')
    )
    return file


async def test_what_a_killed_agent_has_left_becomes_a_bundle_and_is_left_as_it_was(tmp_path: Path) -> None:
    async with charger("2.0.1") as c:
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        await c.charging()
        await c.end(signal.SIGKILL)
        memory = c.folder / "memory"
        before = files(memory)
        assert "chargepoint.db-wal" in before
        told = await asyncio.to_thread(pack, c.config, tmp_path)
        assert files(memory) == before
        assert told["agent"] is False
        found = parts(Path(str(told["file"])))
        remembered = json.loads(found["memory.json"])
        (running,) = remembered["open_transactions"]
        assert running["energy_wh"] is not None
        assert "no agent is running" in found["about.txt"]
        assert ": ok, 1 EVSE" in found["about.txt"]
        assert "StartupOfTheDevice" in found["security.txt"]
        assert CARD not in "".join(found.values())
        assert "status.json: " in found["missing.txt"]


async def test_what_an_agent_that_was_stopped_has_recorded_is_in_the_bundle_and_can_be_replayed(tmp_path: Path) -> None:
    async with charger("1.6") as c:
        await c.ready()
        await c.tap()
        await c.csms.hear("Authorize")
        await c.end()
        told = await asyncio.to_thread(pack, c.config, tmp_path)
        found = parts(Path(str(told["file"])))
        assert "Authorize" in found["frames.txt"]
        assert "bus" in {json.loads(line)[0] for line in found["recorder.jsonl"].splitlines()}
        assert CARD not in "".join(found.values())
        with redirect_stdout(io.StringIO()) as story:
            assert main(["replay", str(told["file"])]) == 0
        assert "steps gave the same effects" in story.getvalue()


def test_a_wrong_configuration_is_told_with_what_is_wrong_and_without_its_secrets(tmp_path: Path) -> None:
    file = configured(tmp_path, BASE.replace('identity = "CP001"', f'identity = 7\npassword = "{PASSWORD}"'))
    found = parts(Path(str(pack(file, tmp_path)["file"])))
    assert "[csms] identity: expected" in found["about.txt"]
    assert json.loads(found["configuration.json"])["merged"]["csms"]["identity"] == 7
    assert PASSWORD not in "".join(found.values())


def test_a_configuration_that_is_no_toml_is_told_by_its_lines(tmp_path: Path) -> None:
    file = configured(tmp_path, BASE.replace('identity = "CP001"', f'identity = "CP001\npassword = "{PASSWORD}"'))
    told = pack(file, tmp_path)
    found = parts(Path(str(told["file"])))
    assert 'url = "ws://127.0.0.1:9000/ocpp"' in found["configuration.txt"]
    assert PASSWORD not in "".join(found.values())
    assert any("configuration.json" in str(line) for line in list(told["missing"]))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('url = "wss://csms.example/ocpp"', 'url = "wss://csms.example/ocpp"'),
        ('url = "wss://CP1:geheim@csms.example/"', 'url = "wss://***@csms.example/"'),
        ("password = geheim", "password = ***"),
        ('#password = "geheim"', "#password = ***"),
        ('password "geheim"', "***"),
        ("password: geheim", "***"),
        ('csms = { url = "ws://x/", password = "geheim" }', 'csms = { url = "ws://x/", password = *** }'),
        ('technician_token = "0100A57C21"', 'technician_token = "*7C21"'),
        ("[[evse]]", "[[evse]]"),
        ("# a comment", "# a comment"),
        ("baud = 9600 # as the meter", "baud = 9600 # as the meter"),
        ('password = """geheim\nof two lines"""\nid = 1', "password = ***\n***\nid = 1"),
    ],
    ids=lambda text: text.replace("\n", " ")[:30],
)
def test_of_a_line_that_may_hold_a_secret_only_the_beginning_is_told(line: str, told: str) -> None:
    assert "\n".join(_told(line, Redactor())) == told


def test_a_damaged_store_is_told_from_and_left_as_it_is(tmp_path: Path) -> None:
    file = configured(tmp_path)
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "chargepoint.db").write_bytes(b"no database, but something else" * 1000)
    before = files(tmp_path / "memory")
    found = parts(Path(str(pack(file, tmp_path)["file"])))
    assert "is damaged" in json.loads(found["memory.json"])["damage"][0]
    assert files(tmp_path / "memory") == before


def test_where_nothing_was_remembered_yet_that_is_said_and_the_rest_is_packed(tmp_path: Path) -> None:
    told = pack(configured(tmp_path), tmp_path)
    missing = "\n".join(str(line) for line in list(told["missing"]))  # type: ignore[call-overload]
    assert "chargepoint.db: No such file or directory" in missing
    assert "recorder: No such file or directory" in missing
    assert parts(Path(str(told["file"])))["missing.txt"] == f"{missing}\n"


def test_where_there_is_no_charger_nothing_is_made(tmp_path: Path) -> None:
    assert main(["support-bundle", str(tmp_path), "--config", str(tmp_path / "none.toml")]) == Exit.CONFIG
    assert list(tmp_path.iterdir()) == []


def test_files_that_may_not_be_read_are_none_to_be_packed() -> None:
    with tempfile.TemporaryDirectory() as name:  # into which everybody may look
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "etc").mkdir()
        file = configured(folder / "etc", BASE.replace("[storage]", '[storage]\ndir = "closed"'))
        (folder / "etc").chmod(0)
        code = (
            "import os; from agent.support_offline import is_charger\n"
            "os.geteuid() or os.setuid(65534)\n"  # root may open everything
            f"print(is_charger({str(file)!r}))"
        )
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        words = [sys.executable, "-c", code]
        done = subprocess.run(words, capture_output=True, text=True, env=environ, timeout=20, check=False)
        (folder / "etc").chmod(0o700)
    assert done.stdout == "False\n", done.stderr


def test_who_may_read_nothing_is_told_how_he_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 65534)
    monkeypatch.setattr("agent.support_offline.is_charger", lambda _file: False)
    assert main(["support-bundle", "--socket", str(tmp_path / "s")]) == Exit.NOT_RUNNING
    assert capsys.readouterr().err.endswith("with sudo, what it has left can be packed\n")


def test_the_store_is_not_copied_to_where_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = configured(tmp_path)
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "chargepoint.db").write_bytes(b"x")

    monkeypatch.setattr("agent.support_offline.free_bytes", lambda _folder: 0)
    told = pack(file, tmp_path)
    assert "no room" in str(told["missing"])
