"""OCPP 1.6-J, section 5.10 and 5.15: the messages of the local authorization list. Rows for the tables of `dialect`."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import Call, StatusAnswer, VersionAnswer
from agent.core.requests import LocalListRequested, LocalListSent, Ref, Request
from agent.core.types import ListEntry
from agent.ocpp.dialect import DecodeAnswer, DecodeRequest, Encode, EncodeAnswer, Payload, Station
from agent.ocpp.fields import branch, integer, listed, need, one_of, same, text, time, want
from agent.ocpp.v16.calls import token_info
from drivers.api import IdToken

FULL = {"Full": True, "Differential": False}
MOST_ENTRIES = 10_000  # read, that is; how many are taken is not decided here
_STATUSES = same(("Accepted", "Failed", "NotSupported", "VersionMismatch"))


def get_local_list_version(ref: Ref, _asked: Payload) -> Request:
    return LocalListRequested(ref)


def send_local_list(ref: Ref, asked: Payload) -> Request:
    return LocalListSent(
        ref,
        version=need(asked, "listVersion", integer),
        full=need(asked, "updateType", one_of(FULL)),
        entries=want(asked, "localAuthorizationList", listed(_entry, MOST_ENTRIES, fewest=0)) or (),
    )


def _entry(value: object) -> ListEntry:
    """A time that cannot be read is no reason to let somebody in for ever."""
    entry = branch(value)
    want(want(entry, "idTagInfo", branch) or {}, "expiryDate", time)
    return ListEntry(IdToken(need(entry, "idTag", text).strip()), token_info(entry))


def version(_asked: Payload, answer: VersionAnswer, _station: Station) -> Payload:
    return {"listVersion": answer.version}


def taken(_asked: Payload, answer: StatusAnswer, _station: Station) -> Payload:
    return {"status": _STATUSES.get(answer.status, "Failed")}


CALLS: Mapping[type[Call], Encode] = {}
ANSWERS: Mapping[str, DecodeAnswer] = {}
REQUESTS: Mapping[str, DecodeRequest] = {
    "GetLocalListVersion": get_local_list_version,
    "SendLocalList": send_local_list,
}
REPLIES: Mapping[str, EncodeAnswer] = {"GetLocalListVersion": version, "SendLocalList": taken}
