"""OCPP 2.0.1, block N: logs by GetLog. Rows for the tables of `dialect`; the status of an upload is in `calls`."""

from __future__ import annotations

from collections.abc import Mapping

from agent.ocpp.dialect import DecodeRequest, EncodeAnswer
from agent.ocpp.logs import get_log, log_answer

REQUESTS: Mapping[str, DecodeRequest] = {"GetLog": get_log}
REPLIES: Mapping[str, EncodeAnswer] = {"GetLog": log_answer}
