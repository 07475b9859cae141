"""The other end of the simulated hardware's socket, for programs: `await SimClient(path).do("plug-in", evse=1)`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from drivers.simulated.verbs import SimError


class SimClient:
    """One connection for each call: the hardware may be restarted between two of them."""

    def __init__(self, socket_path: str | Path, timeout_s: float = 10.0) -> None:
        self.socket_path = str(socket_path)
        self.timeout_s = timeout_s

    async def do(self, verb: str, **args: Any) -> str:
        """What the verb prints; SimError with its one line, or when nobody answers."""
        timeout_s = self.timeout_s + float(args.get("timeout", 0.0))
        try:
            return await asyncio.wait_for(self._do({"verb": verb, **args}), timeout_s)
        except (OSError, TimeoutError) as error:
            raise SimError(f"no simulated hardware answers at {self.socket_path}: {error}") from None

    async def _do(self, request: dict[str, Any]) -> str:
        reader, writer = await asyncio.open_unix_connection(self.socket_path)
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            line = await reader.readline()
        finally:
            writer.close()
        if not line:
            raise SimError("the simulated hardware ended before it answered")
        answer = json.loads(line)
        if not answer["ok"]:
            raise SimError(answer["error"])
        return str(answer["value"])
