"""Signed sessions of a meter: what is asked of it (errands), and what came of that (events).

Each errand is answered, in a bounded time, by its event; `why` is empty when it went well.
"""

from __future__ import annotations

from agent.core.effects import Errand
from agent.core.events import Event
from agent.core.record import record
from drivers.api import IdToken, SignedData

# --- errands ------------------------------------------------------------------------------------------------


@record
class ProbeSigner(Errand):
    """Ask for its public key, which it has when it can sign. Answered by `SignerProbed`."""

    evse: int


@record
class BeginSession(Errand):
    """Answered by `SessionBegun`. `utc` None: nobody knows the time."""

    evse: int
    transaction: str
    token: IdToken | None
    utc: float | None


@record
class EndSession(Errand):
    """Answered by `SessionEnded`; may be given again after a restart."""

    evse: int
    transaction: str
    token: IdToken | None
    utc: float | None


# --- their answers ------------------------------------------------------------------------------------------


@record
class SignerProbed(Event):
    evse: int
    public_key: str = ""
    why: str = ""


@record
class SessionBegun(Event):
    """`signed`: what the meter has signed at the beginning, where it does."""

    evse: int
    transaction: str
    signed: SignedData | None = None
    why: str = ""


@record
class SessionEnded(Event):
    evse: int
    transaction: str
    signed: SignedData | None = None
    why: str = ""


# --- between blocks -----------------------------------------------------------------------------------------


@record
class SignatureDue(Event):
    """The transaction has ended but for the meter's signature."""

    evse: int


@record
class SignatureSettled(Event):
    """It has come, or will not come; the transaction may end."""

    evse: int
