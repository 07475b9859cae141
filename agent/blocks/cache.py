"""The authorization cache (C10 to C12): what the CSMS last said of each token, kept over restarts, bounded.

When it is full, one that is not valid makes room, else the one used longest ago. An entry older than
AuthCacheCtrlr.LifeTime counts as unknown.
Every answer about a token is learnt, refusals too, so that a card withdrawn online stays withdrawn offline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.blocks.kept import Kept, maybe, number, token
from agent.core.effects import Effect, Forget, Remember
from agent.core.types import Instant, TokenInfo, TokenStatus
from agent.core.variables import Variables
from drivers.api import IdToken

MAX_ENTRIES = 1000
TOUCH_S = 86400.0  # an unchanged answer is written anew once a day at most, to spare the flash


@dataclass(slots=True)
class _Entry:
    info: TokenInfo
    learnt_utc: float


class TokenCache:
    TABLE = "auth_cache"

    def __init__(self, variables: Variables) -> None:
        self._vars = variables
        self._entries: dict[str, _Entry] = {}  # the last used stands last

    def load(self, kept: Kept) -> None:
        entries = kept.rows(_decode)
        self._entries = dict(sorted(entries.items(), key=lambda item: item[1].learnt_utc)[-MAX_ENTRIES:])

    def lookup(self, token: IdToken, now: Instant) -> TokenInfo | None:
        key = token.value.lower()
        if not self._vars.flag("AuthCacheCtrlr.Enabled") or key not in self._entries:
            return None
        entry = self._entries.pop(key)
        self._entries[key] = entry
        life_s = self._vars.number("AuthCacheCtrlr.LifeTime")
        return None if life_s and now.utc - entry.learnt_utc > life_s else entry.info

    def learn(self, token: IdToken, info: TokenInfo, now: Instant) -> Iterator[Effect]:
        if not self._vars.flag("AuthCacheCtrlr.Enabled") or info.status is TokenStatus.CONCURRENT_TX:
            return
        key = token.value.lower()
        old = self._entries.pop(key, None)
        fresh = old is not None and old.info == info and 0 <= now.utc - old.learnt_utc < TOUCH_S
        entry = old if old is not None and fresh else _Entry(info, now.utc)
        self._entries[key] = entry
        if not fresh:
            yield Remember(self.TABLE, key, _encode(entry))
        if len(self._entries) > MAX_ENTRIES:
            others = [(k, e) for k, e in self._entries.items() if k != key]
            leaving = next((k for k, e in others if not e.info.accepted(now.utc)), others[0][0])
            del self._entries[leaving]
            yield Forget(self.TABLE, leaving)

    def drop(self, token: IdToken) -> Iterator[Effect]:
        """Somebody else knows this token better."""
        if self._entries.pop(token.value.lower(), None) is not None:
            yield Forget(self.TABLE, token.value.lower())

    def clear(self) -> None:
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


def _encode(entry: _Entry) -> dict[str, Any]:
    info = entry.info
    group = [info.group.value, info.group.kind] if info.group else None
    return {"status": str(info.status), "group": group, "expires": info.expires, "learnt": entry.learnt_utc}


def _decode(_key: str, value: Mapping[str, Any]) -> _Entry:
    group, expires = maybe(token, value["group"]), maybe(number, value["expires"])
    return _Entry(TokenInfo(TokenStatus(value["status"]), group, expires), number(value["learnt"]))
