"""OCPP 2.0.1, block D: the messages of the local authorization list. Rows for the tables of `dialect`."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import StatusAnswer, VersionAnswer
from agent.core.requests import LocalListRequested, LocalListSent, Ref, Request
from agent.core.types import ListEntry
from agent.ocpp.dialect import DecodeRequest, EncodeAnswer, Payload, Station
from agent.ocpp.fields import branch, integer, listed, need, one_of, same, time, want
from agent.ocpp.v201.calls import token_info
from agent.ocpp.v201.requests import because
from agent.ocpp.v201.values import token_in

FULL = {"Full": True, "Differential": False}
MOST_ENTRIES = 10_000  # read, that is; how many are taken is not decided here
_STATUSES = same(("Accepted", "Failed", "VersionMismatch"))


def get_local_list_version(ref: Ref, _asked: Payload) -> Request:
    return LocalListRequested(ref)


def send_local_list(ref: Ref, asked: Payload) -> Request:
    return LocalListSent(
        ref,
        version=need(asked, "versionNumber", integer),
        full=need(asked, "updateType", one_of(FULL)),
        entries=want(asked, "localAuthorizationList", listed(_entry, MOST_ENTRIES, fewest=0)) or (),
    )


def _entry(value: object) -> ListEntry:
    """A token that is valid at certain EVSEs only is not taken for valid here: the CSMS is asked about it. A time that
    cannot be read is no reason to let somebody in for ever."""
    entry = branch(value)
    want(want(entry, "idTokenInfo", branch) or {}, "cacheExpiryDateTime", time)
    return ListEntry(need(entry, "idToken", token_in), token_info(entry, ()))


def version(_asked: Payload, answer: VersionAnswer, _station: Station) -> Payload:
    """There is no word for "not supported" here: a list that is switched off is empty."""
    return {"versionNumber": max(answer.version, 0)}


def taken(_asked: Payload, answer: StatusAnswer, _station: Station) -> Payload:
    return {"status": _STATUSES.get(answer.status, "Failed")} | because(answer)


REQUESTS: Mapping[str, DecodeRequest] = {
    "GetLocalListVersion": get_local_list_version,
    "SendLocalList": send_local_list,
}
REPLIES: Mapping[str, EncodeAnswer] = {"GetLocalListVersion": version, "SendLocalList": taken}
