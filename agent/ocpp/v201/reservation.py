"""OCPP 2.0.1, block H: the messages of reservations. Rows for the tables of `dialect`."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import StatusAnswer
from agent.core.requests import Ref, Request, ReservationCancelRequested, ReserveRequested
from agent.ocpp.dialect import DecodeRequest, EncodeAnswer, Payload, Station
from agent.ocpp.fields import integer, need, same, text, time, want
from agent.ocpp.v201.requests import because
from agent.ocpp.v201.values import token_in

_RESERVED = same(("Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"))
_CANCELLED = same(("Accepted", "Rejected"))


def reserve_now(ref: Ref, asked: Payload) -> Request:
    return ReserveRequested(
        ref,
        id=need(asked, "id", integer),
        expires=need(asked, "expiryDateTime", time),
        token=need(asked, "idToken", token_in),
        evse=want(asked, "evseId", integer),
        group=want(asked, "groupIdToken", token_in),
        connector_type=want(asked, "connectorType", text),
    )


def cancel_reservation(ref: Ref, asked: Payload) -> Request:
    return ReservationCancelRequested(ref, need(asked, "reservationId", integer))


def reserved(_asked: Payload, answer: StatusAnswer, _station: Station) -> Payload:
    return {"status": _RESERVED.get(answer.status, "Rejected")} | because(answer)


def cancelled(_asked: Payload, answer: StatusAnswer, _station: Station) -> Payload:
    return {"status": _CANCELLED.get(answer.status, "Rejected")}


REQUESTS: Mapping[str, DecodeRequest] = {"ReserveNow": reserve_now, "CancelReservation": cancel_reservation}
REPLIES: Mapping[str, EncodeAnswer] = {"ReserveNow": reserved, "CancelReservation": cancelled}
