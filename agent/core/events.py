"""All that can happen to a station. Events are past tense; blocks hear them by type (`Block.HEARS`).

Four sources: the hardware (`edge.hardware`), the CSMS (its answers here, its requests in `core.requests`), the runtime
(time, link, start), and the blocks themselves, which tell one another what they concluded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.core.effects import Authorize, Call
from agent.core.record import record
from agent.core.types import (
    Reading,
    Registration,
    StopReason,
    TokenInfo,
    TransactionEvent,
    Trigger,
    VariableId,
)
from drivers.api import EvseReading, IdToken, Pilot, Sample, StopButton


class Event:
    """Anything that a block may hear."""

    __slots__ = ()


# --- the runtime --------------------------------------------------------------------------------------------


@record
class Restored(Event):
    """First event of a process: what the store remembers. `tables[table][key]` as the blocks had it remembered;
    `open_transactions` as `OpenTransaction`; `power_lost`: the board was without power since the last run."""

    tables: Mapping[str, Mapping[str, Any]]
    open_transactions: tuple[OpenTransaction, ...] = ()
    power_lost: bool = False


@record
class OpenTransaction:
    """A transaction without an Ended event in the store: its last journal facts, and the block's own snapshot."""

    transaction: str
    next_seq: int
    snapshot: Mapping[str, Any]  # as in Remember("open", transaction, ...)
    csms_id: str | None = None
    energy_wh: int | None = None  # the highest meter register of any of its events, delivered or not


@record
class Tick(Event):
    """A deadline has come."""


@record
class LinkUp(Event):
    """A connection to the CSMS stands. `fresh`: the first one since this process began."""

    fresh: bool = True


@record
class LinkDown(Event):
    why: str = ""


@record
class QueueEmptied(Event):
    """Every transaction event has been answered by the CSMS."""


@record
class QueueFilled(Event):
    """A transaction event waits for the CSMS, and none did before."""


@record
class StorageFailed(Event):
    why: str


@record
class SamplesThinned(Event):
    """The store is at its bound: middle samples were dropped."""

    count: int


@record
class StorageRecovered(Event):
    pass


# --- the hardware -------------------------------------------------------------------------------------------


@record
class EvseRead(Event):
    """A controller was read and something differs from the time before (or it is the first time)."""

    evse: int
    reading: EvseReading


@record
class MeterRead(Event):
    """A meter was read just now."""

    evse: int
    samples: tuple[Sample, ...]


@record
class DeviceLost(Event):
    """A device has been silent for longer than it may. `device`: "controller", "meter" or "reader"."""

    evse: int
    device: str
    why: str


@record
class DeviceFound(Event):
    evse: int
    device: str


@record
class TokenPresented(Event):
    """A card at the reader that serves these EVSEs."""

    evses: tuple[int, ...]
    token: IdToken


@record
class UnlockDone(Event):
    """The lock motor has answered our `Unlock`."""

    evse: int
    opened: bool


# --- conclusions of the blocks ------------------------------------------------------------------------------


@record
class PilotChanged(Event):
    """`before` is None at the first reading of this process."""

    evse: int
    before: Pilot | None
    after: Pilot


@record
class Plugged(Event):
    """An EV is connected at both ends."""

    evse: int


@record
class Unplugged(Event):
    """The EV has gone; `cable_left`: its cable still sits in our socket."""

    evse: int
    cable_left: bool = False


@record
class FaultRaised(Event):
    evse: int
    fault: str  # an id of the fault catalogue, agent.core.faults
    info: str = ""


@record
class FaultCleared(Event):
    evse: int
    fault: str  # an id of the fault catalogue, agent.core.faults


@record
class OfferChanged(Event):
    """Another current is on offer; what follows from that (charging state, status) is to be looked at again."""

    evse: int


@record
class MeterNamed(Event):
    """A meter that is heard for the first time, or again, tells its number; its next reading follows."""

    evse: int
    number: str


