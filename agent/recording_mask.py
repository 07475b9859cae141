"""A flight recording as it may leave the charger: without card numbers and whatever else a bundle hides, and such that
it can still be replayed.

Each card number becomes another of the same length and the same end, the same wherever it occurs in one bundle and
another one in the next: so what compares cards comes to the same conclusions, and what shows the end of one shows the
same. Other texts are redacted as everywhere in a bundle; equal ones stay equal.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

TOKEN = "api.IdToken"  # noqa: S105  the flat form of a card: [TOKEN, number, kind]
SHORTEST = 4  # of a card number that is looked for in other texts
MAX_TOKENS = 20_000
MAX_KNOWN = 50_000
_WORD = re.compile(r"[0-9A-Za-z]{4,64}")


def _keys(table: Any) -> list[Any]:
    """Of a dict, flat or in an image."""
    if not isinstance(table, list) or not table:
        return []
    return table[1::2] if table[0] == "d" else table[2::2] if table[0] == "D" else []


def _entries(parts: list[Any]) -> list[Any]:
    """Of an object of an image that holds what is known of cards, by their numbers."""
    if len(parts) < 3 or parts[2] not in _HOLDERS:
        return []
    named = dict(zip(parts[3::2], parts[4::2], strict=False))
    return _keys(named.get("_entries"))


def _pair(parts: list[Any]) -> list[Any]:
    """[number, kind], as the blocks remember a card."""
    return parts[1:2] if len(parts) == 3 and isinstance(parts[2], str) and parts[2] in _KINDS else []


_HOLDERS = ("blocks.cache.TokenCache", "blocks.local_list.LocalList")
_TABLES = ("auth_cache", "local_list")
_KINDS = frozenset(
    ("Central", "eMAID", "EVCCID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "NoAuthorization", "VIN")
)
_BY_KIND: dict[str, Callable[[list[Any]], list[Any]]] = {  # where a card's number stands, by the kind of a list
    TOKEN: lambda parts: parts[1:2],
    "l": _pair,
    "t": _pair,
    "core.effects.Remember": lambda parts: parts[2:3] if parts[1] in _TABLES else [],
    "core.effects.Forget": lambda parts: parts[2:3] if parts[1] in _TABLES else [],
    "O": _entries,
}
_BY_NAME: dict[str, Callable[[Any], list[Any]]] = {  # and by the name before it
    **dict.fromkeys(_TABLES, _keys),
    "authctrlr.masterpassgroupid": lambda value: [value],
}


class Mask:
    """`redact` makes of any text what may be shown; `key` is random for each bundle."""

    def __init__(self, key: bytes, redact: Callable[[str], str]) -> None:
        self._key, self._redact = key, redact
        self._tokens: set[str] = set()
        self._known: dict[str, str] = {}

    def lines(self, lines: Sequence[str]) -> Iterator[str]:
        for line in lines:
            self._meet(json.loads(line))
        for line in lines:
            yield json.dumps(self._shown(json.loads(line)), separators=(",", ":"), ensure_ascii=False)

    def _meet(self, value: Any) -> None:
        """Note every card number that stands where one can be told from its place."""
        if not isinstance(value, list) or not value:
            return
        for name, inner in pairwise(value):
            if isinstance(name, str) and name.lower() in _BY_NAME:
                self._keep(_BY_NAME[name.lower()](inner))
        kind = value[0]
        if isinstance(kind, str) and kind in _BY_KIND and len(value) > 2:
            self._keep(_BY_KIND[kind](value))
        for part in value:
            self._meet(part)

    def _keep(self, found: Iterable[Any]) -> None:
        for token in found:
            if isinstance(token, str) and token and len(self._tokens) < MAX_TOKENS:
                self._tokens.add(token.lower())

    def _shown(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            if len(value) == 3 and value[0] == TOKEN and isinstance(value[1], str):
                return [TOKEN, self._card(value[1]), value[2]]
            return [self._shown(part) for part in value]
        if isinstance(value, dict):
            return {name: self._shown(part) for name, part in value.items()}
        return value

    def _text(self, text: str) -> str:
        known = self._known.get(text)
        if known is None:
            exact = len(text) >= SHORTEST and text.lower() in self._tokens
            known = self._card(text) if exact else self._redact(_WORD.sub(self._word, text))
            if len(self._known) < MAX_KNOWN:
                self._known[text] = known
        return known

    def _word(self, match: re.Match[str]) -> str:
        return self._card(match[0]) if match[0].lower() in self._tokens else match[0]

    def _card(self, number: str) -> str:
        """The end that `drivers.api.shorten` shows stays."""
        end = 4 if len(number) > 6 else 1
        digest = hmac.new(self._key, number.lower().encode("utf-8", "replace"), "sha256").hexdigest()
        digits = f"{int(digest, 16):077}"  # no letters: a number in other letters has the same mask in other letters
        return digits[-(len(number) - end) :] + number[-end:] if len(number) > end else number


def newest(segments: Iterable[Callable[[], Sequence[str]]], limit: int) -> list[str]:
    """The lines of the newest whole segments (given newest first) that fit into so many characters, oldest first."""
    found: list[Sequence[str]] = []
    for read in segments:
        lines = read()
        size = sum(map(len, lines)) + len(lines)
        if size > limit:
            break
        limit -= size
        found.append(lines)
    return [line for lines in reversed(found) for line in lines]
