"""OCPP 1.6-J: what the CSMS may make us tell, by TriggerMessage (section 5.17) and by ExtendedTriggerMessage (security
whitepaper). The words differ where the rules do: a BootNotification may be asked for again after it was accepted, meter
values are those of MeterValuesSampledData, and the extended message means the messages of the whitepaper.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import Call
from agent.core.requests import Ref, Request, TriggerRequested
from agent.ocpp.dialect import DecodeAnswer, DecodeRequest, Encode, EncodeAnswer, Payload
from agent.ocpp.fields import integer, need, text, want
from agent.ocpp.v16.requests import one_word

_COMMON = {
    "BootNotification": "BootAgain",
    "Heartbeat": "Heartbeat",
    "MeterValues": "SampledValues",
    "StatusNotification": "Status",
}
PLAIN: Mapping[str, str] = _COMMON | {
    "DiagnosticsStatusNotification": "Diagnostics",
    "FirmwareStatusNotification": "Firmware",
}
EXTENDED: Mapping[str, str] = _COMMON | {
    "FirmwareStatusNotification": "SignedFirmware",
    "LogStatusNotification": "Log",
    "SignChargePointCertificate": "SignCertificate",
}


def _decode(words: Mapping[str, str]) -> DecodeRequest:
    def trigger(ref: Ref, asked: Payload) -> Request:
        word = need(asked, "requestedMessage", text)
        return TriggerRequested(ref, words.get(word, ""), want(asked, "connectorId", integer))

    return trigger


_answer = one_word("Accepted Rejected NotImplemented", "Rejected", NotSupported="NotImplemented")

CALLS: Mapping[type[Call], Encode] = {}
ANSWERS: Mapping[str, DecodeAnswer] = {}
REQUESTS: Mapping[str, DecodeRequest] = {"TriggerMessage": _decode(PLAIN), "ExtendedTriggerMessage": _decode(EXTENDED)}
REPLIES: Mapping[str, EncodeAnswer] = {"TriggerMessage": _answer, "ExtendedTriggerMessage": _answer}
