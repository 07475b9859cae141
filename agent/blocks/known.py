"""What is known of a token without asking: the local list first, then the cache of what the CSMS last said (C12, C14).

A token that the list names is never in the cache, so that what the list says of it has no rival, also offline. That
the CSMS itself says otherwise of it is an event, for only the CSMS can mend its list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from agent.blocks.cache import TokenCache
from agent.core.effects import Effect
from agent.core.events import Event
from agent.core.local_list import ListConflicted
from agent.core.record import record, replace
from agent.core.types import Instant, TokenInfo, TokenStatus
from agent.core.variables import Variables
from drivers.api import IdToken


@record
class Known:
    """`final`: a refusal stands, the CSMS need not be asked whether it has changed its mind."""

    info: TokenInfo
    final: bool


class KnownTokens:
    """`listed` says what the local list says of a token, if anything."""

    def __init__(self, variables: Variables, listed: Callable[[IdToken], TokenInfo | None]) -> None:
        self.cache = TokenCache(variables)
        self._vars = variables
        self._listed = listed

    def lookup(self, token: IdToken, now: Instant) -> Known | None:
        info = self._listed(token)
        if info is not None:
            return Known(info, self._vars.flag("LocalAuthListCtrlr.DisablePostAuthorize"))
        info = self.cache.lookup(token, now)
        return None if info is None else Known(info, self._vars.flag("AuthCacheCtrlr.DisablePostAuthorize"))

    def learn(self, token: IdToken, info: TokenInfo, now: Instant) -> Iterator[Event | Effect]:
        listed = self._listed(token)
        if listed is None:
            yield from self.cache.learn(token, info, now)
        elif _is_valid(listed, now) != _is_valid(info, now):
            yield ListConflicted(token, listed)

    def listed(self, tokens: Sequence[IdToken]) -> Iterator[Effect]:
        """The local list has got these."""
        for token in tokens:
            yield from self.cache.drop(token)


def _is_valid(info: TokenInfo, now: Instant) -> bool:
    """Who only charges elsewhere just now is no less valid for that."""
    busy = info.status is TokenStatus.CONCURRENT_TX
    return (replace(info, status=TokenStatus.ACCEPTED) if busy else info).accepted(now.utc)
