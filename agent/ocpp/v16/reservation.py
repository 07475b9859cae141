"""OCPP 1.6-J, section 5.1 and 5.13: the messages of reservations. Rows for the tables of `dialect`.

Nobody is told that a reservation has come to its end by itself: the status of the connector says so.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import Call, ReservationUpdate, StatusAnswer
from agent.core.requests import Ref, Request, ReservationCancelRequested, ReserveRequested
from agent.ocpp.dialect import DecodeAnswer, DecodeRequest, Encode, EncodeAnswer, Payload, Station
from agent.ocpp.fields import integer, need, same, text, time, want
from agent.ocpp.v16.calls import nothing
from drivers.api import IdToken

_RESERVED = same(("Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"))
_CANCELLED = same(("Accepted", "Rejected"))


def reserve_now(ref: Ref, asked: Payload) -> Request:
    parent = (want(asked, "parentIdTag", text) or "").strip()
    return ReserveRequested(
        ref,
        id=need(asked, "reservationId", integer),
        expires=need(asked, "expiryDate", time),
        token=IdToken(need(asked, "idTag", text).strip()),
        evse=need(asked, "connectorId", integer) or None,
        group=IdToken(parent) if parent else None,
    )


def cancel_reservation(ref: Ref, asked: Payload) -> Request:
    return ReservationCancelRequested(ref, need(asked, "reservationId", integer))


def reserved(_asked: Payload, answer: StatusAnswer, _station: Station) -> Payload:
    return {"status": _RESERVED.get(answer.status, "Rejected")}


def cancelled(_asked: Payload, answer: StatusAnswer, _station: Station) -> Payload:
    return {"status": _CANCELLED.get(answer.status, "Rejected")}


CALLS: Mapping[type[Call], Encode] = {ReservationUpdate: nothing}
ANSWERS: Mapping[str, DecodeAnswer] = {}
REQUESTS: Mapping[str, DecodeRequest] = {"ReserveNow": reserve_now, "CancelReservation": cancel_reservation}
REPLIES: Mapping[str, EncodeAnswer] = {"ReserveNow": reserved, "CancelReservation": cancelled}
