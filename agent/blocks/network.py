"""A and B: the link that cannot be bricked from afar. Which CSMS is dialled, with which profile, and for how long.

Rules kept
* Whatever the CSMS changes of the link (address, identity, password, security profile, version, order of slots, our
  own certificate) is first *tried*: it counts as good only when BootNotification is accepted on it. If that has not
  happened after NetworkProfileConnectionAttempts, or within NetworkTrialTimeout, or the CSMS there says Rejected, the
  old link returns by itself. Every step is remembered before it shows, so a power cut changes nothing: a trial that was
  under way is begun anew, at most `MAX_STARTS` times.
* Some accept and then close. Until a connection to the new link has stood for `SETTLED_S`, what was before is kept
  beside it and has its turn for the same reasons; then the new one again, since the CSMS may know the old password no
  more. The first of the two that stands so long is kept.
* Changes are gathered until none has come for `QUIET_S`: what belongs together is tried together, and the answer to the
  last one is out before the link is left.
* Slots are used in order of preference. After NetworkProfileConnectionAttempts failures the next one is dialled. From a
  lesser slot the best one is tried again, with one attempt, every NetworkReturnInterval plus up to a quarter of it
  (which part differs from charger to charger and from time to time).
* The file's first profile is the last resort when nothing has accepted us for NetworkLastResortAfter, unless it has a
  lower security profile than what the CSMS has set: an attacker who cuts the line must not gain by it. A file that was
  edited wins over what the CSMS had set before. For the same reason no slot is dialled any more that is below a
  security profile to which the CSMS has raised a link and which has proved itself.
* Nothing here looks at charging, and nothing here stops it: transactions go on and wait in the journal meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from agent.blocks.kept import Kept, whole
from agent.blocks.network_course import SETTLED_S, TRIAL, Course
from agent.blocks.network_memory import TABLE
from agent.blocks.network_writes import COMPONENT, PASSWORD, PRIORITY
from agent.blocks.station import Block, Facts, Out
from agent.core.effects import Ask, Effect, Forget, Heartbeat, Note, Remember
from agent.core.events import (
    Event,
    LinkDown,
    LinkUp,
    Registered,
    Restored,
    SecurityEvent,
    Stopping,
    Tick,
    VariableChanged,
)
from agent.core.network import (
    LAST_RESORT,
    TRANSITIONS,
    CertificateTaken,
    CredentialsKnown,
    DialFailed,
    Links,
    LinksConfigured,
    LinkSilent,
    Plan,
    State,
    Target,
    Turn,
    read_plan,
)
from agent.core.types import Instant, Registration

QUIET_S = 2.0
MAX_STARTS = 3
_DEADLINES = {"quiet": Turn.QUIET, "trial": Turn.SPENT, "climb": Turn.CLIMB}
_ATTEMPTS = "OCPPCommCtrlr.NetworkProfileConnectionAttempts"
_OWN = (PRIORITY.lower(), PASSWORD.lower())


class Network(Block):
    """`links`: what the configuration file says. `salt` differs from charger to charger."""

    def __init__(self, facts: Facts, links: Links, salt: str = "") -> None:
        self._facts = facts
        self._vars = facts.variables
        self._course = course = Course(facts.variables, links, salt)
        self._deadlines, self._wishes, self._failures = course.deadlines, course.wishes, course.failures
        self._trial_ends_mono = 0.0
        self._stopping = False
        self._told_back = False  # that the link before had its turn

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    # --- what is asked of it ----------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self._course.state

    @property
    def target(self) -> Target | None:
        """None: nobody has said where to dial."""
        return self._course.target

    @property
    def doubted(self) -> bool:
        """The link was accepted, and has not stood long enough to be believed in."""
        return self._course.doubted

    def order(self) -> tuple[int, ...]:
        return self._course.order()

    def set_by_csms(self) -> Mapping[str, Any]:
        """What was set over the file for the slot in use."""
        return self._course.plan.slots.get(self._course.slot, {})

    def trial_ends_mono(self) -> float | None:
        """When the link before returns, unless the one that is tried has proved itself."""
        return self._trial_ends_mono if "trial" in self._deadlines else None

    # --- the file and the memory ------------------------------------------------------------------------------------

    def on_restored(self, e: Restored, now: Instant) -> Out:
        kept = Kept(e, TABLE)
        self._wishes.standing = kept.row("plan", lambda _key, value: read_plan(value)) or Plan()
        self._course.forms.restore(kept)
        self._course.doubts.restore(kept)
        wanted = kept.row("wanted", lambda _key, value: (read_plan(value), max(whole(value["starts"]), 0) + 1))
        yield from kept.forget()
        yield from self._freshen()
        self._course.slot = self._course.before = self.order()[0]
        if self.doubted:
            self._course.watch_doubts(now)
        if wanted is not None:
            yield from self._resume(*wanted, now)
        yield from self._waiting(now)
        self._course.lost(now)

    def _resume(self, wanted: Plan, starts: int, now: Instant) -> Out:
        """A change was being tried when the last process ended."""
        plan, stale = self._wishes.links.fresh(wanted)
        if stale or starts > MAX_STARTS or not self._wishes.links.files:
            yield from self._forget_wanted("the charger was restarted too often meanwhile")
            return
        self._wishes.wanted = plan
        self._course.state = State.GATHERING
        yield from self._turn(Turn.QUIET, now, starts)

    def on_configured(self, e: LinksConfigured, now: Instant) -> Out:
        """A file that names other links ends a trial: people on the spot know best."""
        before = self.target
        self._wishes.links = Links(e.files, e.versions)
        yield from self._freshen()
        wanted = self._wishes.wanted
        if wanted is not None and (self._wishes.links.fresh(wanted)[1] or not self._course.dials(before)):
            self._course.state = State.STANDING
            yield from self._forget_wanted("the configuration file was changed")
        if before is not None and not self._course.dials(before):
            self._course.state = State.STANDING
            yield from self._course.move(self.order()[0], now, "the configuration was changed")

    def _freshen(self) -> Iterator[Event | Effect]:
        """What was set over an older state of the file counts no more."""
        if stale := self._wishes.freshen():
            yield Remember(TABLE, "plan", self._wishes.standing.json())
            yield from self._course.end_doubts()
            text = "the configuration file was changed since the CSMS had set the link: the file counts"
            yield Note("warning", "LinkSettingsDropped", text, (("SLOT", ",".join(map(str, stale))),))
        if self.state is State.STANDING and self._course.slot not in self.order():
            self._course.slot = self._course.before = self.order()[0]

    def on_credentials(self, e: CredentialsKnown, _now: Instant) -> Out:
        self._wishes.root, self._wishes.client = e.root, e.client
        return iter(())

    def _waiting(self, now: Instant) -> Out:
        """A certificate that has come while something else was tried."""
        if (e := self._course.doubts.certificate) is not None:
            yield from self.on_certificate(e, now)

    def on_certificate(self, e: CertificateTaken, now: Instant) -> Out:
        """It is tried as all else is; while something else is, it waits."""
        if not self._wishes.links.files:
            return
        if not self._course.free:
            self._deadlines.set("certificate", now.mono + SETTLED_S)
            yield from self._course.doubts.put_off(e)
            return
        yield from self._course.doubts.take_up()
        self._wishes.take_certificate(e)
        yield Remember(TABLE, "plan", self._wishes.standing.json())
        yield from self._turn(Turn.ASKED, now)

    # --- what happens to the link -----------------------------------------------------------------------------------

    def on_dial_failed(self, e: DialFailed, now: Instant) -> Out:
        if e.number != self._course.number:
            return
        if self._failures.is_news(e.security):
            yield SecurityEvent(e.security, e.why[:200])
        if e.kind == "unauthorized" and self._course.forms.next(self.target):
            yield Note("info", "PasswordForm", "the password was refused: it is tried in its other form")
            return
        yield from self._failed(e.why, now)

    def on_up(self, _e: LinkUp, now: Instant) -> Out:
        self._deadlines.set("settled", now.mono + SETTLED_S)
        return iter(())

    def _settle(self, now: Instant) -> Iterator[Event | Effect]:
        """We are accepted, on a connection that has stood for a while."""
        self._deadlines.clear("resort")
        news = self._taken() if self._told_back and not self._course.turned else ()
        yield from (*self._course.believe(now), *news)
        self._told_back = False

    def on_down(self, e: LinkDown, now: Instant) -> Out:
        fleeting = "settled" in self._deadlines
        self._deadlines.clear("settled")
        self._course.lost(now)
        if fleeting and not self._stopping:
            yield from self._failed(f"the connection did not last: {e.why}", now)

    def _failed(self, why: str, now: Instant) -> Iterator[Event | Effect]:
        self._failures.add(why)
        attempts = 1 if self.state is State.PROBING else self._vars.number(_ATTEMPTS)
        if self._failures.count >= attempts:
            yield from self._turn(Turn.SPENT, now)

    def on_registered(self, e: Registered, now: Instant) -> Out:
        if e.status is Registration.ACCEPTED:
            yield from self._turn(Turn.ACCEPTED, now)
            return
        self._course.lost(now)
        on_trial = self.state in (State.TRYING, State.PROBING) or (self.doubted and self.state is State.STANDING)
        if e.status is Registration.REJECTED and on_trial:
            self._failures.why = "the CSMS there does not accept this charger (Rejected)"
            yield from self._turn(Turn.SPENT, now)

    def on_stopping(self, _e: Stopping, _now: Instant) -> Out:
        """From now on it is we who close."""
        self._stopping = True
        return iter(())

    def on_silent(self, e: LinkSilent, _now: Instant) -> Out:
        """Pings may be answered by something in between; a CALL is answered by the CSMS only."""
        yield Note("info", "LinkSilent", f"the CSMS has answered nothing for {e.age_s:.0f} s: asked for a sign of life")
        yield Ask(Heartbeat())

    def on_changed(self, e: VariableChanged, now: Instant) -> Out:
        if self._wishes.changed and (str(e.id).lower() in _OWN or e.id.component.startswith(COMPONENT)):
            self._wishes.changed = False
            yield from self._turn(Turn.ASKED, now)

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        for name in self._deadlines.due(now.mono):
            if name == "settled":
                self._failures.end()
                if self._facts.registration is Registration.ACCEPTED:
                    yield from self._settle(now)
            elif name == "resort":
                yield from self._unwanted(now)
            elif name == "certificate":
                yield from self._waiting(now)
            elif name == "doubt":
                yield from self._doubtful(now)
            else:
                if name == "trial":
                    self._failures.why = self._failures.why or "BootNotification was not accepted in time"
                yield from self._turn(_DEADLINES[str(name)], now)

    def _unwanted(self, now: Instant) -> Iterator[Event | Effect]:
        """Nobody has accepted us for long. A connection that stands, to somebody who does not, is no reason to stay."""
        self._failures.why, self._course.resort = "nobody has accepted us for long", True
        if self._wishes.links.last_resort(self._wishes.standing):
            yield Note("warning", "LastResort", f"{self._failures.why}: the file's own link may be used")
        if self._facts.linked and self.state is State.STANDING:
            yield from self._turn(Turn.SPENT, now)

    # --- the machine --------------------------------------------------------------------------------------------------

    def _turn(self, turn: Turn, now: Instant, starts: int = 0) -> Iterator[Event | Effect]:
        if (found := TRANSITIONS.get((self.state, turn))) is not None and self._wishes.links.files:
            self._course.state, method = found
            yield from getattr(self, method)(now, **({"starts": starts} if starts else {}))

    def _gather(self, now: Instant) -> Iterator[Event | Effect]:
        assert self._wishes.wanted is not None
        self._deadlines.set("quiet", now.mono + QUIET_S)
        yield Remember(TABLE, "wanted", self._wishes.wanted.json() | {"starts": 0})

    def _try(self, now: Instant, starts: int = 0) -> Iterator[Event | Effect]:
        wanted = self._wishes.wanted
        assert wanted is not None
        first = self._wishes.first(wanted)
        if self._wishes.unnoticed(wanted, first):
            self._course.state = State.STANDING
            yield from self._adopt(wanted, now)
            return
        self._course.before, self._course.slot = self._course.slot, first
        yield Remember(TABLE, "wanted", wanted.json() | {"starts": starts})
        self._deadlines.clear("climb")
        self._limit(now)
        yield from self._course.dial(now, f"trying what the CSMS has set: {self._course.shown}")

    def _limit(self, now: Instant) -> None:
        self._trial_ends_mono = now.mono + self._vars.number(TRIAL)
        self._deadlines.set("trial", self._trial_ends_mono)

    def _keep(self, now: Instant) -> Iterator[Event | Effect]:
        """BootNotification was accepted on the new link: it stands."""
        wanted = self._wishes.wanted
        assert wanted is not None
        self._course.forms.drop(self._course.slot)
        yield from self._course.doubt(now)
        yield from self._adopt(wanted, now)
        yield from self._taken()
        yield from self._prove(now)

    def _taken(self) -> Iterator[Event | Effect]:
        yield Note("info", "LinkKept", f"the new link is good and is kept: {self._course.shown}")
        yield SecurityEvent("ReconfigurationOfSecurityParameters", f"taken: {self._course.shown}")

    def _adopt(self, wanted: Plan, now: Instant) -> Iterator[Event | Effect]:
        yield Remember(TABLE, "plan", self._wishes.adopt(wanted, now.utc).json())
        yield Forget(TABLE, "wanted")

    def _doubtful(self, now: Instant) -> Iterator[Event | Effect]:
        """It was accepted and did not last: the other one's turn."""
        good = self._facts.linked and self._facts.registration is Registration.ACCEPTED
        if good or self.state is not State.STANDING:
            self._deadlines.set("doubt", now.mono + SETTLED_S)  # it may still prove itself
        elif self.doubted:
            yield from self._other(now)

    def _other(self, now: Instant) -> Iterator[Event | Effect]:
        if not self._told_back:
            self._told_back = True
            yield from self._not_kept(self._failures.why or "no connection to it has lasted")
        self._course.turn(now)
        which = "the link before" if self._course.turned else "the new link again"
        yield from self._course.dial(now, f"trying {which}: {self._course.shown}", rounds=2)

    def _return(self, now: Instant) -> Iterator[Event | Effect]:
        self._course.slot = self._wishes.known(self._course.before)
        yield from self._forget_wanted(self._failures.why)
        yield from self._course.dial(now, f"returning to the link before: {self._course.shown}")

    def _forget_wanted(self, why: str) -> Iterator[Event | Effect]:
        self._wishes.wanted = None
        for name in ("quiet", "trial"):
            self._deadlines.clear(name)
        yield Forget(TABLE, "wanted")
        yield from self._not_kept(why)

    def _not_kept(self, why: str) -> Iterator[Event | Effect]:
        yield Note("warning", "LinkReturned", f"what the CSMS had set for the link is not kept: {why}")
        yield SecurityEvent("ReconfigurationOfSecurityParameters", f"not kept, the link before returns: {why}"[:250])

    def _prove(self, now: Instant) -> Iterator[Event | Effect]:
        """We are accepted here."""
        target = self.target
        assert target is not None
        self._failures.end()
        self._course.moves, self._course.before = 0, self._course.slot
        for name in ("trial", "resort"):
            self._deadlines.clear(name)
        if self._course.slot != LAST_RESORT:
            self._course.resort = False
        yield from self._course.forms.worked(target)
        self._course.arm_climb(now)
        if not self.doubted or "settled" not in self._deadlines:
            self._deadlines.clear("settled")
            yield from self._settle(now)

    def _next(self, now: Instant) -> Iterator[Event | Effect]:
        """Attempts are used up here: the next slot, round and round. With one slot there is nothing to change."""
        order = self.order()
        place = order.index(self._course.slot) if self._course.slot in order else -1
        slot = order[(place + 1) % len(order)]
        if self.doubted and (not self._course.turned or slot == self._course.before):
            yield from self._other(now)
        elif len(order) > 1:
            yield from self._course.move(slot, now, f"failing over: {self._failures.why}", rounds=len(order))

    def _probe(self, now: Instant) -> Iterator[Event | Effect]:
        self._course.before = self._course.slot
        self._limit(now)
        yield from self._course.move(self.order()[0], now, "trying the preferred link again")

    def _stay(self, now: Instant) -> Iterator[Event | Effect]:
        self._deadlines.clear("trial")
        why = f"the preferred link is no good yet: {self._failures.why}"
        yield from self._course.move(self._wishes.known(self._course.before), now, why)

    HEARS: ClassVar = {
        Restored: "on_restored",
        LinksConfigured: "on_configured",
        CredentialsKnown: "on_credentials",
        CertificateTaken: "on_certificate",
        DialFailed: "on_dial_failed",
        LinkUp: "on_up",
        LinkDown: "on_down",
        Registered: "on_registered",
        LinkSilent: "on_silent",
        Stopping: "on_stopping",
        VariableChanged: "on_changed",
        Tick: "on_tick",
    }
