"""A and B: the link that cannot be bricked from afar. Which CSMS is dialled, with which profile, and for how long.

Rules kept
* Whatever the CSMS changes of the link (address, identity, password, security profile, version, order of slots, our
  own certificate) is first *tried*: it counts as good only when BootNotification is accepted on it. If that has not
  happened after NetworkProfileConnectionAttempts, or within NetworkTrialTimeout, or the CSMS there says Rejected, the
  old link returns by itself. Every step is remembered before it shows, so a power cut changes nothing: a trial that was
  under way is begun anew, at most `MAX_STARTS` times.
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
from zlib import crc32

from agent.blocks.kept import Kept, text, whole
from agent.blocks.network_writes import COMPONENT, PASSWORD, PRIORITY, Wishes
from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.effects import Ask, Effect, Forget, Heartbeat, Note, Redial, Remember
from agent.core.events import Event, LinkDown, LinkUp, Registered, Restored, SecurityEvent, Tick, VariableChanged
from agent.core.network import (
    LAST_RESORT,
    TRANSITIONS,
    CertificateTaken,
    CredentialsKnown,
    CsmsChanged,
    DialFailed,
    Links,
    LinksConfigured,
    LinkSilent,
    Plan,
    Profile,
    State,
    Target,
    Turn,
    read_plan,
)
from agent.core.types import Instant, Registration

TABLE = "network"
QUIET_S = 2.0
SETTLED_S = 60.0  # a connection that stood so long was no failure, even if nobody accepted anything on it
MAX_STARTS = 3
MANY = 1_000_000
_DEADLINES = {"quiet": Turn.QUIET, "trial": Turn.SPENT, "climb": Turn.CLIMB}
_OWN = (PRIORITY.lower(), PASSWORD.lower())


class Network(Block):
    """`links`: what the configuration file says. `salt` differs from charger to charger."""

    def __init__(self, facts: Facts, links: Links, salt: str = "") -> None:
        self._facts = facts
        self._vars = facts.variables
        self._salt = salt
        self._deadlines = Deadlines()
        self.state = State.STANDING
        self._slot = 1
        self._before = 1  # the slot to come back to
        self._number = 1  # of the target; changes with each
        self._failures = 0
        self._spelling = 0  # which of the password's forms is used
        self._forms: dict[int, str] = {}  # the form that worked, by slot
        self._told: set[str] = set()  # security events of this row of failures
        self._why = ""  # the last failure
        self._resort = False  # the last resort may be used
        self._trial_ends_mono = 0.0
        self._wishes = Wishes(self._vars, links, self._is_free, lambda: self._slot)

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    def _is_free(self) -> bool:
        return self.state in (State.STANDING, State.GATHERING)

    # --- what is asked of it ----------------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """What is dialled by: the wanted one while it is tried."""
        wanted = self._wishes.wanted
        return wanted if self.state is State.TRYING and wanted is not None else self._wishes.standing

    @property
    def target(self) -> Target | None:
        """None: nobody has said where to dial."""
        plan = self.plan
        if (profile := self._wishes.links.profile(plan, self._slot)) is None:
            return None
        fresh = plan.certificate != self._wishes.standing.certificate
        return Target(self._number, self._slot, profile, self._form_of(profile), plan.certificate, fresh)

    def _form_of(self, profile: Profile) -> str:
        known = self._forms.get(self._slot) if self.state is not State.TRYING else None
        forms = sorted(profile.forms, key=lambda form: form != known)
        return forms[self._spelling % len(forms)]

    def set_by_csms(self) -> Mapping[str, Any]:
        """What was set over the file for the slot in use."""
        return self.plan.slots.get(self._slot, {})

    def trial_ends_mono(self) -> float | None:
        """When the link before returns, unless the one that is tried has proved itself."""
        return self._trial_ends_mono if "trial" in self._deadlines else None

    # --- the file and the memory ------------------------------------------------------------------------------------

    def on_restored(self, e: Restored, now: Instant) -> Out:
        kept = Kept(e, TABLE)
        self._wishes.standing = kept.row("plan", lambda _key, value: read_plan(value)) or Plan()
        self._forms = kept.row("forms", lambda _key, value: {int(k): text(v) for k, v in value.items()}) or {}
        wanted = kept.row("wanted", lambda _key, value: (read_plan(value), max(whole(value["starts"]), 0) + 1))
        yield from kept.forget()
        yield from self._freshen()
        self._slot = self._before = self.order()[0]
        if wanted is not None:
            yield from self._resume(*wanted, now)
        self._lost(now)

    def _resume(self, wanted: Plan, starts: int, now: Instant) -> Out:
        """A change was being tried when the last process ended."""
        plan, stale = self._wishes.links.fresh(wanted)
        if stale or starts > MAX_STARTS or not self._wishes.links.files:
            yield from self._forget_wanted("the charger was restarted too often meanwhile")
            return
        self._wishes.wanted = plan
        self.state = State.GATHERING
        yield from self._turn(Turn.QUIET, now, starts)

    def on_configured(self, e: LinksConfigured, now: Instant) -> Out:
        """A file that names other links ends a trial: people on the spot know best."""
        before = self.target
        self._wishes.links = Links(e.files, e.versions)
        yield from self._freshen()
        wanted = self._wishes.wanted
        if wanted is not None and (self._wishes.links.fresh(wanted)[1] or not self._dials(before)):
            self.state = State.STANDING
            yield from self._forget_wanted("the configuration file was changed")
        if before is not None and not self._dials(before):
            self.state = State.STANDING
            yield from self._move(self.order()[0], now, "the configuration was changed")

    def _dials(self, before: Target | None) -> bool:
        """The target is still what it was."""
        return before is not None and self.target is not None and self.target.profile == before.profile

    def _freshen(self) -> Iterator[Event | Effect]:
        """What was set over an older state of the file counts no more."""
        if stale := self._wishes.freshen():
            yield Remember(TABLE, "plan", self._wishes.standing.json())
            text = "the configuration file was changed since the CSMS had set the link: the file counts"
            yield Note("warning", "LinkSettingsDropped", text, (("SLOT", ",".join(map(str, stale))),))
        if self.state is State.STANDING and self._slot not in self.order():
            self._slot = self._before = self.order()[0]

    def on_credentials(self, e: CredentialsKnown, _now: Instant) -> Out:
        self._wishes.root, self._wishes.client = e.root, e.client
        return iter(())

    def on_certificate(self, e: CertificateTaken, now: Instant) -> Out:
        """It is tried as all else is; while something else is, it waits."""
        if not self._is_free():
            self._deadlines.set(e, now.mono + SETTLED_S)
        elif self._wishes.links.files:
            self._wishes.take_certificate(e)
            yield Remember(TABLE, "plan", self._wishes.standing.json())
            yield from self._turn(Turn.ASKED, now)

    # --- what happens to the link -----------------------------------------------------------------------------------

    def on_dial_failed(self, e: DialFailed, now: Instant) -> Out:
        if e.number != self._number:
            return
        if e.security and e.security not in self._told:
            self._told.add(e.security)
            yield SecurityEvent(e.security, e.why[:200])
        if e.kind == "unauthorized" and self._respell():
            yield Note("info", "PasswordForm", "the password was refused: it is tried in its other form")
            return
        yield from self._failed(e.why, now)

    def _respell(self) -> bool:
        """Another form of the password is left to be tried before this counts as a failure."""
        forms = self.target.profile.forms if self.target else ()
        self._spelling = (self._spelling + 1) % max(1, len(forms))
        return self._spelling != 0

    def on_up(self, _e: LinkUp, now: Instant) -> Out:
        self._deadlines.set("settled", now.mono + SETTLED_S)
        if self._facts.registration is Registration.ACCEPTED:
            self._deadlines.clear("resort")
        return iter(())

    def on_down(self, e: LinkDown, now: Instant) -> Out:
        fleeting = "settled" in self._deadlines
        self._deadlines.clear("settled")
        self._lost(now)
        if fleeting:
            yield from self._failed(f"the connection did not last: {e.why}", now)

    def _lost(self, now: Instant) -> None:
        after_s = self._vars.number("OCPPCommCtrlr.NetworkLastResortAfter")
        if after_s:
            self._deadlines.keep("resort", now.mono + after_s)

    def _failed(self, why: str, now: Instant) -> Iterator[Event | Effect]:
        self._why = why
        self._failures = min(self._failures + 1, MANY)
        attempts = 1 if self.state is State.PROBING else self._vars.number(_ATTEMPTS)
        if self._failures >= attempts:
            yield from self._turn(Turn.SPENT, now)

    def on_registered(self, e: Registered, now: Instant) -> Out:
        if e.status is Registration.ACCEPTED:
            yield from self._turn(Turn.ACCEPTED, now)
            return
        self._lost(now)
        if e.status is Registration.REJECTED and self.state in (State.TRYING, State.PROBING):
            self._why = "the CSMS there does not accept this charger (Rejected)"
            yield from self._turn(Turn.SPENT, now)

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
                self._failures = 0
                self._told.clear()
            elif name == "resort":
                yield from self._unwanted(now)
            elif isinstance(name, CertificateTaken):
                yield from self.on_certificate(name, now)
            else:
                if name == "trial":
                    self._why = self._why or "BootNotification was not accepted in time"
                yield from self._turn(_DEADLINES[str(name)], now)

    def _unwanted(self, now: Instant) -> Iterator[Event | Effect]:
        """Nobody has accepted us for long. A connection that stands, to somebody who does not, is no reason to stay."""
        self._why, self._resort = "nobody has accepted us for long", True
        if self._wishes.links.last_resort(self._wishes.standing):
            yield Note("warning", "LastResort", f"{self._why}: the file's own link may be used")
        if self._facts.linked and self.state is State.STANDING:
            yield from self._turn(Turn.SPENT, now)

    # --- the machine --------------------------------------------------------------------------------------------------

    def _turn(self, turn: Turn, now: Instant, starts: int = 0) -> Iterator[Event | Effect]:
        if (found := TRANSITIONS.get((self.state, turn))) is not None and self._wishes.links.files:
            self.state, method = found
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
            self.state = State.STANDING
            yield from self._adopt(wanted, now)
            return
        self._before, self._slot = self._slot, first
        yield Remember(TABLE, "wanted", wanted.json() | {"starts": starts})
        self._deadlines.clear("climb")
        self._limit(now)
        yield from self._dial(now, f"trying what the CSMS has set: {self._shown()}")

    def _limit(self, now: Instant) -> None:
        self._trial_ends_mono = now.mono + self._vars.number("OCPPCommCtrlr.NetworkTrialTimeout")
        self._deadlines.set("trial", self._trial_ends_mono)

    def _keep(self, now: Instant) -> Iterator[Event | Effect]:
        """BootNotification was accepted on the new link: it stands."""
        wanted = self._wishes.wanted
        assert wanted is not None
        self._forms.pop(self._slot, None)
        yield from self._adopt(self._wishes.raised(wanted, self._before, self._slot), now)
        yield Note("info", "LinkKept", f"the new link is good and is kept: {self._shown()}")
        yield SecurityEvent("ReconfigurationOfSecurityParameters", f"taken: {self._shown()}")
        yield from self._prove(now)

    def _adopt(self, wanted: Plan, now: Instant) -> Iterator[Event | Effect]:
        yield Remember(TABLE, "plan", self._wishes.adopt(wanted, now.utc).json())
        yield Forget(TABLE, "wanted")

    def _return(self, now: Instant) -> Iterator[Event | Effect]:
        self._slot = self._wishes.known(self._before)
        yield from self._forget_wanted(self._why)
        yield from self._dial(now, f"returning to the link before: {self._shown()}")

    def _forget_wanted(self, why: str) -> Iterator[Event | Effect]:
        self._wishes.wanted = None
        for name in ("quiet", "trial"):
            self._deadlines.clear(name)
        yield Forget(TABLE, "wanted")
        yield Note("warning", "LinkReturned", f"what the CSMS had set for the link is not kept: {why}")
        yield SecurityEvent("ReconfigurationOfSecurityParameters", f"not kept, the link before returns: {why}"[:250])

    def _prove(self, now: Instant) -> Iterator[Event | Effect]:
        """We are accepted here."""
        target = self.target
        assert target is not None
        self._failures, self._why, self._before = 0, "", self._slot
        self._told.clear()
        for name in ("trial", "resort", "settled"):
            self._deadlines.clear(name)
        if self._slot != LAST_RESORT:
            self._resort = False
        if len(target.profile.forms) > 1 and self._forms.get(self._slot) != target.form:
            self._forms[self._slot] = target.form
            yield Remember(TABLE, "forms", {str(k): v for k, v in self._forms.items()})
        self._spelling = 0
        self._arm_climb(now)

    def order(self) -> tuple[int, ...]:
        return self._wishes.order(self._resort)

    def _next(self, now: Instant) -> Iterator[Event | Effect]:
        """Attempts are used up here: the next slot, round and round. With one slot there is nothing to change."""
        order = self.order()
        if len(order) > 1:
            place = order.index(self._slot) if self._slot in order else -1
            yield from self._move(order[(place + 1) % len(order)], now, f"failing over: {self._why}")

    def _probe(self, now: Instant) -> Iterator[Event | Effect]:
        self._before = self._slot
        self._limit(now)
        yield from self._move(self.order()[0], now, "trying the preferred link again")

    def _stay(self, now: Instant) -> Iterator[Event | Effect]:
        self._deadlines.clear("trial")
        yield from self._move(self._wishes.known(self._before), now, f"the preferred link is no good yet: {self._why}")

    def _move(self, slot: int, now: Instant, why: str) -> Iterator[Event | Effect]:
        self._slot = slot
        self._arm_climb(now)
        yield from self._dial(now, f"{why}; now {self._shown()}")

    def _dial(self, now: Instant, why: str) -> Iterator[Event | Effect]:
        """Another target from now on."""
        self._number += 1
        self._failures = self._spelling = 0
        self._why = ""
        self._deadlines.clear("settled")
        self._lost(now)
        yield Note("info", "LinkChange", why)
        yield CsmsChanged()
        yield Redial(why)

    def _arm_climb(self, now: Instant) -> None:
        if self._slot == self.order()[0] or self.state is not State.STANDING:
            self._deadlines.clear("climb")
            return
        part = crc32(f"{self._salt}/{self._number}".encode()) / 2**32
        self._deadlines.set("climb", now.mono + self._vars.number(_RETURN) * (1 + part / 4))

    def _shown(self) -> str:
        return self.target.shown if self.target is not None else "nothing"

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
        VariableChanged: "on_changed",
        Tick: "on_tick",
    }


_ATTEMPTS = "OCPPCommCtrlr.NetworkProfileConnectionAttempts"
_RETURN = "OCPPCommCtrlr.NetworkReturnInterval"
