"""OCPP 1.6-J, put together.

A 1.6 transaction begins when power may flow and ends with the cable or the authorization, so the points where it starts
and stops are not the CSMS's to choose.
"""

from __future__ import annotations

from agent.core.types import Registration
from agent.ocpp import codes
from agent.ocpp.dialect import Dialect
from agent.ocpp.v16 import calls, requests, transactions

DIALECT = Dialect(
    name="1.6",
    subprotocol="ocpp1.6",
    schemas="v16",
    codes=codes.V16,
    calls=calls.CALLS,
    answers={**calls.ANSWERS, **transactions.ANSWERS},
    requests=requests.REQUESTS,
    replies=requests.REPLIES,
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
