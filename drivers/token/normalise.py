"""One spelling for a card: the same card gives the same token whatever reader read it, as the configuration says.

Readers differ in byte order, case, separators and length, and central systems compare text. Recommended: upper case,
no separators, bytes in the order of transmission ("as_read"). The steps come in the order of `Spelling`'s fields.

A card of four bytes that begins with 08 has drawn its UID by lot (privacy cards, telephones) and has another one the
next time: it is nobody's identity. Only a reader that knows the bytes of a UID can tell, so these call `uid_text`.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

from drivers.api import DriverError

ORDERS = ("as_read", "reversed")
CASES = ("upper", "lower")
SEPARATORS = " :-.,;/_\t"
MAX_TOKEN_LENGTH = 36
UID_BYTES = (4, 7, 10)
RANDOM_UID = 0x08
_HEX = frozenset(string.hexdigits)


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a UID becomes a token. `order` turns the bytes of a hexadecimal UID round and leaves other text alone."""

    order: str = "as_read"
    case: str = "upper"
    strip_separators: bool = True
    strip_zeros: bool = False  # at the front, after the bytes were turned round
    length: int = 0  # of the token, filled up with zeros at the front; a longer card is none. 0: as it is

    def __post_init__(self) -> None:
        if not 0 <= self.length <= MAX_TOKEN_LENGTH:
            raise DriverError(f"card reader: length is {self.length}; use 1 to {MAX_TOKEN_LENGTH}, or 0 for any")
        for key, value, known in (("order", self.order, ORDERS), ("case", self.case, CASES)):
            if value not in known:
                raise DriverError(f"card reader: {key} is {value!r}; use one of {', '.join(known)}")


def normalise(text: str, spelling: Spelling) -> str:
    """The token of a card's text; empty when nothing usable is left (too long, not printable ASCII)."""
    if spelling.strip_separators:
        text = text.translate(_STRIP)
    text = text.strip()
    if spelling.order == "reversed" and len(text) % 2 == 0 and _HEX.issuperset(text):
        text = "".join(text[i : i + 2] for i in range(len(text) - 2, -1, -2))
    if spelling.strip_zeros:
        text = text.lstrip("0") or text[-1:]
    if spelling.length and text:
        text = text.rjust(spelling.length, "0") if len(text) <= spelling.length else ""
    text = text.upper() if spelling.case == "upper" else text.lower()
    return text if len(text) <= MAX_TOKEN_LENGTH and text.isascii() and text.isprintable() else ""


def uid_text(uid: bytes) -> str:
    """The hexadecimal text of an ISO 14443 UID; empty for one that is drawn by lot, or has no possible length."""
    if len(uid) not in UID_BYTES or (len(uid) == 4 and uid[0] == RANDOM_UID):
        return ""
    return uid.hex()


_STRIP = str.maketrans("", "", SEPARATORS)
