"""What goes to the CSMS next. Pure: facts and `now` in, the next message out; one message is open at a time.

Rules kept here
* The registration gate (B01 to B03): nothing but BootNotification before Accepted; while Pending also what the CSMS
  itself has triggered.
* Transaction events go in the journal's order, and the head leaves only on its own answer. A retry is the same message
  with the same id. Between two of them another message gets its turn, so that a long backlog silences nobody; what
  comes up in one step starts with the transaction event, so that no charge ends after its connector was told free.
* Only the newest status of each EVSE is told, and only when this version's words for it differ from the last.
* A CALLERROR to a transaction event counts as an attempt; after MessageAttempts the event becomes a dead letter. A
  time-out counts only when the CSMS answers something else meanwhile (a heartbeat is sent to see): a silent CSMS is a
  broken link, and no reason to give up a bill.
* Everything waiting is bounded; what finds no room, and what makes no sense offline, is told to the blocks as failed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from agent.core.effects import Ask, Authorize, Boot, Call, Heartbeat, SecurityNotice, Status
from agent.core.record import record
from agent.core.types import Registration, TransactionEvent
from agent.ocpp.dialect import Dialect, Message, Station

MAX_OTHERS = 300
MAX_QUESTIONS = 16
MAX_SILENCES = 2  # calls in a row without an answer: the link is taken for dead


class Waiting(Protocol):
    """The head of the journal. `csms_id`: the CSMS's name of its transaction, when it is known."""

    @property
    def id(self) -> int: ...
    @property
    def event(self) -> TransactionEvent: ...
    @property
    def csms_id(self) -> str | None: ...


@record
class Outgoing:
    """To be sent now. `about`: the call, or the journal row, that it tells."""

    action: str
    payload: dict[str, Any]
    message_id: str
    about: Call | Waiting


@record
class Silent:
    """This version has nothing to tell of this call, or journal row: it counts as delivered."""

    about: Call | Waiting


@dataclass(slots=True)
class _Try:
    """What has become of the journal's head so far."""

    row_id: int = -1
    attempts: int = 0
    not_before: float = 0.0
    silent: bool = False  # the last try was not answered


