"""The words that only the local authorization list needs."""

from __future__ import annotations

from agent.core.events import Event
from agent.core.record import record
from drivers.api import IdToken


@record
class TokensListed(Event):
    """These tokens stand in the local list now; what else is known of them here counts no more."""

    tokens: tuple[IdToken, ...]
