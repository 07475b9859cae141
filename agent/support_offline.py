"""The support bundle of a charger whose agent does not run: what its files tell. A supporter needs it most just then.

Its parts have the names and the form of those that the running agent packs (`agent.support`), and `memory.json` instead
of the state that only a process has: what the store tells of transactions, the queue and the logbook. Rules kept:

* Nothing of the agent's is written to, moved or locked: of the store and its WAL a copy elsewhere is opened, so a start
  of the agent in the middle of it finds everything as it was left.
* Redacted and bounded as every bundle. A configuration that is no TOML is told line by line: of what is not plainly a
  key and its value only the beginning.
* What cannot be had is a line in `missing.txt`, and is told to whoever asked; it never hinders the rest.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from agent import __version__
from agent.blocks.history import History
from agent.blocks.logbook import Logbook
from agent.blocks.security import logged
from agent.config import Config, load
from agent.config_keys import STORAGE
from agent.config_toml import MAX_DROP_INS, MAX_FILE_BYTES, read
from agent.core.events import Restored
from agent.core.types import ClockQuality, Instant
from agent.edge import bundle
from agent.edge.redaction import MASK, Redactor
from agent.errors import AgentError
from agent.recording import newest_of
from agent.report_details import letter_view, past_view, row_view
from agent.setup import DATABASE
from agent.store.opening import copy_files
from agent.store.recorder import FOLDER as RECORDER
from agent.store.store import Store
from agent.support import as_json, masked_recording

SERVICE_S = 10.0
MAX_ROWS = 100  # of the queue
MAX_LETTERS = 200
UNITS = ("chargepoint.service", "chargepoint.socket")
_PLAIN = re.compile(r"\s*(?:#.*|\[{1,2}[\w.\s\"'-]*\]{1,2}\s*|[\]})]?,?\s*)")
_SETTING = re.compile(r"\s*#?\s*[\"']?[\w.-]+[\"']?\s*=.*")
_PAIR = re.compile(r"([\"']?)([\w.-]+)\1(\s*=\s*)(\"(?:[^\"\\]|\\.)*\"?|'[^']*'?|[^\s,{}\[\]#]+)")
_QUOTES = ('"""', "'''")


def is_charger(file: str) -> bool:
    """Whether there is anything to pack that may be read."""
    return os.access(file, os.R_OK) or os.access(_storage(file), os.R_OK | os.X_OK)


def write(file: str, why: str, target: Callable[[str], Path]) -> tuple[Path, int, list[str]]:
    """Pack what the configuration `file` leads to; the bundle, its size, and what is missing in it. `why`: what was
    found instead of an agent; `target` makes a path of the bundle's name. Raises AgentError."""
    pack, now = _Pack(file, why), time.time()
    path = target(bundle.name(pack.charger, now))
    if not path.parent.is_dir():
        raise AgentError(f"{path.parent}: there is no such folder")
    parts = pack.parts()
    bundle.write_bundle(path, parts, pack.redactor, now)
    return path, path.stat().st_size, pack.missing


