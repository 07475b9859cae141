"""How a central system sends lists and reserves, in the same words for both protocol versions."""

from __future__ import annotations

import time
from typing import Any

from tests.conformance.csms import Csms, Payload, stamp
from tests.end_to_end.agent_helpers import CARD

Entry = tuple[str, str, str]  # tag, status ("": takes the tag out), group


def accepted(*tags: str) -> list[Entry]:
    return [(tag, "Accepted", "") for tag in tags]


def many(count: int, first: int = 0) -> list[Entry]:
    return accepted(*(f"{number:020X}" for number in range(first, first + count)))


async def send_list(csms: Csms, version: int, entries: list[Entry], kind: str = "Full") -> str:
    old = csms.version == "1.6"
    asked: Payload = {"listVersion" if old else "versionNumber": version, "updateType": kind}
    if entries:
        asked["localAuthorizationList"] = [_entry16(*e) if old else _entry201(*e) for e in entries]
    return str((await csms.call("SendLocalList", asked))["status"])


def _entry16(tag: str, status: str, group: str) -> Payload:
    info = {"status": status} | ({"parentIdTag": group} if group else {})
    return {"idTag": tag} | ({"idTagInfo": info} if status else {})


def _entry201(tag: str, status: str, group: str) -> Payload:
    info = {"status": status} | ({"groupIdToken": _token(group)} if group else {})
    return {"idToken": _token(tag)} | ({"idTokenInfo": info} if status else {})


def _token(tag: str) -> Payload:
    return {"idToken": tag, "type": "ISO14443"}


async def list_version(csms: Csms) -> int:
    answer = await csms.call("GetLocalListVersion")
    return int(answer["listVersion" if csms.version == "1.6" else "versionNumber"])


async def reserve(
    csms: Csms, evse: int = 1, tag: str = CARD, number: int = 7, group: str = "", seconds: float = 600
) -> str:
    """`evse` 0: any."""
    until = stamp(time.time() + seconds)
    if csms.version == "1.6":
        asked: dict[str, Any] = {"connectorId": evse, "expiryDate": until, "idTag": tag, "reservationId": number}
        asked |= {"parentIdTag": group} if group else {}
    else:
        asked = {"id": number, "expiryDateTime": until, "idToken": _token(tag)}
        asked |= {"groupIdToken": _token(group)} if group else {}
        asked |= {"evseId": evse} if evse else {}
    return str((await csms.call("ReserveNow", asked))["status"])


async def cancel(csms: Csms, number: int = 7) -> str:
    return str((await csms.call("CancelReservation", {"reservationId": number}))["status"])
