"""The words of a technician at the charger: what may be ordered on the spot, and what is answered.

Who orders is named by the `by` of the reference, as the operating system vouches for it; why, in his own words. Both
stand in the logbook and in the journal, whatever came of the order.
"""

from __future__ import annotations

from agent.core.effects import Answer, Effect
from agent.core.events import Event
from agent.core.record import record
from agent.core.requests import Ref
from agent.core.types import VariableId
from drivers.api import IdToken

WORDS = {  # what the blocks answer to the CSMS, for people: whether it is done, and how it stands
    "Accepted": (True, "done"),
    "Scheduled": (True, "it will be so when the transaction has ended"),
    "Unlocked": (True, "the connector is unlocked"),
    "UnlockFailed": (False, "the lock did not open; relieve the plug and try again, else use the emergency release"),
    "NotSupported": (False, "this EVSE has no lock that can be opened from here"),
    "OngoingAuthorizedTransaction": (False, "a transaction runs here; end it first: chargepoint stop"),
}


class Order:
    """Anything that a technician may order."""

    __slots__ = ()


@record
class StartHere(Order):
    """`own`: the token is the technician's own from the configuration, which vouches for it: nobody is asked before the
    charge begins, and what the CSMS says of the token then counts as for any other."""

    evse: int
    token: IdToken
    own: bool = False


@record
class StopHere(Order):
    evse: int


@record
class UnlockHere(Order):
    evse: int


@record
class ServiceHere(Order):
    """In or out of service; `evse` None: the whole station."""

    operative: bool
    evse: int | None = None


@record
class WriteHere(Order):
    """`value` None: what was set counts no more."""

    id: VariableId
    value: str | None


@record
class RetryHere(Order):
    """Tell the CSMS once more what was given up."""


@record
class Ordered(Event):
    ref: Ref
    order: Order
    why: str


@record
class Told(Answer):
    """What became of an order, in words. `done` False: it was refused, or has failed."""

    done: bool
    text: str


@record
class Requeue(Effect):
    """Put all dead letters back into the journal; answered when that is on disk."""

    ref: Ref


@record
class LocalStartWanted(Event):
    """Somebody vouches for this token at this EVSE, so nobody need be asked."""

    evse: int
    token: IdToken


@record
class Logged(Event):
    """For the logbook. `kind`: "order" ..."""

    kind: str
    text: str
    evse: int = 0
    by: str = ""
    why: str = ""
