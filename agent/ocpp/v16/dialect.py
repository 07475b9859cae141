"""OCPP 1.6-J, put together.

A 1.6 transaction begins when power may flow and ends with the cable or the authorization, so the points where it starts
and stops are not the CSMS's to choose.
"""

from __future__ import annotations

from agent.core.types import Registration
from agent.ocpp import codes
from agent.ocpp.dialect import Dialect, merged
from agent.ocpp.v16 import (
    calls,
    diagnostics,
    firmware,
    local_list,
    requests,
    reservation,
    security,
    transactions,
    trigger,
)

_PROFILES = (diagnostics, local_list, reservation, firmware, security, trigger)

DIALECT = Dialect(
    name="1.6",
    subprotocol="ocpp1.6",
    schemas="v16",
    codes=codes.V16,
    calls=merged([calls.CALLS, *(profile.CALLS for profile in _PROFILES)]),
    answers=merged([calls.ANSWERS, transactions.ANSWERS, *(profile.ANSWERS for profile in _PROFILES)]),
    requests=merged([requests.REQUESTS, *(profile.REQUESTS for profile in _PROFILES)]),
    replies=merged([requests.REPLIES, *(profile.REPLIES for profile in _PROFILES)]),
    transaction=transactions.tell,
    presets={
        "SampledDataCtrlr.TxEndedMeasurands": "",  # StopTxnSampledData: empty
        "SampledDataCtrlr.TxEndedInterval": "60",  # MeterValueSampleInterval is one interval for both
    },
    pins={
        "TxCtrlr.TxStartPoint": "PowerPathClosed",
        "TxCtrlr.TxStopPoint": "EVConnected,Authorized",
        "TxCtrlr.StopTxOnUnlock": "true",
    },
    before_accepted={Registration.REJECTED: "silence"},
    errors={
        "FormatViolation": "FormationViolation",
        "OccurrenceConstraintViolation": "OccurenceConstraintViolation",
        "RpcFrameworkError": "FormationViolation",
        "MessageTypeNotSupported": "FormationViolation",
    },
)
