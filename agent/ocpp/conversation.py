"""The conversation with the CSMS, pure: frames and neutral words in, frames and neutral words out.

It joins endpoint (`rpc`), payload check (`schema`), dialect and outbox for whoever owns the socket and the store. The
dialect may change from one connection to the next; what waits in the outbox is neutral and is told in the new words.

Inbound payloads are read with goodwill (`Validator.inbound` mends what can be mended), ours are checked strictly: one
of ours that breaks its schema is our bug, is never sent, and is told as `Fault` so that the log shows it. What a
central system wants otherwise (`quirks`) is done after that check; without quirks nothing of it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agent.core.effects import Answer, Ask, Call, Heartbeat, RefuseCall, Status
from agent.core.events import CallDone, CallFailed, Event, TransactionAnswered
from agent.core.record import record, replace
from agent.core.requests import Ref
from agent.core.types import Registration, TxKind
from agent.errors import RpcError
from agent.ocpp import dialect as dialects
from agent.ocpp.dialect import Dialect, Station
from agent.ocpp.outbox import Outbox, Outgoing, Silent, Waiting
from agent.ocpp.rpc import CallIn, Discarded, Endpoint, ErrorIn, ResultIn
from agent.ocpp.schema import Validator

if TYPE_CHECKING:
    from agent.ocpp.quirks import Quirks

LONGEST_ACTION_SHOWN = 40
_UNKNOWN_TRIGGER = ("enum", ("requestedMessage",))  # a message that nobody knows has an answer: NotImplemented


@record
class Say:
    """Send this text. `action` is set for a call of ours, `row_id` when it tells a journal row."""

    text: str
    action: str = ""
    row_id: int | None = None


@record
class Hear:
    """Tell the station."""

    event: Event


@record
class Delivered:
    """The CSMS has taken a journal row; `event` is None when there was nothing to tell."""

    row: Waiting
    event: TransactionAnswered | None


@record
class Undeliverable:
    """A journal row has had its attempts."""

    row: Waiting
    why: str


@record
class Hang:
    """The CSMS no longer answers: drop the link."""

    why: str


@record
class Fault:
    """For the log. `bug`: of ours. `invalid`: the CSMS has sent what is no valid message."""

    why: str
    bug: bool = False
    invalid: bool = False


Outcome = Say | Hear | Delivered | Undeliverable | Hang | Fault


class Conversation:
    """`head` gives the journal's oldest row; `prefix` makes message ids unique over restarts."""

    def __init__(self, station: Station, head: Callable[[], Waiting | None], prefix: str, version: str) -> None:
        self._station = station
        self.dialect = dialects.load(version)
        self.outbox = Outbox(head, station, prefix)
        self._endpoint = Endpoint(self.dialect.codes)
        self._validators: dict[str, Validator] = {}
        self._asked: dict[str, CallIn] = {}
        self._failed: CallFailed | None = None  # a call of ours that was not fit to be sent
        self._quirks: Quirks | None = None
        self._quirk_presets: Mapping[str, str] = {}
        self._next_at: float | None = None  # when a CSMS that limits our calls takes the next one
        self._quiet_until: float | None = None  # when a CSMS that wants to hear from us has heard nothing for too long
        self.linked = False
        self.sent_mono = 0.0  # when the call that was answered last had left
        self.answered_mono = 0.0

    @property
    def waiting(self) -> bool:
        """A call of ours is open."""
        return self._endpoint.outstanding is not None

    # --- what this CSMS wants otherwise -------------------------------------------------------------------------

    def obey(self, quirks: Quirks | None, presets: Mapping[str, str]) -> None:
        """From now on these quirks are in force; `presets` are their variables, resolved."""
        self._quirks, self._quirk_presets = quirks, presets
        self._next_at = self._quiet_until = None
        self._validators.clear()

    @property
    def presets(self) -> Mapping[str, str]:
        """Of variables, by the version that is spoken and by the quirks."""
        return {**self.dialect.presets, **self._quirk_presets}

    def _shaped(self, found: Outgoing) -> Outgoing | Outcome:
        """The message as this CSMS wants it; one that it does not want counts as taken."""
        assert self._quirks is not None
        payload = self._quirks.told(found.about, found.action, found.payload)
        if payload is not None:
            return replace(found, payload=payload)
        return _unsaid(found.about)

    def _may_call(self, now: float) -> bool:
        """Whether a CSMS that limits our calls takes one now."""
        if self._next_at is not None and now < self._next_at:
            return False
        self._next_at = None
        return True

    def _paced(self, now: float) -> None:
        """A call has been sent."""
        per_s = self._quirks.number("messages_per_s") if self._quirks else 0.0
        self._next_at = now + 1 / per_s if per_s else None

    def _is_too_quiet(self, registration: Registration, now: float) -> bool:
        """Whether a CSMS that wants to hear from us, though pings flow, must now."""
        longest_s = self._quirks.number("longest_silence_s") if self._quirks else 0.0
        accepted = registration is Registration.ACCEPTED
        self._quiet_until = self.sent_mono + longest_s if longest_s and accepted else None
        return self._quiet_until is not None and now >= self._quiet_until

    # --- the link -----------------------------------------------------------------------------------------------

    def connected(self, subprotocol: str) -> Dialect:
        """A connection stands in this subprotocol; from now on its words are spoken."""
        self.dialect = dialects.load(dialects.SUBPROTOCOLS[subprotocol])
        self._endpoint.codes = self.dialect.codes
        self.linked = True
        self._next_at = self._quiet_until = None
        self.outbox.up()
        return self.dialect

    def disconnected(self) -> list[Event]:
        """The connection is gone; which calls have failed by that."""
        self.linked = False
        self._asked.clear()
        lost: list[Call] = self.outbox.down()
        open_call = self._endpoint.lost()
        if open_call is not None and isinstance(open_call.tag, Status):
            self.outbox.again(open_call.tag)
        elif open_call is not None and isinstance(open_call.tag, Call):
            lost.append(open_call.tag)
        return [CallFailed(call, "offline") for call in lost]

    # --- out ----------------------------------------------------------------------------------------------------

    def next(self, registration: Registration, now: float, timeout_s: float) -> Outcome | None:
        """What is to be sent now, if anything; a row that has nothing to say in this version is `Delivered` at once."""
        if self._failed is not None:
            failed, self._failed = self._failed, None
            return Hear(failed)
        if not self.linked or self._endpoint.outstanding is not None or not self._may_call(now):
            return None
        found = self.outbox.next(self.dialect, registration, now)
        if found is None and self._is_too_quiet(registration, now):
            self.outbox.ask(Ask(Heartbeat()))
            found = self.outbox.next(self.dialect, registration, now)
        if found is None:
            return None
        if isinstance(found, Silent):
            return _unsaid(found.about)
        broken = self._validator().outbound(found.action, "request", found.payload)
        if broken is not None:
            return self._own_fault(found, str(broken))
        if self._quirks is not None:
            shaped = self._shaped(found)
            if not isinstance(shaped, Outgoing):
                return shaped
            found = shaped
        self.sent_mono = now
        self._paced(now)
        text = self._endpoint.call(
            found.action, found.payload, message_id=found.message_id, now=now, timeout_s=timeout_s, tag=found.about
        )
        return Say(text, found.action, None if isinstance(found.about, Call) else found.about.id)

    def _own_fault(self, found: Outgoing, why: str) -> Outcome:
        if isinstance(found.about, Call):
            self._failed = CallFailed(found.about, f"not sent: {why}")
            return Fault(f"our {found.action} breaks its schema: {why}", bug=True)
        return Undeliverable(found.about, f"{found.action} breaks its schema: {why}")

    def reply(self, ref: Ref, answer: Answer) -> list[Outcome]:
        """Answer a request; nothing when its connection is gone."""
        asked = self._asked.pop(ref.id, None)
        if asked is None:
            return []
        try:
            payload = self.dialect.reply(asked.action, asked.payload, answer, self._station)
        except RpcError as refused:
            return _say(self._endpoint.error(asked.ref, refused.code, refused.why))
        broken = self._validator().outbound(asked.action, "response", payload)
        if broken is not None:
            text = self._endpoint.refuse(asked.ref, "internal")
            return [*_say(text), Fault(f"our answer to {asked.action} breaks its schema: {broken}", bug=True)]
        told = payload if self._quirks is None else self._quirks.answered(asked.action, payload)
        return _say(self._endpoint.result(asked.ref, told))

    def refuse(self, ref: Ref) -> list[Outcome]:
        """Nobody here does what was asked."""
        return self.reply(ref, RefuseCall("NotSupported", "not supported by this station"))

    # --- in -----------------------------------------------------------------------------------------------------

    def received(self, text: str, registration: Registration, now: float) -> list[Outcome]:
        """What one frame means; never raises for anything that a peer can send."""
        found = self._endpoint.receive(text, now)
        if isinstance(found, CallIn):
            return self._called(found, registration)
        if isinstance(found, ResultIn):
            return self._answered(found, now)
        if isinstance(found, ErrorIn):
            return self._refused(found, now)
        assert isinstance(found, Discarded)
        return [*_say(found.answer), Fault(f"a frame was not understood: {found.why}", invalid=not found.double)]

    def oversized(self, head: str) -> list[Outcome]:
        """A frame that is longer than may be read; by its head its sender may still be told."""
        found = self._endpoint.too_long(head)
        assert isinstance(found, Discarded)
        return [*_say(found.answer), Fault(f"a frame was not read: {found.why}", invalid=True)]

    def _called(self, call: CallIn, registration: Registration) -> list[Outcome]:
        shown = call.action[:LONGEST_ACTION_SHOWN]
        rule = self.dialect.before_accepted.get(registration)
        if rule == "silence":
            self._endpoint.ignore(call.ref)
            return [Fault(f"{shown} is not answered while the CSMS has us Rejected")]
        if rule == "security":
            return _say(self._endpoint.refuse(call.ref, "security", "not accepted yet"))
        validator = self._validator()
        if not validator.knows(call.action):
            return [*_say(self._endpoint.refuse(call.ref, "unknown-action", f"no such action: {shown}"))]
        broken = validator.inbound(call.action, "request", call.payload)
        if broken is not None and (broken.rule, broken.path) != _UNKNOWN_TRIGGER:
            fault = Fault(f"{shown}: {broken}", invalid=True)
            return [*_say(self._endpoint.refuse(call.ref, broken.rule, str(broken))), fault]
        try:
            event = self.dialect.asked(Ref(str(call.ref), call.action), call.payload)
        except RpcError as refused:
            return _say(self._endpoint.error(call.ref, refused.code, refused.why))
        self._asked[str(call.ref)] = call
        return [Hear(event)]

    def _answered(self, found: ResultIn, now: float) -> list[Outcome]:
        about = found.tag
        broken = self._validator().inbound(found.action, "response", found.payload)
        notes: list[Outcome] = (
            [Fault(f"the answer to {found.action} breaks its schema: {broken}", invalid=True)] if broken else []
        )
        self.answered_mono = now
        if isinstance(about, Call):
            if found.late:
                return notes
            event = self.dialect.answered(about, found.action, found.payload)
            self.outbox.answered(about)
            return [*notes, *self._proven(now), Hear(event)]
        return [*notes, *self._row_answered(about, found)]

    def _row_answered(self, about: Any, found: ResultIn) -> list[Outcome]:
        row: Waiting = about
        if not self.outbox.is_head(row):
            return []  # late, and an earlier answer has already settled it
        event = self.dialect.answered(row.event, found.action, found.payload)
        assert isinstance(event, TransactionAnswered)
        self.outbox.answered(row)
        told = event.info is not None or event.csms_id is not None or row.event.kind is TxKind.ENDED
        return [Delivered(row, event if told else None)]

    def _refused(self, found: ErrorIn, now: float) -> list[Outcome]:
        about: Any = found.tag
        why = f"{found.code}: {found.description}".rstrip(": ")
        if isinstance(about, Call):
            if found.late:
                return []
            self.outbox.answered(about)
            self._not_taken(about)
            return [*self._proven(now), Hear(CallFailed(about, why))]
        if found.late or not self.outbox.is_head(about):
            return []
        given_up = self.outbox.refused(about, now)
        note = Fault(f"the CSMS refuses {found.action} of {about.event.message_id}: {why}")
        return [note, Undeliverable(about, why)] if given_up else [note]

    def _not_taken(self, call: Call) -> None:
        if isinstance(call, Status):
            self.outbox.untold(call)

    def _proven(self, now: float) -> list[Outcome]:
        """The CSMS has answered something: if it left the journal's head unanswered, that was an attempt."""
        row = self.outbox.head()
        if row is not None and self.outbox.proven_alive(now):
            return [Undeliverable(row, "never answered, while other messages were")]
        return []

    # --- time ---------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When `expire` or `next` wants to be asked again."""
        if self.waiting or not self.linked:  # the outbox must wait for the answer, or for a link, in any case
            return self._endpoint.deadline()
        if self._next_at is not None:
            return self._next_at
        times = [at for at in (self.outbox.next_deadline(), self._quiet_until) if at is not None]
        return min(times, default=None)

    def expire(self, now: float) -> list[Outcome]:
        """What follows from an answer that did not come in time."""
        expired = self._endpoint.expire(now)
        if expired is None:
            return []
        about: Any = expired.tag
        hang = self.outbox.timed_out(about, now)
        outs: list[Outcome] = [Fault(f"no answer to {expired.action} in time")]
        if isinstance(about, Call):
            self._not_taken(about)
            outs.append(Hear(CallFailed(about, "timeout")))
        if hang:
            outs.append(Hang("the CSMS answers nothing any more"))
        return outs

    def _validator(self) -> Validator:
        folder = self.dialect.schemas
        if folder not in self._validators:
            self._validators[folder] = Validator(folder, self._quirks.longest() if self._quirks else None)
        return self._validators[folder]


def _unsaid(about: Call | Waiting) -> Outcome:
    """What nobody is told counts as taken."""
    return Hear(CallDone(about, said=False)) if isinstance(about, Call) else Delivered(about, None)


def _say(text: str | None) -> list[Outcome]:
    return [] if text is None else [Say(text)]
