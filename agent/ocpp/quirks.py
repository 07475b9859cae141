"""Quirks: what is told otherwise than the specification has it, because some central system wants it so. Pure.

A quirk is a word with a value; which words there are, `agent.config_quirks` reads from files, and `SHAPERS` says here
what those do that change a message: each is a pure function of the value, what is told, and the message as the dialect
made it and the schema allowed it. A shaper gives the payload, or None: this CSMS is not told at all. None of them ever
holds back what a bill depends on. Words without a shaper count elsewhere: `messages_per_s` and `longest_silence_s` in
`conversation`, `lengths` for what comes in, too.

Nothing is in force that was not asked for: without quirks none of this is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agent.core.record import record
from agent.ocpp.dialect import Payload

Value = Any  # of a word; `agent.config_quirks` has checked it
Shape = Callable[[Value, object, str, Payload], Payload | None]  # value, what is told, action, payload

# Messages that may be withheld: no bill depends on them, and who sends them goes on without an answer.
WITHHELD = (
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "LogStatusNotification",
    "SecurityEventNotification",
    "SignedFirmwareStatusNotification",
)
LENGTHS = ("idTag", "info", "techInfo", "vendorErrorCode", "vendorId")  # members whose length may be another
LONGER = {"idTag": ("idTag", "parentIdTag")}  # and which members of messages from the CSMS may then be so long
_TIMES = ("timestamp", "scheduleStart", "startSchedule", "generatedAt")
_FRACTION = re.compile(r"(T\d\d:\d\d:\d\d)\.\d+Z")
_REGISTER = "Energy.Active.Import.Register"
_NUMERAL = re.compile(r"-?\d+(\.\d+)?(e[-+]?\d+)?")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_CARDS = ("ISO14443", "ISO15693")
_CASES: Mapping[str, Callable[[str], str]] = {"upper": str.upper, "lower": str.lower}


@record
class Quirks:
    """What is in force. `variables`: file, name and value of each preset, for `agent.config_variables`."""

    names: tuple[str, ...] = ()  # as a technician is told them, with their versions
    words: tuple[tuple[str, Value], ...] = ()
    lengths: tuple[tuple[str, int], ...] = ()
    variables: tuple[tuple[str, str, str], ...] = ()
    password_form: str | None = None

    def number(self, word: str) -> float:
        """The value of a word without shaper; 0: not in force."""
        return float(dict(self.words).get(word, 0))

    def longest(self) -> dict[str, int]:
        """How long members of messages from the CSMS may be, where that is another length than the schema's."""
        return {member: most for name, most in self.lengths for member in LONGER.get(name, ())}

    def told(self, about: object, action: str, payload: Payload) -> Payload | None:
        """A message of ours as this CSMS wants it; None: it does not want it."""
        shaped: Payload | None = payload
        for word, value in (("lengths", self.lengths), *self.words):
            shape = SHAPERS.get(word)
            if shape is not None and shaped is not None:
                shaped = shape(value, about, action, shaped)
        return shaped

    def answered(self, action: str, payload: Payload) -> Payload:
        """An answer of ours as this CSMS wants it."""
        for word, value in self.words:
            if word in ANSWERS:
                SHAPERS[word](value, None, action, payload)
        return payload


# --- which messages ---


def not_sent(value: Value, _about: object, action: str, payload: Payload) -> Payload | None:
    return None if action in value else payload


def no_connector_0(_value: Value, _about: object, action: str, payload: Payload) -> Payload | None:
    return None if action == "StatusNotification" and payload.get("connectorId") == 0 else payload


# --- tokens ---


def token_case(value: Value, _about: object, _action: str, payload: Payload) -> Payload:
    """Where a CSMS compares tokens letter by letter. What it sends is compared without regard to case in any event."""
    for owner, member in _tokens(payload):
        owner[member] = _CASES[value](owner[member])
    return payload


def hex_tokens(_value: Value, _about: object, _action: str, payload: Payload) -> Payload:
    """Where a card's token has to be hexadecimal: one that is not is told as a token of the station's own."""
    token = payload.get("idToken")
    if isinstance(token, dict) and token["type"] in _CARDS and not _HEX.fullmatch(token["idToken"]):
        payload["idToken"] = token | {"type": "Local"}
    return payload