@record
class MeterReplaced(Event):
    """Another meter counts from now on; `evse.meter` is still the last reading of the old one. Without `why` it is the
    same one, of which a single reading was wrong that had been believed."""

    evse: int
    why: str = ""
    number: str = ""  # the new one's, where it told


@record
class SampleTaken(Event):
    """It is time to tell a reading of the running transaction. `trigger` says whose time."""

    evse: int
    reading: Reading
    trigger: Trigger


@record
class StatusWanted(Event):
    """The CSMS asks for the status of one EVSE, or of all (None)."""

    evse: int | None = None


@record
class ResetDue(Event):
    """A reset has been accepted: every transaction is to end for this reason."""

    reason: StopReason


@record
class StopPressed(Event):
    evse: int
    button: StopButton


@record
class RemoteStartWanted(Event):
    """A remote start was accepted for one of these EVSEs; whether its token must be asked about is yet to be seen."""

    evses: tuple[int, ...]
    token: IdToken
    remote_start_id: int | None = None
    group: IdToken | None = None


@record
class Granted(Event):
    """An EVSE may give energy to the bearer of this token."""

    evse: int
    token: IdToken
    info: TokenInfo
    trigger: Trigger
    remote_start_id: int | None = None
    reservation_id: int | None = None


@record
class Denied(Event):
    """A token was refused."""

    evses: tuple[int, ...]
    token: IdToken
    why: str


@record
class StopWanted(Event):
    """The authorization of an EVSE ends, and its transaction with it. `token`: the card that stopped it, if one did."""

    evse: int
    reason: StopReason
    trigger: Trigger
    token: IdToken | None = None


@record
class GrantLapsed(Event):
    """Nobody plugged in within the time (EVConnectionTimeOut / ConnectionTimeOut)."""

    evse: int
    token: IdToken


@record
class TransactionBegan(Event):
    evse: int
    transaction: str


@record
class TransactionResumed(Event):
    """A transaction from before the restart goes on."""

    evse: int
    transaction: str


@record
class TransactionEnded(Event):
    """`ended` is the last row of its journal, `token` of whom it was."""

    evse: int
    transaction: str
    ended: TransactionEvent | None = None
    token: IdToken | None = None
    csms_id: str | None = None


@record
class VariableChanged(Event):
    """A variable has a new actual value. `by`: who has set it here; "": the CSMS; None: what was set counts no more."""

    id: VariableId
    by: str | None = ""


@record
class SecurityEvent(Event):
    """Something that the list of security events names has happened. Any block may yield it, and the edge may feed it;
    the security block tells the CSMS and writes the security log. No secret and no whole card number in `info`."""

    kind: str
    info: str = ""


@record
class Registered(Event):
    """The CSMS answered our BootNotification; `status` as it is now."""

    status: Registration


# --- answers of the CSMS to our calls -----------------------------------------------------------------------


@record
class BootAnswered(Event):
    status: Registration
    interval_s: float
    utc: float | None = None


@record
class HeartbeatAnswered(Event):
    utc: float | None = None


@record
class TokenAnswered(Event):
    call: Authorize
    info: TokenInfo


@record
class TransactionAnswered(Event):
    """The CSMS has taken a transaction event; the journal row is gone by the same commit. `info` only when told;
    `csms_id`: the CSMS's own name for the transaction, where it gives one."""

    event: TransactionEvent
    info: TokenInfo | None = None
    csms_id: str | None = None


@record
class CallDone(Event):
    """Any other call was answered, or this version, or this CSMS, has no use for it: then it was not `said`."""

    call: Call
    said: bool = True


@record
class CallFailed(Event):
    """A call was not answered with a result. `why`: "offline", "timeout", "dropped" or the CSMS's error."""

    call: Call
    why: str


# --- orders from the charger's own command line -------------------------------------------------------------


@record
class Stopping(Event):
    """The process is about to end in an orderly way; power is withheld, transactions stay open for the next run."""

    why: str = ""
