"""What a technician asks for beyond a single answer: the journal's last lines, a support bundle, a factory reset.

(What crosses the lines is `agent.overhearing`, orders and readings are `agent.technician`.) The bundle is made where
those for the CSMS are made, and goes to whoever asked through the socket, in pieces: he writes it where he likes, with
his own rights. It touches no disk of ours, which may be full just then.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import resetting
from agent.core.effects import Restart
from agent.edge.control import Peer, Stream
from agent.errors import AgentError
from agent.overhearing import Overhearing
from agent.technician import who

if TYPE_CHECKING:
    from agent.daemon import Daemon

PIECE_BYTES = 48 << 10
LEAVE_S = 0.3  # so that the answer is out before the socket is gone
MAX_WHY = 200


class Workbench:
    def __init__(self, daemon: Daemon) -> None:
        self._d = daemon
        self._packing = False
        overhearing = Overhearing(daemon)
        for verb, handler in (
            ("trace", overhearing.trace),
            ("log", self.log),
            ("bundle", self.bundle),
            ("factory-reset", self.factory_reset),
        ):
            daemon.technician.serve(verb, handler)

    # --- the journal --------------------------------------------------------------------------------------------

    async def log(self, request: Mapping[str, Any], _peer: Peer) -> dict[str, Any]:
        """The lines that this process remembers, from after a moment on (`after`, UTC by the system's clock)."""
        after = request.get("after")
        since = float(after) if isinstance(after, int | float) else 0.0
        return {"now": time.time(), "lines": self._d.log.since(since)}

    # --- the bundle ---------------------------------------------------------------------------------------------

    async def bundle(self, _request: Mapping[str, Any], _peer: Peer) -> Stream:
        if self._packing:
            raise AgentError("a bundle is being made for somebody else; try again in a minute")
        return Stream(self._pieces())

    async def _pieces(self) -> AsyncIterator[dict[str, Any]]:
        self._packing, name = True, self._d.support.name()
        try:
            yield {"name": name}
            data = await self._d.support.packed(name)
            yield {"bytes": len(data)}
            for at in range(0, len(data), PIECE_BYTES):
                yield {"data": base64.b64encode(data[at : at + PIECE_BYTES]).decode()}
            yield {"done": True}
        finally:
            self._packing = False

    # --- the factory reset --------------------------------------------------------------------------------------

    async def factory_reset(self, request: Mapping[str, Any], peer: Peer) -> dict[str, Any]:
        """Refused in words, or ordered: then the process ends, and the next one begins with nothing."""
        why = request.get("why")
        if not isinstance(why, str) or not why.strip():
            raise AgentError("an order needs a reason (--reason); it is kept with your name")
        discard = request.get("discard") is True
        self._may_reset(discard)
        by = await who(peer, request)
        clean = "".join(c if c.isprintable() else " " for c in why).strip()[:MAX_WHY]
        folder = Path(self._d.config.storage.dir)
        await self._d.built.work(lambda: resetting.order(self._d.config, by, clean, discard))
        self._d.log.info(
            "FactoryResetOrdered", f"by {by}: the agent ends, and begins anew with an empty {folder}", why=why
        )
        asyncio.get_running_loop().call_later(LEAVE_S, self._d.leave, Restart(False, "factory reset"))
        return {"done": True, "text": "the agent ends now, and begins anew with nothing but its configuration"}

    def _may_reset(self, discard: bool) -> None:
        facts, store = self._d.built.station.facts, self._d.built.store
        busy = [str(evse.id) for evse in facts.evses.values() if evse.tx is not None]
        if busy:
            raise AgentError(f"EVSE {', '.join(busy)} has a transaction; end it first: chargepoint stop {busy[0]}")
        waiting, letters = store.counts().rows, len(self._d.runtime.durable.dead_letters)
        if (waiting or letters) and not discard:
            kept = f"{waiting} messages about transactions wait for the CSMS, {letters} were given up"
            raise AgentError(f"{kept}: restore the link so that they go (chargepoint queue), or --discard-transactions")
        if facts.update_holds:
            raise AgentError("a firmware update is under way; wait for its end")
