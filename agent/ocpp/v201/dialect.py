"""OCPP 2.0.1, put together. The core speaks its words, so nothing has to be preset or pinned."""

from __future__ import annotations

from agent.core.types import Registration
from agent.ocpp import codes
from agent.ocpp.dialect import Dialect
from agent.ocpp.v201 import calls, requests, transactions

DIALECT = Dialect(
    name="2.0.1",
    subprotocol="ocpp2.0.1",
    schemas="v201",
    codes=codes.V201,
    calls=calls.CALLS,
    answers={**calls.ANSWERS, **transactions.ANSWERS},
    requests=requests.REQUESTS,
    replies=requests.REPLIES,
    transaction=transactions.tell,
    before_accepted={Registration.NONE: "security", Registration.REJECTED: "security"},
    errors={"FormationViolation": "FormatViolation", "OccurenceConstraintViolation": "OccurrenceConstraintViolation"},
)
