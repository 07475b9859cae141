"""A and B: where the link is dialled just now, and what is known of going elsewhere. Decided on by `blocks.network`.

Rules kept: every other target has a number of its own, and being accepted by the one before says nothing of it; when
the better slot is tried again differs from charger to charger and from time to time.
"""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

from agent.blocks.network_memory import TABLE, Doubts, Failures, Forms
from agent.blocks.network_writes import Wishes
from agent.core.deadlines import Deadlines
from agent.core.effects import Effect, Note, Redial, Remember
from agent.core.events import Event
from agent.core.network import CsmsChanged, Links, Plan, State, Target
from agent.core.types import Instant
from agent.core.variables import Variables

SETTLED_S = 60.0  # a connection that stood so long was no failure, even if nobody accepted anything on it
TRIAL = "OCPPCommCtrlr.NetworkTrialTimeout"
_RETURN = "OCPPCommCtrlr.NetworkReturnInterval"


class Course:
    """`slot`: the one in use; `before`: the one to come back to; `resort`: the last resort may be used; `moves`: how
    often we went elsewhere since somebody has accepted us; `turned`: while a link is not believed in, it is the turn of
    the one before."""

    def __init__(self, variables: Variables, links: Links, salt: str) -> None:
        self._vars, self._salt = variables, salt
        self.deadlines = Deadlines()
        self.state = State.STANDING
        self.slot = self.before = 1
        self.resort = self.turned = False
        self.moves = 0
        self.failures = Failures()
        self.forms = Forms()
        self.doubts = Doubts()
        self.number = 1  # of the target; changes with each
        self.wishes = Wishes(variables, links, lambda: self.free, lambda: self.slot)

    @property
    def free(self) -> bool:
        """Nothing is being tried."""
        return self.state in (State.STANDING, State.GATHERING) and not self.turned

    @property
    def doubted(self) -> bool:
        return self.doubts.before is not None

    @property
    def plan(self) -> Plan:
        """What is dialled by: the wanted one while it is tried."""
        wanted = self.wishes.wanted
        return wanted if self.state is State.TRYING and wanted is not None else self.wishes.standing

    @property
    def target(self) -> Target | None:
        plan = self.plan
        if (profile := self.wishes.links.profile(plan, self.slot)) is None:
            return None
        fresh = plan.certificate != self.wishes.standing.certificate
        form = self.forms.of(self.slot, profile, fresh=self.state is State.TRYING)
        return Target(self.number, self.slot, profile, form, plan.certificate, fresh, self._coming)

    @property
    def _coming(self) -> str:
        wanted, waits = self.wishes.wanted, self.doubts.certificate
        return waits.mark if waits is not None else wanted.certificate if wanted is not None else ""

    @property
    def shown(self) -> str:
        return self.target.shown if self.target is not None else "nothing"

    def dials(self, before: Target | None) -> bool:
        """The target is still what it was."""
        return before is not None and self.target is not None and self.target.profile == before.profile

    def order(self) -> tuple[int, ...]:
        """The slots to use, the preferred one first."""
        return self.wishes.order(self.resort)

    def lost(self, now: Instant) -> None:
        """From now on nobody accepts us."""
        after_s = self._vars.number("OCPPCommCtrlr.NetworkLastResortAfter")
        if after_s:
            self.deadlines.keep("resort", now.mono + after_s)

    def move(self, slot: int, now: Instant, why: str, *, rounds: int = 0) -> Iterator[Event | Effect]:
        self.slot = slot
        self.arm_climb(now)
        yield from self.dial(now, f"{why}; now {self.shown}", rounds=rounds)

    def dial(self, now: Instant, why: str, *, rounds: int = 0) -> Iterator[Event | Effect]:
        """Another target from now on. `rounds`: one of so many that take turns; once each has had its turn in vain, the
        next dial waits as one after any other failure does."""
        self.number += 1
        self.moves += 1 if rounds else 0
        self.failures.begin()
        self.forms.afresh()
        self.deadlines.clear("settled")
        self.lost(now)
        yield Note("info", "LinkChange", why)
        yield CsmsChanged()
        yield Redial(why, at_once=not rounds or self.moves < rounds)

    def arm_climb(self, now: Instant) -> None:
        """From a lesser slot that is good the best one is tried again some time."""
        if self.slot == self.order()[0] or self.state is not State.STANDING or self.doubted:
            self.deadlines.clear("climb")
            return
        part = crc32(f"{self._salt}/{self.number}".encode()) / 2**32
        self.deadlines.set("climb", now.mono + self._vars.number(_RETURN) * (1 + part / 4))

    # --- a link that was accepted, and is not believed in yet -----------------------------------------------------

    def doubt(self, now: Instant) -> Iterator[Effect]:
        """Another plan takes the place of the one that stands."""
        yield from self.doubts.begin(self.wishes.standing, self.before)
        self.watch_doubts(now)

    def watch_doubts(self, now: Instant) -> None:
        self.deadlines.set("doubt", now.mono + self._vars.number(TRIAL) + SETTLED_S)

    def end_doubts(self) -> Iterator[Effect]:
        self.deadlines.clear("doubt")
        self.turned = False
        yield from self.doubts.end()

    def believe(self, now: Instant) -> Iterator[Effect]:
        """The one in use has stood for a while: it is the only one from now on."""
        if self.doubts.before is not None:
            if not self.turned:
                self.wishes.standing = self.wishes.raised(*self.doubts.before, self.slot)
            yield Remember(TABLE, "plan", self.wishes.standing.json())
            yield from self.end_doubts()
            self.arm_climb(now)

    def turn(self, now: Instant) -> None:
        """The other one's turn. In memory only: after a restart the newer one comes first again."""
        assert self.doubts.before is not None
        (plan, slot), self.doubts.before = self.doubts.before, (self.wishes.standing, self.slot)
        self.wishes.standing = self.wishes.links.fresh(plan)[0]
        self.turned = not self.turned
        self.slot = self.before = self.wishes.known(slot)
        self.forms.drop(self.slot)
        self.watch_doubts(now)
