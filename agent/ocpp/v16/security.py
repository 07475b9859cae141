"""OCPP 1.6-J: the messages of this feature profile, both ways. Rows for the tables of `dialect`."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import Call, SecurityNotice, SignCertificate
from agent.ocpp.dialect import DecodeAnswer, DecodeRequest, Encode, EncodeAnswer, Message, Station
from agent.ocpp.fields import stamp, without_empty
from agent.ocpp.v16.calls import done

# --- out ---


def notice(call: SecurityNotice, _station: Station) -> Message:
    return "SecurityEventNotification", {"type": call.kind[:50], "timestamp": stamp(call.at)} | without_empty(
        techInfo=call.info[:255]
    )


def sign(call: SignCertificate, _station: Station) -> Message:
    return "SignCertificate", {"csr": call.csr}


CALLS: Mapping[type[Call], Encode] = {SecurityNotice: notice, SignCertificate: sign}
ANSWERS: Mapping[str, DecodeAnswer] = {"SecurityEventNotification": done}


# --- in ---

REQUESTS: Mapping[str, DecodeRequest] = {}
REPLIES: Mapping[str, EncodeAnswer] = {}
