"""Nothing secret leaves in a bundle: frames, settings and log lines without passwords, keys, logins and card numbers.

What is JSON is taken apart and judged by the names of its members, also where a name stands beside its value (a
configuration key, a variable), or within a text (vendors' data). What is no JSON, or was cut, is judged by patterns;
in a cut frame every value goes, since the name that belongs to it may be among what was cut. At last, every secret and
every card number that was met anywhere is taken out of everything.

It is done line by line, since a pattern holds the interpreter for as long as it searches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from agent.log import last4, redact

MASK = "***"
_SECRET = ("password", "passwd", "passphrase", "secret", "authorizationkey", "privatekey", "apikey", "credential")
_SECRET_WHOLE = frozenset(("pin", "psk", "authorization", "accesskey", "signedmeterdata"))
_TOKEN = frozenset(
    (
        *(
            "idtag",
            "parentidtag",
            "idtoken",
            "groupidtoken",
            "groupid",
            "token",
            "card",
            "uid",
            "tag",
            "techniciantoken",
        ),
        *("masterpassgroupid", "authctrlrmasterpassgroupid", "parentid"),
    )
)
_VALUES = ("value", "attributeValue", "data", "idTag", "parentIdTag", "idToken", "password")
_CUT = re.compile(rf'("(?:{"|".join(_VALUES)})"\s*:\s*)"(?:[^"\\]|\\.)*(?:"|\\?$)')
_BEGIN, _END = "PRIVATE KEY-----", "-----END "
_PRIVATE = re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|$)")
_QUERY = re.compile(r"(\w://[^\s\"'?<>]*)\?[^\s\"'<>]+")
_OPEN = re.compile(r"://[^\s\"']*$")  # an address that was cut, perhaps within its login
_LOGIN = re.compile(r"(?<=://)[^/\s\"']*@")
_ASSIGNED = re.compile(  # also within a text within a text, where quotes are escaped
    r"(?i)((?:password|passwd|passphrase|secret|private_?key|api_?key|authorizationkey)[\w.-]{0,40}[\\\"']{0,4}\s?[=:]\s?)"
    r"(?:\\+\"[^\"]*\"?|\"[^\"]*\"?|'[^']*'?|[^\s,;]+)"
)
_CARD = re.compile(r"(?i)((?:idtag|idtoken)[\\\"']{1,4}\s?:\s?[\\\"']{1,4})([^\"'\\]*)")
_WORD = re.compile(r"[0-9A-Za-z]{8,64}")
_BARE = re.compile(  # most values: no pattern here or in the log's finds anything in them
    r"[0-9A-Za-z.+%_-]{0,24}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z"
)
SHORTEST_SECRET, SHORTEST_TOKEN = 6, 8  # shorter ones would take out half of every line
MAX_SECRETS, MAX_TOKENS = 100, 5000
LONGEST_LINE = 8192
_DEPTH = 12


class Redactor:
    """One bundle's: it remembers what it has met, for `finish`. `secrets` are known from the beginning."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
        self._tokens: set[str] = set()

    def frame(self, text: str) -> str:
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            return self.text(_CUT.sub(rf'\1"{MASK}"', self._line(_OPEN.sub(f"://{MASK}", text))))
        return json.dumps(self.value(parsed), separators=(",", ":"), ensure_ascii=False)

    def text(self, text: str) -> str:
        """Lines of a log, or any other text."""
        if _BARE.fullmatch(text):
            return text
        lines, within_key = [], False
        for line in text.split("\n"):
            if within_key:
                within_key = _END not in line
                continue
            within_key = _BEGIN in line and "-----BEGIN " in line and _END not in line
            if len(line) > LONGEST_LINE:
                line = _OPEN.sub(f"://{MASK}", line[:LONGEST_LINE])
            lines.append(self._line(line))
        return "\n".join(lines)

    def _line(self, line: str) -> str:
        line = _PRIVATE.sub("*** private key ***", line)
        if "://" in line:
            line = _QUERY.sub(rf"\1?{MASK}", _LOGIN.sub(f"{MASK}@", line))
        return redact(_ASSIGNED.sub(rf"\1{MASK}", _CARD.sub(self._card, line)))

    def _card(self, match: re.Match[str]) -> str:
        self._meet_token(match[2])
        return match[1] + (match[2] if match[2].startswith("*") else last4(match[2]))

    def value(self, value: Any, depth: int = 0) -> Any:
        """JSON types, TOML types and tuples; everything else is shown as text."""
        if depth > _DEPTH:
            return MASK
        if isinstance(value, dict):
            return self._members(value, depth)
        if isinstance(value, list | tuple):
            return [self.value(item, depth + 1) for item in value]
        if isinstance(value, str):
            return self._string(value, depth)
        return value if value is None or isinstance(value, bool | int | float) else self.text(str(value))

    def _members(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        beside = _named(value)
        return {str(name): self._member(str(name), item, beside, depth) for name, item in value.items()}

    def _member(self, name: str, item: Any, beside: str, depth: int) -> Any:
        plain = _plain(name)
        if plain in ("value", "attributevalue", "variableattribute") and beside:
            plain = beside
        if plain.endswith("file"):  # where a secret stands is none
            return self.value(item, depth + 1)
        if _is_secret(plain):
            return self._mask(item)
        if plain in _TOKEN and isinstance(item, str):
            self._meet_token(item)
            return last4(item)
        return self.value(item, depth + 1)

    def _mask(self, item: Any) -> str | None:
        if isinstance(item, str) and len(item) >= SHORTEST_SECRET and len(self._secrets) < MAX_SECRETS:
            self._secrets.add(item)
        return None if item is None else MASK

    def _string(self, value: str, depth: int) -> str:
        if value[:1] in ("{", "["):
            try:
                return json.dumps(self.value(json.loads(value), depth + 1), separators=(",", ":"), ensure_ascii=False)
            except (ValueError, RecursionError):
                pass
        return self.text(value)

    def _meet_token(self, item: str) -> None:
        if len(item) >= SHORTEST_TOKEN and not item.startswith("*") and len(self._tokens) < MAX_TOKENS:
            self._tokens.add(item.lower())

    def finish(self, text: str) -> str:
        """The last look at a part of the bundle, when all parts are there."""
        for secret in sorted(self._secrets, key=lambda secret: (-len(secret), secret)):
            text = text.replace(secret, MASK)
        odd = sorted(token for token in self._tokens if not _WORD.fullmatch(token))[:MAX_SECRETS]
        return "\n".join(self._without_cards(line, odd) for line in text.split("\n"))

    def _without_cards(self, line: str, odd: list[str]) -> str:
        for token in odd:
            line = line.replace(token, last4(token))
        return _WORD.sub(lambda match: last4(match[0]) if match[0].lower() in self._tokens else match[0], line)


@lru_cache(512)
def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


@lru_cache(512)
def _is_secret(plain: str) -> bool:
    return plain in _SECRET_WHOLE or any(word in plain for word in _SECRET)


def _named(value: dict[Any, Any]) -> str:
    """The name of a secret or a card whose value stands beside it: of a key, or of a variable."""
    variable = value.get("variable")
    names = [value.get("key"), value.get("name"), variable.get("name") if isinstance(variable, dict) else variable]
    plain = [_plain(name) for name in names if isinstance(name, str)]
    return next((name for name in plain if _is_secret(name) or name in _TOKEN), "")
