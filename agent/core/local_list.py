"""The words that only the local authorization list needs."""

from __future__ import annotations

from agent.core.events import Event
from agent.core.record import record
from agent.core.types import TokenInfo
from drivers.api import IdToken

CONFLICT = "local-list-conflict"  # told as the error of a status


@record
class TokensListed(Event):
    """These tokens stand in the local list now; what else is known of them here counts no more."""

    tokens: tuple[IdToken, ...]


@record
class ListConflicted(Event):
    """The CSMS has said of a token whether it is valid, and the local list says otherwise."""

    token: IdToken
    listed: TokenInfo
