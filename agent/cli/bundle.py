"""`chargepoint support-bundle [FILE]`: everything that a supporter needs, in one file: the very bundle that the CSMS
gets when it asks for diagnostics. Nothing secret is in it, and no whole card number.

What is in it: status, settings and configuration; the journal and the security log; the last OCPP frames; the board's
memory, load and disks; and a flight recording for `chargepoint replay`. It is written by you, with your rights.
Where no agent answers it is made of what that has left on the disk (`agent.support_offline`), and says what is missing.

With --json: {file, bytes, agent: whether one answered, missing: ["..."]}.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.cli import asking
from agent.cli.streaming import stream
from agent.cli.tables import size
from agent.config_socket import DEFAULT_FILE
from agent.errors import AgentError, ConfigError, Exit, NotRunning

PACKING_S = 180.0


def main(argv: Sequence[str]) -> int:
    """Have it made, and write it; the exit code."""
    parser = asking.parser("support-bundle", "Write everything that a supporter needs into one file, without secrets.")
    parser.add_argument("file", nargs="?", metavar="FILE", help="a file or a folder; if none is given, the current one")
    options = parser.parse_args(list(argv))
    missing: list[str] | None = None
    try:
        socket = _find(options)
    except (NotRunning, ConfigError) as error:
        path, written, missing = _from_disk(options, error)
        if not options.json:
            asking.tell([str(error), "so this is made of what the agent has left on the disk"])
    else:
        path, written = _from_agent(options, socket)
    if options.json:
        print(json.dumps({"file": str(path), "bytes": written, "agent": missing is None, "missing": missing or []}))
    else:
        if missing:
            asking.tell(f"missing: {text}" for text in missing)
        print(f"{path}: {size(written)}; nothing secret is in it. Send it to whoever helps you.")
    return Exit.OK


def _find(options: argparse.Namespace) -> str:
    """The socket at which an agent answers; asked at once, since packing takes long."""
    socket = asking.socket_of(options)
    asking.ask(socket, "status", program="support-bundle")
    return socket


def _from_agent(options: argparse.Namespace, socket: str) -> tuple[Path, int]:
    lines = stream(socket, "bundle", "support-bundle", silent_s=PACKING_S)
    path = _target(options.file, Path(str(next(lines, {}).get("name", ""))).name)
    try:
        return path, _write(path, lines)
    except OSError as error:
        raise AgentError(f"chargepoint support-bundle: {path}: {error.strerror or error}") from None


def _from_disk(options: argparse.Namespace, why: AgentError) -> tuple[Path, int, list[str]]:
    from agent import support_offline

    file = options.config or DEFAULT_FILE
    if not support_offline.is_charger(file):
        if os.geteuid() and isinstance(why, NotRunning):
            raise NotRunning(f"{why}; with sudo, what it has left can be packed")
        raise why
    try:
        return support_offline.write(file, str(why), lambda name: _target(options.file, name))
    except AgentError as error:
        raise AgentError(f"chargepoint support-bundle: {error}") from None


def _target(wanted: str | None, name: str) -> Path:
    path = Path(wanted) if wanted else Path.cwd()
    return path / (name or "support.tar.gz") if path.is_dir() else path


def _write(path: Path, lines: Iterator[dict[str, Any]]) -> int:
    """Under another name until it is whole."""
    fresh = path.with_name(f"{path.name}.new")
    whole, written = False, 0
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for line in lines:
                whole = line.get("done") is True
                written += file.write(_piece(line))
        if not whole:
            raise AgentError("chargepoint support-bundle: the agent went away before the bundle was whole")
        fresh.replace(path)
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
    return written


def _piece(line: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(str(line.get("data", "")), validate=True)
    except (binascii.Error, ValueError):
        raise AgentError("chargepoint support-bundle: the agent sent what is no bundle") from None
