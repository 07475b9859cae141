"""One spelling for a card: the same card gives the same token whatever reader read it, as the configuration says.

Readers differ in byte order, case and separators, and central systems compare text. Recommended: upper case, no
separators, bytes in the order of transmission ("as_read").
"""

from __future__ import annotations

import string
from dataclasses import dataclass

from drivers.api import DriverError

ORDERS = ("as_read", "reversed")
CASES = ("upper", "lower")
SEPARATORS = " :-.,;/_\t"
MAX_TOKEN_LENGTH = 36
_HEX = frozenset(string.hexdigits)


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a UID becomes a token. `order` turns the bytes of a hexadecimal UID round and leaves other text alone."""

    order: str = "as_read"
    case: str = "upper"
    strip_separators: bool = True

    def __post_init__(self) -> None:
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
    text = text.upper() if spelling.case == "upper" else text.lower()
    return text if len(text) <= MAX_TOKEN_LENGTH and text.isascii() and text.isprintable() else ""


_STRIP = str.maketrans("", "", SEPARATORS)
