"""OCMF (Open Charge Metering Format), as far as a driver needs it: `OCMF|{payload}|{signature}`, one printable line.

A driver hands on what the meter has signed, letter by letter; it only looks whether the text is whole and whose it is.
Whoever bills verifies the signature, with the public key that was told apart from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drivers.api import IdToken, SignedData, SignedSession

MAX_CHARS = 4062  # the longest file of any meter here
LONGEST_ID = 39  # characters of an identification, and of a place
USUAL_METHOD = "ECDSA-secp256r1-SHA256"  # what a signature without a method is, by OCMF
BETWEEN = "<=>"  # stands before our transaction's name in a tariff text
_KINDS: Mapping[str, str] = {
    "Central": "CENTRAL",
    "eMAID": "EMAID",
    "ISO14443": "ISO14443",
    "ISO15693": "ISO15693",
    "KeyCode": "KEY_CODE",
    "Local": "LOCAL",
    "MacAddress": "UNDEFINED",
    "NoAuthorization": "NONE",
}


@dataclass(frozen=True, slots=True)
class Record:
    """The parts of one text."""

    text: str
    payload: Mapping[str, Any]
    method: str

    def signed(self, public_key: str) -> SignedData:
        return SignedData(self.text, "OCMF", self.method, public_key)

    def names(self, session: SignedSession) -> bool:
        """Whether the identification and the place are those of this session."""
        return (self.payload.get("ID"), self.payload.get("CI")) == (identification(session.token), place(session))

    @property
    def transaction(self) -> str | None:
        """As a meter with a tariff text repeats it; None: it has none."""
        _, found, name = str(self.payload.get("TT", "")).rpartition(BETWEEN)
        return name.strip() if found else None

    @property
    def ends(self) -> bool:
        """A reading says that the transaction has ended, in whatever way: B and C stand for its course."""
        readings = self.payload.get("RD")
        last = readings[-1] if isinstance(readings, list) and readings else None
        return isinstance(last, dict) and str(last.get("TX", "")) not in ("", "B", "C")


def parse(text: str) -> Record:
    """ValueError of a few words when that is no whole OCMF."""
    if len(text) > MAX_CHARS or not text.isascii() or not text.isprintable():
        raise ValueError("is no text of OCMF")
    parts = text.split("|")
    if len(parts) != 3 or parts[0] != "OCMF":
        raise ValueError("is not of three parts, the first of them OCMF")
    try:
        payload, signature = json.loads(parts[1]), json.loads(parts[2])
    except (ValueError, RecursionError):
        raise ValueError("is cut short or garbled") from None
    if not isinstance(payload, dict) or not isinstance(signature, dict) or not isinstance(signature.get("SD"), str):
        raise ValueError("holds no signature")
    return Record(text, payload, str(signature.get("SA", USUAL_METHOD))[:50])


def identification(token: IdToken | None) -> str:
    return plain(token.value)[:LONGEST_ID] if token is not None else ""


def place(session: SignedSession) -> str:
    return plain(session.place)[:LONGEST_ID]


def kind(token: IdToken | None) -> str:
    """OCMF's word for the kind of identification."""
    return _KINDS.get(token.kind, "UNDEFINED") if token is not None else "NONE"


def plain(text: str) -> str:
    """What every meter can hold and no separator of OCMF stands in."""
    return "".join(c if c.isascii() and c.isprintable() and c not in '|"\\' else "?" for c in text)


def text_of(words: Sequence[int]) -> str:
    """Two characters a register, up to the first NUL."""
    return b"".join(word.to_bytes(2, "big") for word in words).partition(b"\0")[0].decode("latin-1")


def words_of(data: bytes) -> list[int]:
    data += b"\0" * (len(data) % 2)
    return [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]
