"""Signed sessions of the meters: the errands of the block `signing`, done with the drivers that can (`SignsMeterData`).

Every errand is answered in at most `LIMIT_S`, whatever the driver does. The charge point's name, the local time zone
and the key that the configuration expects are known here, not in the block. No text that was signed is logged: it holds
the number of a card.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.core.effects import Errand
from agent.core.events import Event
from agent.core.record import record
from agent.core.signing import BeginSession, EndSession, ProbeSigner, SessionBegun, SessionEnded, SignerProbed
from drivers.api import DriverError, SignedSession, SignsMeterData

LIMIT_S = 60.0  # two signatures, one of them to give up an old session, and a bus that is slow
LONGEST_NAME = 36  # what a meter has room for, beside the number of the EVSE


@record
class Signer:
    """The meter of one EVSE. `public_key`: what it must be, "" = whatever it says."""

    meter: SignsMeterData
    public_key: str = ""


def signers(meters: Mapping[int, object], keys: Mapping[int, str]) -> dict[int, Signer]:
    """Those of these meters that can sign, by EVSE."""
    return {evse: Signer(meter, keys[evse]) for evse, meter in meters.items() if isinstance(meter, SignsMeterData)}


class MeterSigning:
    """`signers` by EVSE; `name`: the charge point's."""

    def __init__(self, signers: Mapping[int, Signer], name: str, limit_s: float = LIMIT_S) -> None:
        self._signers, self._name, self._limit_s = signers, name[:LONGEST_NAME], limit_s

    def handlers(self) -> dict[type[Errand], Callable[[Any], Awaitable[Event]]]:
        """For `Errands.serve`."""
        return {ProbeSigner: self.probe, BeginSession: self.begin, EndSession: self.end}

    async def probe(self, errand: ProbeSigner) -> SignerProbed:
        signer = self._signers[errand.evse]
        key, why = await self._do(signer.meter.public_key())
        if not why and signer.public_key and signer.public_key != key:
            why = "its public key is not the one of the configuration: another meter?"
        return SignerProbed(errand.evse, "" if why else str(key), why)

    async def begin(self, errand: BeginSession) -> SessionBegun:
        signed, why = await self._do(self._signers[errand.evse].meter.begin(self._session(errand)))
        return SessionBegun(errand.evse, errand.transaction, signed, why)

    async def end(self, errand: EndSession) -> SessionEnded:
        signed, why = await self._do(self._signers[errand.evse].meter.end(self._session(errand)))
        return SessionEnded(errand.evse, errand.transaction, signed, why)

    async def _do(self, order: Awaitable[Any]) -> tuple[Any, str]:
        """What came of it, and why nothing did."""
        try:
            async with asyncio.timeout(self._limit_s):
                return await order, ""
        except DriverError as error:
            return None, str(error) or "the driver gives no reason"
        except TimeoutError:
            return None, f"the meter has not done it in {self._limit_s:g} s"

    def _session(self, errand: BeginSession | EndSession) -> SignedSession:
        place = f"{self._name} {errand.evse}"
        zone_min = 0 if errand.utc is None else time.localtime(errand.utc).tm_gmtoff // 60
        return SignedSession(errand.transaction, errand.token, place, errand.utc, zone_min)
