"""OCPP 2.0.1, put together. The core speaks its words, so nothing has to be preset or pinned."""

from __future__ import annotations

from agent.core.types import Registration
from agent.ocpp import codes
from agent.ocpp.dialect import Dialect, merged
from agent.ocpp.v201 import (
    calls,
    diagnostics,
    events,
    firmware,
    local_list,
    requests,
    reservation,
    security,
    transactions,
)

_BLOCKS = (requests, diagnostics, firmware, local_list, reservation, security)

DIALECT = Dialect(
    name="2.0.1",
    subprotocol="ocpp2.0.1",
    schemas="v201",
    codes=codes.V201,
    calls={**calls.CALLS, **events.CALLS},
    answers={**calls.ANSWERS, **transactions.ANSWERS, **security.ANSWERS, **events.ANSWERS},
    requests=merged(block.REQUESTS for block in _BLOCKS),
    replies=merged(block.REPLIES for block in _BLOCKS),
    transaction=transactions.tell,
    before_accepted={Registration.NONE: "security", Registration.REJECTED: "security"},
    errors={"FormationViolation": "FormatViolation", "OccurenceConstraintViolation": "OccurrenceConstraintViolation"},
)