def _tokens(payload: Payload) -> Iterator[tuple[Payload, str]]:
    """Every token of a message, as the object that holds it and the name of the member."""
    if isinstance(payload.get("idTag"), str) and payload["idTag"] != "NoAuthorization":
        yield payload, "idTag"
    if isinstance(payload.get("idToken"), dict):
        yield payload["idToken"], "idToken"


# --- texts ---


def lengths(value: Value, about: object, _action: str, payload: Payload) -> Payload:
    for member, most in value:
        text = payload.get(member)
        if isinstance(text, str):
            payload[member] = (_whole_token(about, text) if member == "idTag" else text)[:most]
    return payload


def _whole_token(about: Any, told: str) -> str:
    """The token from which `told` was cut."""
    token = getattr(getattr(about, "event", about), "token", None)
    whole = token.value.strip() if token is not None else ""
    return whole if whole.startswith(told) else told


def no_fractions(_value: Value, _about: object, _action: str, payload: Payload) -> Payload:
    _whole_seconds(payload)
    return payload


def _whole_seconds(node: Any) -> None:
    """Nothing that we send nests deeply."""
    if isinstance(node, dict):
        for member, value in node.items():
            if member in _TIMES and isinstance(value, str):
                node[member] = _FRACTION.sub(r"\1Z", value)
            else:
                _whole_seconds(value)
    elif isinstance(node, list):
        for item in node:
            _whole_seconds(item)


def stop_reason(value: Value, _about: object, action: str, payload: Payload) -> Payload:
    """A reason that is absent means Local."""
    if action == "StopTransaction":
        if value == "always":
            payload.setdefault("reason", "Local")
        elif payload.get("reason") == "Local":
            del payload["reason"]
    return payload


# --- meter values ---


def measurands(value: Value, _about: object, action: str, payload: Payload) -> Payload | None:
    return _sifted(action, payload, lambda samples: [s for s in samples if s.get("measurand", _REGISTER) in value])


def no_phases(_value: Value, _about: object, action: str, payload: Payload) -> Payload | None:
    return _sifted(action, payload, lambda samples: [s for s in samples if "phase" not in s])


def values_at_most(value: Value, _about: object, action: str, payload: Payload) -> Payload | None:
    """The register comes first: it is what is billed."""
    return _sifted(
        action,
        payload,
        lambda samples: sorted(samples, key=lambda s: s.get("measurand", _REGISTER) != _REGISTER)[:value],
    )


def whole_values(_value: Value, _about: object, _action: str, payload: Payload) -> Payload:
    for samples in _sampled(payload):
        for sample in samples:
            sample["value"] = _whole(sample["value"])
    return payload


def no_format(_value: Value, _about: object, _action: str, payload: Payload) -> Payload:
    for samples in _sampled(payload):
        for sample in samples:
            if sample.get("format") == "Raw":  # the word that goes without saying
                sample.pop("format")
    return payload


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return str(round(float(value))) if _NUMERAL.fullmatch(value) else value
    return round(value)


def _sampled(payload: Payload) -> Iterator[list[Payload]]:
    for member in ("meterValue", "transactionData"):
        for reading in payload.get(member, ()):
            yield reading["sampledValue"]


def _sifted(action: str, payload: Payload, sift: Callable[[list[Payload]], list[Payload]]) -> Payload | None:
    """Readings of which nothing is left go; a message that has nothing else to tell goes with them."""
    for member in ("meterValue", "transactionData"):
        if member not in payload:
            continue
        sifted = [reading | {"sampledValue": sift(reading["sampledValue"])} for reading in payload[member]]
        payload[member] = [reading for reading in sifted if reading["sampledValue"]]
        if not payload[member]:
            del payload[member]
            if action == "MeterValues":
                return None
    return payload


# In the order in which words are applied: what is left out first, how the rest is written then.
SHAPERS: Mapping[str, Shape] = {
    "not_sent": not_sent,
    "no_connector_0": no_connector_0,
    "lengths": lengths,
    "token_case": token_case,
    "hex_tokens": hex_tokens,
    "measurands": measurands,
    "no_phases": no_phases,
    "values_at_most": values_at_most,
    "whole_values": whole_values,
    "no_format": no_format,
    "no_fractions": no_fractions,
    "stop_reason": stop_reason,
}
ANSWERS = ("no_fractions",)  # the words that answers obey, too
