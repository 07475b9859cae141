"""An answer of many lines from the running agent, each as it comes. The words for an agent that is not there are those
of `asking`.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from typing import Any

from agent.cli.asking import VERSION, Refused, reached

SILENT_S = 45.0  # three times as long as a stream may say nothing
MAX_LINE_BYTES = 1 << 20


def stream(path: str, verb: str, program: str, *, silent_s: float = SILENT_S, **more: Any) -> Iterator[dict[str, Any]]:
    """Its lines until it ends; NotRunning or Refused in plain words."""
    name = f"chargepoint {program}"
    asked = {"verb": verb, "v": VERSION, "sudo": os.environ.get("SUDO_USER"), **more}
    request = {key: value for key, value in asked.items() if value is not None}
    with reached(path, name), socket.socket(socket.AF_UNIX) as link:
        link.settimeout(silent_s)
        link.connect(path)
        link.sendall(json.dumps(request).encode() + b"\n")
        with link.makefile("rb") as file:
            while line := file.readline(MAX_LINE_BYTES):
                yield _parsed(line, name, path)


def _parsed(line: bytes, name: str, path: str) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise Refused(f"{name}: what answers at {path} is not the agent")
    if "error" in answer and answer.get("kind") is None:
        raise Refused(f"{name}: {answer['error']}")
    return answer
