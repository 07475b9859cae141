"""OCPP 2.0.1, L01 to L03: updates of firmware. Rows for the tables of `dialect`."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import StatusAnswer
from agent.core.requests import Ref, Request, UpdateRequested
from agent.ocpp.dialect import DecodeRequest, EncodeAnswer, Payload, Station
from agent.ocpp.fields import branch, integer, need, same, text, time, want

_ANSWERS = same(("Accepted", "AcceptedCanceled", "Rejected", "InvalidCertificate", "RevokedCertificate"))


def update(ref: Ref, asked: Payload) -> Request:
    firmware = need(asked, "firmware", branch)
    return UpdateRequested(
        ref,
        location=need(firmware, "location", text).strip(),
        retrieve_at=need(firmware, "retrieveDateTime", time),
        install_at=want(firmware, "installDateTime", time),
        retries=want(asked, "retries", integer),
        retry_interval_s=want(asked, "retryInterval", integer),
        request_id=need(asked, "requestId", integer),
        certificate=want(firmware, "signingCertificate", text),
        signature=want(firmware, "signature", text),
    )


def updating(_asked: Payload, answer: StatusAnswer, _station: Station) -> Payload:
    told: Payload = {"status": _ANSWERS.get(answer.status, "Rejected")}
    return told | ({"statusInfo": {"reasonCode": answer.reason[:20]}} if answer.reason else {})


REQUESTS: Mapping[str, DecodeRequest] = {"UpdateFirmware": update}
REPLIES: Mapping[str, EncodeAnswer] = {"UpdateFirmware": updating}