class Outbox:
    """`head` gives the journal's oldest row or None, without waiting; `prefix` makes message ids unique."""

    def __init__(self, head: Callable[[], Waiting | None], station: Station, prefix: str) -> None:
        self.head = head
        self._station = station
        self._prefix = prefix
        self._count = 0
        self._boot: Boot | None = None
        self._heartbeat = False
        self._questions: deque[Authorize] = deque()
        self._statuses: dict[int, Status] = {}
        self._told: dict[int, Message] = {}
        self._others: deque[Call] = deque()
        self._triggered: deque[Call] = deque()
        self._try = _Try()
        self._journal_turn = True
        self._probing = False
        self.silences = 0
        self.rows_wait = False  # nothing can be stored just now, so no row could be answered for good
        self._accepted = True  # when it was last asked what is next
        self.max_attempts = 5
        self.attempt_interval_s = 30.0

    # --- what is asked for --------------------------------------------------------------------------------------

    def ask(self, ask: Ask) -> list[Call]:
        """Takes a wish; returns calls that will never be sent because there is no more room."""
        call = ask.call
        if ask.triggered:
            if isinstance(call, Status):
                self._told.pop(call.evse, None)  # who asks for it gets it, whatever was told before
            self._triggered.append(call)
            return [self._triggered.popleft()] if len(self._triggered) > MAX_OTHERS else []
        if isinstance(call, Boot):
            self._boot = call
        elif isinstance(call, Heartbeat):
            self._heartbeat = True
        elif isinstance(call, Status):
            self._statuses.pop(call.evse, None)
            self._statuses[call.evse] = call
        elif isinstance(call, Authorize):
            self._questions.append(call)
            return [self._questions.popleft()] if len(self._questions) > MAX_QUESTIONS else []
        else:
            self._others.append(call)
            return [self._others.popleft()] if len(self._others) > MAX_OTHERS else []
        return []

    def up(self) -> None:
        """A connection stands."""
        self.silences = 0
        self._probing = False
        self._try.silent = False
        self._told.clear()

    def down(self) -> list[Call]:
        """The connection is gone; returns the calls that make no sense later."""
        lost: list[Call] = [*self._questions, *self._triggered]
        if self._boot is not None:
            lost.append(self._boot)
        self._questions.clear()
        self._triggered.clear()
        self._boot, self._heartbeat, self._probing = None, False, False
        return lost

    def again(self, status: Status) -> None:
        """The connection broke before this status was answered: it may never have arrived. A newer one counts more."""
        self._statuses.setdefault(status.evse, status)

    def untold(self, status: Status) -> None:
        """The CSMS did not take this status: the same words may be told again."""
        self._told.pop(status.evse, None)

    # --- what is next -------------------------------------------------------------------------------------------

    def next(self, dialect: Dialect, registration: Registration, now: float) -> Outgoing | Silent | None:
        """The next message, if there is one that may go now. Each is given once; calls are forgotten when given."""
        while True:
            found = self._next(registration, now)
            if found is None:
                return None
            if isinstance(found, Call):
                message = dialect.encode(found, self._station)
                if isinstance(found, Status) and (message is None or self._is_told(found, message)):
                    continue  # nobody waits for its answer
                if message is None:
                    return Silent(found)
                self._count += 1
                own_id = found.message_id if isinstance(found, SecurityNotice) else ""
                return Outgoing(*message, own_id or f"{self._prefix}-{self._count}", found)
            message = dialect.tell(found.event, found.csms_id)
            if message is None:
                return Silent(found)
            return Outgoing(*message, found.event.message_id, found)

    def _next(self, registration: Registration, now: float) -> Call | Waiting | None:
        if self._boot is not None:
            boot, self._boot = self._boot, None
            return boot
        accepted = self._accepted = registration is Registration.ACCEPTED
        if self._triggered and (accepted or registration is Registration.PENDING):
            return self._triggered.popleft()
        if not accepted:
            return None
        if self._probing:
            return Heartbeat()
        return self._next_accepted(now)

    def _next_accepted(self, now: float) -> Call | Waiting | None:
        if self._questions:
            return self._questions.popleft()
        row = self._due(now)
        other = self._heartbeat or bool(self._others) or bool(self._statuses)
        if row is not None and (self._journal_turn or not other):
            self._journal_turn = False
            return row
        self._journal_turn = True
        if self._statuses:
            return self._statuses.pop(next(iter(self._statuses)))
        if self._heartbeat:
            self._heartbeat = False
            return Heartbeat()
        return self._others.popleft() if self._others else None

    def _due(self, now: float) -> Waiting | None:
        row = None if self.rows_wait else self.head()
        if row is None or (row.id == self._try.row_id and now < self._try.not_before):
            return None
        return row

    def _is_told(self, status: Status, message: Message) -> bool:
        """Whether this version's words say nothing that the last message did not say."""
        action, payload = message
        bare = (action, {key: value for key, value in payload.items() if key != "timestamp"})
        same = self._told.get(status.evse) == bare
        self._told[status.evse] = bare
        return same

    def next_deadline(self) -> float | None:
        """When the head of the journal may be tried again; not while it may not go whatever the time."""
        row = self.head() if self._accepted else None
        waits = row is not None and not self.rows_wait and row.id == self._try.row_id and self._try.not_before > 0
        return self._try.not_before if waits else None

    def is_head(self, row: Waiting) -> bool:
        """Whether this row is still the one to be told."""
        head = self.head()
        return head is not None and head.id == row.id

    # --- what became of it --------------------------------------------------------------------------------------

    def answered(self, about: Call | Waiting) -> None:
        """An answer has come; for a journal row the caller has deleted it."""
        self.silences = 0
        if isinstance(about, Call):
            self._probing = False
        else:
            self._try = _Try()

    def afresh(self) -> None:
        """What was tried before does not count: somebody has mended its cause."""
        self._try = _Try()

    def proven_alive(self, now: float) -> bool:
        """The CSMS answers others, yet left the head of the journal unanswered. True: it has had its attempts."""
        if not self._try.silent:
            return False
        self._try.silent = False
        return self._attempted(now)

    def refused(self, row: Waiting, now: float) -> bool:
        """A CALLERROR (or an answer that cannot be read) to a journal row. True: it has had its attempts."""
        self.silences = 0
        self._follow(row)
        return self._attempted(now)

    def _attempted(self, now: float) -> bool:
        self._try.attempts += 1
        self._try.not_before = now + self.attempt_interval_s * self._try.attempts
        return self._try.attempts >= self.max_attempts

    def _follow(self, row: Waiting) -> None:
        if self._try.row_id != row.id:
            self._try = _Try(row.id)

    def timed_out(self, about: Call | Waiting, now: float) -> bool:
        """No answer came in time. True: so many in a row that the link must be taken for dead."""
        self.silences += 1
        if not isinstance(about, Call):
            self._follow(about)
            self._try.silent = True
            self._try.not_before = now
            self._probing = True
        return self.silences >= MAX_SILENCES