class _Pack:
    def __init__(self, file: str, why: str) -> None:
        self.missing: list[str] = []
        self._file, self._why = Path(file), why
        self._config, self._problem = self._read_config()
        self._folder = _storage(file)
        config = self._config
        passwords = [slot.password for slot in (config.csms, *config.csms.fallback)] if config else []
        self.redactor = Redactor(_text(password) for password in passwords if password)
        self.charger = (config.station.serial or config.station.model) if config else platform.node()

    def parts(self) -> dict[str, str]:
        """What was learnt of secrets and cards anywhere goes out of every part when it is written."""
        recording = self._recorded()
        configuration = self._configuration()
        memory, settings, security = self._memory()
        found = {
            "about.txt": self.redactor.text(self._about()),
            **configuration,
            "memory.json": as_json(self.redactor.value(memory)),
            "settings.json": as_json(self.redactor.value(settings)),
            "frames.txt": "".join(self._frames(recording)),
            "log.txt": self.redactor.text(self._journal()),
            "security.txt": self.redactor.text("\n".join([*security, ""])),
            "service.txt": self.redactor.text(self._service()),
            "board.txt": self.redactor.text(bundle.board()),
            bundle.RECORDING: masked_recording(recording, self.redactor),
        }
        self.missing.append("status.json: what only a running agent knows: link, readings, offers")
        return {**found, "missing.txt": "\n".join([*self.missing, ""])}

    # --- the configuration --------------------------------------------------------------------------------------

    def _read_config(self) -> tuple[Config | None, str]:
        """With all checks that the agent makes at its start."""
        from agent.cli.check import complete, summary

        try:
            config = load(str(self._file))
        except AgentError as error:
            return None, str(error)
        try:
            return config, "\n".join([*complete(config), summary(config)])
        except AgentError as error:
            return config, str(error)

    def _configuration(self) -> dict[str, str]:
        try:
            table, files = read(self._file)
        except AgentError as error:
            self.missing.append(f"configuration.json: {error}; its lines are in configuration.txt")
            return {"configuration.txt": "\n".join(_lines(self._file, self.redactor))}
        told = {"files": [str(file) for file in files], "merged": table.data}
        return {"configuration.json": as_json(self.redactor.value(told))}

    # --- what was remembered ------------------------------------------------------------------------------------

    def _memory(self) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
        """What the store tells, the settings that were set, and the security log."""
        try:
            return _remembered(self._folder / DATABASE)
        except (OSError, AgentError) as error:
            why = getattr(error, "strerror", None) or str(error)
            self.missing.append(f"memory.json, settings.json, security.txt: {self._folder / DATABASE}: {why}")
            return {}, {}, []

    def _recorded(self) -> list[str]:
        try:
            next((self._folder / RECORDER).iterdir(), None)
            found = newest_of(self._folder / RECORDER, bundle.RECORDING_BYTES // 2)
        except OSError as error:
            found, why = [], error.strerror or str(error)
        else:
            why = "nothing was recorded"
        if not found:
            self.missing.append(f"{bundle.RECORDING}, frames.txt: {self._folder / RECORDER}: {why}")
        return found

    def _frames(self, lines: Sequence[str]) -> Iterator[str]:
        """As the recorder has kept them, at the times of the steps around them."""
        offset_s = 0.0
        for line in lines:
            parts = json.loads(line)
            if parts[0] == "head":
                offset_s = parts[1]["utc"] - parts[1]["mono"]
            elif parts[0] == "step":
                offset_s = parts[2] - parts[1]
            elif parts[0] == "frame":
                at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(parts[1] + offset_s))
                yield f"{at} {parts[2]} {self.redactor.frame(str(parts[3]))}\n"

    # --- around it ----------------------------------------------------------------------------------------------

    def _about(self) -> str:
        station = self._config.station if self._config else None
        name = f"{station.vendor} {station.model} {station.serial} {station.firmware}" if station else ""
        lines = (
            f"chargepoint-agent {__version__}, which does not run: {self._why}",
            name,
            f"Python {platform.python_version()}, {sys.platform}, {' '.join(platform.uname()[2:5])}",
            bundle.disk(self._folder),
            bundle.disk(Path("/")),
            f"configuration: {self._problem}",
            "",
        )
        return "\n".join(lines)

    def _journal(self) -> str:
        found = asyncio.run(bundle.journal(None, None))
        if not found:
            self.missing.append("log.txt: there is no journal of the service, or you may not read it")
        return bundle.tail(found)

    def _service(self) -> str:
        words = ("systemctl", "status", "--no-pager", "--full", "--lines=0", *UNITS)
        try:
            done = subprocess.run(words, capture_output=True, timeout=SERVICE_S, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            self.missing.append(f"service.txt: {getattr(error, 'strerror', None) or 'systemctl does not answer'}")
            return ""
        return (done.stdout + done.stderr).decode("utf-8", "replace")


def _storage(file: str) -> Path:
    """Also of a configuration that is wrong elsewhere."""
    default = str(STORAGE["dir"].default)
    try:
        found = read(Path(file))[0].table("storage").data.get("dir", default)
    except AgentError:
        found = default
    return Path(file).absolute().parent / (found if isinstance(found, str) else default)


def _text(secret: str | bytes) -> str:
    return secret.decode("latin-1") if isinstance(secret, bytes) else secret


def _lines(file: Path, redactor: Redactor) -> Iterator[str]:
    """A configuration that is no TOML, and its drop-ins."""
    for path in (file, *sorted((file.parent / "conf.d").glob("*.toml"))[:MAX_DROP_INS]):
        yield f"# --- {path}"
        try:
            with path.open("rb") as found:
                text = found.read(MAX_FILE_BYTES).decode("utf-8", "replace")
        except OSError as error:
            yield f"# {error.strerror or error}"
            continue
        yield from _told(text, redactor)


def _told(text: str, redactor: Redactor) -> Iterator[str]:
    """A secret may stand where no rule finds it, so a line is told only if it has a form that is known."""
    quotes = ""
    for line in text.split("\n"):
        within, opened = bool(quotes), quotes
        for mark in _QUOTES:
            if line.count(mark) % 2 and quotes in ("", mark):
                quotes = "" if quotes else mark
        if within or (quotes and quotes != opened):
            yield f"{line.partition('=')[0].rstrip()} = {MASK}" if not within else MASK
        elif _SETTING.fullmatch(line):
            yield redactor.text(_PAIR.sub(lambda pair: _shown(pair, redactor), line))
        else:
            yield (
                line
                if _PLAIN.fullmatch(line) and "=" not in line
                else f"{line[: len(line) - len(line.lstrip())]}{MASK}"
            )


def _shown(pair: re.Match[str], redactor: Redactor) -> str:
    value = pair[4].strip("\"'")
    shown = redactor.value({pair[2]: value})[pair[2]]
    return f"{pair[1]}{pair[2]}{pair[1]}{pair[3]}{pair[4] if shown == value else json.dumps(shown)}"


# --- the store ----------------------------------------------------------------------------------------------


def _remembered(file: Path) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """From a copy, which may be changed, salvaged and thrown away. Raises OSError and AgentError."""
    wanted = sum(path.stat().st_size for path in (file, Path(f"{file}-wal")) if path == file or path.exists())
    with tempfile.TemporaryDirectory(prefix="chargepoint-") as name:
        if free_bytes(name) < 2 * wanted + bundle.RESERVE_BYTES:
            raise AgentError(f"{name} has no room for a copy of it")
        copy = Path(name) / file.name
        copy_files(str(file), str(copy))
        store = Store(copy, fast=True)
        try:
            opened = store.open("")
            if opened.fault is not None:
                raise AgentError(str(opened.fault))
            memory = store.restore()
            told = _told_by(store, memory) | {"damage": list(opened.lost), "starts": opened.starts - 1}
        finally:
            store.close()
    return told, dict(memory.tables.get("variables", {})), logged(memory)


def free_bytes(folder: str) -> int:
    return shutil.disk_usage(folder).free


def _told_by(store: Store, memory: Restored) -> dict[str, Any]:
    counts, letters, waiting = store.counts(), store.dead_letters(), store.waiting()
    now = Instant(0.0, time.time(), ClockQuality.SYSTEM)
    logbook, history = Logbook(), History()
    for block in (logbook, history):
        list(block.on_restored(memory, now))  # what it would forget is not forgotten here
    given_up = {letter.transaction for letter in letters}
    return {
        "waiting": counts.rows,
        "waiting_bytes": counts.bytes,
        "oldest_utc": counts.oldest.utc if counts.oldest else None,
        "given_up": len(letters),
        "queue": [row_view(row) for row in store.page(0, MAX_ROWS)],
        "dead_letters": [letter_view(letter) for letter in letters[:MAX_LETTERS]],
        "open_transactions": [
            {
                "id": tx.transaction,
                "csms_id": tx.csms_id,
                "energy_wh": tx.energy_wh,
                "waiting": waiting.get(tx.transaction, 0),
            }
            for tx in memory.open_transactions
        ],
        "transactions": [past_view(row, waiting.get(row.transaction, 0), given_up) for row in history.rows()],
        "events": [_event(entry) for entry in logbook.entries()],
        "tables": {name: len(rows) for name, rows in memory.tables.items()},
    }


def _event(entry: Any) -> dict[str, Any]:
    return {
        "utc": entry.at.utc, "kind": entry.kind, "evse": entry.evse or None, "text": entry.text,
        "by": entry.by or None, "why": entry.why or None,
    }  # fmt: skip
