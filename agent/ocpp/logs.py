"""GetLog, which the later edition of the older version has taken over word for word from the newer one."""

from __future__ import annotations

from agent.core.effects import LogAnswer
from agent.core.requests import LogRequested, Ref, Request
from agent.ocpp.dialect import Payload, Station
from agent.ocpp.fields import branch, integer, need, one_of, text, time, want, without_empty

KINDS = {"DiagnosticsLog": "Diagnostics", "SecurityLog": "Security"}


def get_log(ref: Ref, asked: Payload) -> Request:
    log = need(asked, "log", branch)
    return LogRequested(
        ref,
        need(asked, "logType", one_of(KINDS)),
        need(log, "remoteLocation", text),
        want(asked, "retries", integer),
        want(asked, "retryInterval", integer),
        need(asked, "requestId", integer),
        want(log, "oldestTimestamp", time),
        want(log, "latestTimestamp", time),
    )


def log_answer(_asked: Payload, answer: LogAnswer, _station: Station) -> Payload:
    return {"status": answer.status} | without_empty(filename=answer.filename[:255])
