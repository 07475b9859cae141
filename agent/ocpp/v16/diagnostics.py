"""OCPP 1.6-J: logs, by GetDiagnostics (section 5.9) and by GetLog (security whitepaper), and how their upload stands.

GetDiagnostics has no request id, so its status is told without one, by DiagnosticsStatusNotification. That a log was
replaced by another one is not told by LogStatusNotification, which has no word for it: the answer to GetLog said it.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import Call, LogAnswer, LogStatus
from agent.core.requests import LogRequested, Ref, Request
from agent.ocpp.dialect import DecodeAnswer, DecodeRequest, Encode, EncodeAnswer, Message, Payload, Station
from agent.ocpp.fields import integer, need, text, time, want, without_empty
from agent.ocpp.logs import get_log, log_answer
from agent.ocpp.v16.calls import done

STATUS: Mapping[str, str] = {
    "Idle": "Idle",
    "Uploading": "Uploading",
    "Uploaded": "Uploaded",
    "UploadFailure": "UploadFailed",
    "BadMessage": "UploadFailed",
    "NotSupportedOperation": "UploadFailed",
    "PermissionDenied": "UploadFailed",
    "AcceptedCanceled": "UploadFailed",
}
LOG_STATUS = tuple(word for word in STATUS if word != "AcceptedCanceled")


# --- out ---


def status(call: LogStatus, _station: Station) -> Message | None:
    if not call.log:
        return "DiagnosticsStatusNotification", {"status": STATUS.get(call.status, "Idle")}
    if call.status not in LOG_STATUS:
        return None
    return "LogStatusNotification", {"status": call.status} | without_empty(requestId=call.request_id)


CALLS: Mapping[type[Call], Encode] = {LogStatus: status}
ANSWERS: Mapping[str, DecodeAnswer] = {"DiagnosticsStatusNotification": done, "LogStatusNotification": done}


# --- in ---


def get_diagnostics(ref: Ref, asked: Payload) -> Request:
    return LogRequested(
        ref,
        "Diagnostics",
        need(asked, "location", text),
        want(asked, "retries", integer),
        want(asked, "retryInterval", integer),
        None,
        want(asked, "startTime", time),
        want(asked, "stopTime", time),
    )


def diagnostics_answer(_asked: Payload, answer: LogAnswer, _station: Station) -> Payload:
    """An answer without a name: there is nothing to upload."""
    return without_empty(fileName=answer.filename[:255])


REQUESTS: Mapping[str, DecodeRequest] = {"GetDiagnostics": get_diagnostics, "GetLog": get_log}
REPLIES: Mapping[str, EncodeAnswer] = {"GetDiagnostics": diagnostics_answer, "GetLog": log_answer}
