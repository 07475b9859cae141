"""The errands of signing: each is answered in a bounded time, in plain words, and no card is shown."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode

from agent.core.signing import BeginSession, EndSession, ProbeSigner, SessionBegun, SessionEnded, SignerProbed
from agent.edge.meter_signing import MeterSigning, signers
from agent.edge.redaction import Redactor
from agent.log import redact
from agent.ocpp.metervalues import encoded
from drivers.api import DriverError, IdToken, SignedData, SignedSession

CARD = IdToken("04A1B2C3D4E5F6")
TEXT = f'OCMF|{{"ID":"{CARD.value}"}}|{{"SD":"00"}}'
DATA = SignedData(TEXT, "OCMF", "ECDSA-secp256r1-SHA256", "S0VZ")


class Meter:
    """It does what it is told to: sign, refuse, or stay silent for ever."""

    def __init__(self, does: str = "sign") -> None:
        self.does = does
        self.sessions: list[SignedSession] = []

    async def _do(self) -> None:
        if self.does == "refuse":
            raise DriverError("its clock is not set")
        if self.does == "hang":
            await asyncio.Event().wait()

    async def begin(self, session: SignedSession) -> SignedData | None:
        self.sessions.append(session)
        await self._do()
        return None

    async def end(self, session: SignedSession) -> SignedData:
        self.sessions.append(session)
        await self._do()
        return DATA

    async def public_key(self) -> str:
        await self._do()
        return "S0VZ"


def signing(meter: Meter, key: str = "", name: str = "CP001") -> MeterSigning:
    return MeterSigning(signers({1: meter, 2: object()}, {1: key, 2: ""}), name, limit_s=0.05)


async def test_what_the_meter_does_is_told() -> None:
    served = signing(Meter())
    assert await served.probe(ProbeSigner(1)) == SignerProbed(1, "S0VZ")
    assert await served.begin(BeginSession(1, "t", CARD, 0.0)) == SessionBegun(1, "t")
    assert await served.end(EndSession(1, "t", CARD, 0.0)) == SessionEnded(1, "t", DATA)


async def test_what_it_does_not_is_told_with_its_reason() -> None:
    served = signing(Meter("refuse"))
    assert await served.probe(ProbeSigner(1)) == SignerProbed(1, "", "its clock is not set")
    assert await served.begin(BeginSession(1, "t", CARD, 0.0)) == SessionBegun(1, "t", None, "its clock is not set")
    assert await served.end(EndSession(1, "t", CARD, 0.0)) == SessionEnded(1, "t", None, "its clock is not set")


async def test_a_driver_that_hangs_is_not_waited_for_without_end() -> None:
    ended = await signing(Meter("hang")).end(EndSession(1, "t", CARD, 0.0))
    assert ended.why == "the meter has not done it in 0.05 s"


async def test_another_key_than_the_configured_one_is_another_meter() -> None:
    assert (await signing(Meter(), "S0VZ").probe(ProbeSigner(1))).why == ""
    probed = await signing(Meter(), "QU5PVEhFUg==").probe(ProbeSigner(1))
    assert "another meter?" in probed.why
    assert probed.public_key == ""


async def test_the_place_has_room_for_the_number_of_the_evse() -> None:
    meter = Meter()
    await signing(meter, name="C" * 60).begin(BeginSession(1, "t", CARD, None))
    assert meter.sessions[0].place == "C" * 36 + " 1"


async def test_the_meter_is_told_the_local_time_zone() -> None:
    meter = Meter()
    await signing(meter).begin(BeginSession(1, "t", CARD, 1_800_000_000.0))
    assert meter.sessions[0].zone_min == time.localtime(1_800_000_000.0).tm_gmtoff // 60


def frames() -> list[str]:
    """As both versions carry it."""
    told = encoded(DATA)
    return [
        json.dumps([2, "1", "StopTransaction", {"transactionData": [{"value": json.dumps(told)}]}]),
        json.dumps([2, "1", "TransactionEvent", {"meterValue": [{"signedMeterValue": told}]}]),
    ]


def test_what_was_signed_shows_no_card_in_a_log_or_a_bundle() -> None:
    secret = b64encode(TEXT.encode()).decode()
    for frame in frames():
        assert secret in frame
        for shown in (redact(frame), Redactor().frame(frame), Redactor().frame(frame[:-30])):
            assert secret[:20] not in shown
