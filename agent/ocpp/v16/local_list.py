"""OCPP 1.6-J: the messages of this feature profile, both ways. Rows for the tables of `dialect`."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.effects import Call
from agent.ocpp.dialect import DecodeAnswer, DecodeRequest, Encode, EncodeAnswer

CALLS: Mapping[type[Call], Encode] = {}
ANSWERS: Mapping[str, DecodeAnswer] = {}
REQUESTS: Mapping[str, DecodeRequest] = {}
REPLIES: Mapping[str, EncodeAnswer] = {}
