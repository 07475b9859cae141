"""C: Authorization. Who may charge, by whose word, and at which EVSE.

Online, the CSMS is asked, unless LocalPreAuthorize lets what is known here (the local list, else the cache) answer
first. Offline (no link, or not accepted), LocalAuthorizeOffline lets that answer, and OfflineTxForUnknownIdEnabled lets
strangers in. A question that stays unanswered is decided as offline. What is reserved is for its bearer only (`holds`);
where a group may make somebody its bearer and is not known here, the CSMS is asked. The card that started a transaction
stops it without any question (C01.FR.03), a card of the same group after the group is known. A grant that nobody uses
lapses after EVConnectionTimeOut, or soon after its car has left. Of one token one grant at most waits for a car at any
of several EVSEs, the newest; the card shown where fewer of them are served chooses, shown where all are it takes the
grant back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from agent.blocks.cache import TokenCache
from agent.blocks.holds import Holds
from agent.blocks.kept import Kept
from agent.blocks.known import KnownTokens
from agent.blocks.station import Block, Facts, Out
from agent.blocks.waiting import Floating, Waiting, cars_for, newly_plugged
from agent.core.deadlines import Deadlines
from agent.core.effects import Ask, Authorize, Effect, Forget, Note, Reply, StatusAnswer
from agent.core.events import (
    CallFailed,
    Denied,
    Event,
    Granted,
    GrantLapsed,
    Plugged,
    RemoteStartWanted,
    Restored,
    StopWanted,
    Tick,
    TokenAnswered,
    TokenPresented,
    TransactionAnswered,
    TransactionEnded,
    Unplugged,
)
from agent.core.evse import Evse, Grant
from agent.core.local_list import TokensListed
from agent.core.record import replace
from agent.core.requests import ClearCacheRequested
from agent.core.reservation import ReservationEnded
from agent.core.technician import LocalStartWanted
from agent.core.types import Instant, StopReason, TokenInfo, TokenStatus, Trigger
from drivers.api import IdToken, shorten

MAX_QUESTIONS = 16
REPLUG_S = 30.0  # the next driver needs longer: first the car that leaves has to make room
ACCEPTED = TokenInfo(TokenStatus.ACCEPTED)


@dataclass(slots=True)
class _Question:
    """A token that the CSMS was asked about, and what it was presented for."""

    token: IdToken
    evses: tuple[int, ...]
    trigger: Trigger
    remote_start_id: int | None = None
    left: bool = False  # a car has gone from there since


class Authorization(Block):
    """`listed` says what the local list says of a token, if anything."""

    def __init__(
        self,
        facts: Facts,
        holds: Holds | None = None,
        listed: Callable[[IdToken], TokenInfo | None] = lambda _token: None,
    ) -> None:
        self._facts = facts
        self._vars = facts.variables
        self._holds = holds or Holds(facts.evses)
        self._known = KnownTokens(facts.variables, listed)
        self._asked: dict[tuple[str, tuple[int, ...]], _Question] = {}
        self._waiting = Waiting(facts.evses, self._holds)
        self._deadlines = Deadlines()

    @property
    def waiting(self) -> Waiting:
        """Who was let in and has not chosen an EVSE yet."""
        return self._waiting

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    # --- a token is presented -----------------------------------------------------------------------------------

    def on_token(self, e: TokenPresented, now: Instant) -> Out:
        evses = [self._facts.evses[n] for n in e.evses]
        mine = next((v for v in evses if _charges(v, e.token)), None)
        floating = self._waiting.of(e.token)
        if mine is not None:
            yield from self._second_tap(mine, e.token)
        elif floating is not None and {*e.evses} < {*floating.evses} and self._free(e.evses):
            chosen = _Question(e.token, e.evses, floating.grant.trigger, floating.grant.remote_start_id)
            yield from self._use(chosen, floating.grant.info, now)
        elif floating is not None:
            self._land(floating)
        elif not self._free(e.evses) and not any(v.tx for v in evses):
            yield from self._deny(e.evses, e.token, "no EVSE here is free")
        elif not any(_same(asked.token, e.token) and {*asked.evses} & {*e.evses} for asked in self._asked.values()):
            yield from self._decide(_Question(e.token, e.evses, Trigger.AUTHORIZED), now)

    def _second_tap(self, evse: Evse, token: IdToken) -> Iterator[Event | Effect]:
        if evse.tx is not None:
            yield StopWanted(evse.id, StopReason.LOCAL, Trigger.STOP_AUTHORIZED, token)
        else:
            yield from self._lapse(evse)

    def on_remote(self, e: RemoteStartWanted, now: Instant) -> Out:
        question = _Question(e.token, e.evses, Trigger.REMOTE_START, e.remote_start_id)
        known = self._known.lookup(e.token, now)
        info = TokenInfo(TokenStatus.ACCEPTED, e.group or (known.info.group if known else None))
        if self._vars.flag("AuthCtrlr.AuthorizeRemoteStart"):
            yield from self._decide(question, now)
        else:
            yield from self._use_or_ask(question, info, now)

    def on_local(self, e: LocalStartWanted, now: Instant) -> Out:
        return self._use(_Question(e.token, (e.evse,), Trigger.AUTHORIZED), ACCEPTED, now)

    def _decide(self, question: _Question, now: Instant) -> Iterator[Event | Effect]:
        """By what is known here if the rules let it speak, else by asking."""
        known = self._known.lookup(question.token, now)
        if not self._vars.flag("AuthCtrlr.Enabled"):
            yield from self._use(question, ACCEPTED, now)
        elif not self._facts.online:
            yield from self._decide_alone(question, now)
        elif known and known.info.accepted(now.utc) and self._vars.flag("AuthCtrlr.LocalPreAuthorize"):
            yield from self._use_or_ask(question, known.info, now)
        elif known and not known.info.accepted(now.utc) and known.final:
            yield from self._deny(question.evses, question.token, f"it is known here as {known.info.status}")
        else:
            yield from self._ask(question)

    def _use_or_ask(self, question: _Question, info: TokenInfo, now: Instant) -> Iterator[Event | Effect]:
        """What is known here counts, unless a group that is not known here would open what is reserved."""
        free = self._free(question.evses)
        if self._facts.online and self._holds.depends_on_group(free, question.token, info.group):
            yield from self._ask(question)
        else:
            yield from self._use(question, info, now)

    def _ask(self, question: _Question) -> Iterator[Event | Effect]:
        if len(self._asked) >= MAX_QUESTIONS:
            yield from self._deny(question.evses, question.token, "too many cards at once")
            return
        self._asked[_key(question.token), question.evses] = question
        purpose = "remote" if question.trigger is Trigger.REMOTE_START else "start"
        yield Ask(Authorize(question.token, question.evses, purpose))

    def _decide_alone(self, question: _Question, now: Instant) -> Iterator[Event | Effect]:
        known = self._known.lookup(question.token, now)
        if known is not None and self._vars.flag("AuthCtrlr.LocalAuthorizeOffline"):
            yield from self._use(question, known.info, now)
        elif known is None and self._vars.flag("AuthCtrlr.OfflineTxForUnknownIdEnabled"):
            yield from self._use(question, ACCEPTED, now)
        else:
            yield from self._deny(question.evses, question.token, "offline, and the card is not known here")

    # --- the CSMS has spoken ------------------------------------------------------------------------------------

    def on_answer(self, e: TokenAnswered, now: Instant) -> Out:
        yield from self._known.learn(e.call.token, e.info, now)
        question = self._asked.pop((_key(e.call.token), e.call.evses), None)
        if question is not None:
            yield from self._use(question, replace(e.info, expires=None), now)  # its date counts when nobody is asked

    def on_failed(self, e: CallFailed, now: Instant) -> Out:
        if isinstance(e.call, Authorize):
            question = self._asked.pop((_key(e.call.token), e.call.evses), None)
            if question is not None:
                yield from self._decide_alone(question, now)

    def on_transaction(self, e: TransactionAnswered, now: Instant) -> Out:
        token = e.event.token
        if e.info is None or token is None:
            return
        yield from self._known.learn(token, e.info, now)
        evse = self._facts.evses.get(e.event.evse)
        if evse is None or evse.grant is None or evse.tx is None or evse.tx.id != e.event.transaction:
            return
        if e.info.group and not evse.grant.info.group and _same(evse.grant.token, token):
            old = evse.grant
            evse.grant = replace(old, info=replace(old.info, group=e.info.group))

    # --- what follows -------------------------------------------------------------------------------------------

    def _use(self, question: _Question, info: TokenInfo, now: Instant) -> Iterator[Event | Effect]:
        """The token is judged: stop what its group charges, or start at the EVSE that suits best."""
        token = question.token
        if not info.accepted(now.utc):
            why = info.status if info.status is not TokenStatus.ACCEPTED else TokenStatus.EXPIRED
            yield from self._deny(question.evses, token, f"the card is {why}")
            return
        evses = [self._facts.evses[n] for n in question.evses]
        free = self._free(question.evses)
        usable = self._holds.usable(free, token, info.group)
        of_group = next((v for v in evses if self._may_stop(v, info)), None)
        if of_group is not None and not newly_plugged(usable):
            yield from self._stop_by_group(of_group, token, info)
        elif not usable:
            yield from self._deny(
                question.evses, token, "it is reserved for others" if free else "no EVSE here is free"
            )
        else:
            yield from self._grant(usable, question, info, now)

    def _stop_by_group(self, evse: Evse, token: IdToken, info: TokenInfo) -> Iterator[Event]:
        master = self._is_master(info)
        reason = StopReason.MASTER_PASS if master else StopReason.LOCAL
        yield StopWanted(evse.id, reason, Trigger.STOP_AUTHORIZED, token)

    def _is_master(self, info: TokenInfo) -> bool:
        master = self._vars.text("AuthCtrlr.MasterPassGroupId").lower()
        return bool(master) and info.group is not None and info.group.value.lower() == master

    def _may_stop(self, evse: Evse, info: TokenInfo) -> bool:
        if evse.tx is None or evse.grant is None or evse.tx.stop is not None:
            return False
        group = evse.grant.info.group
        return self._is_master(info) or bool(group and info.group and _same(group, info.group))

    def _grant(
        self, free: Sequence[Evse], question: _Question, info: TokenInfo, now: Instant
    ) -> Iterator[Event | Effect]:
        if self._is_master(info):
            yield from self._deny(question.evses, question.token, "a master pass only stops")
            return
        earlier = self._waiting.of(question.token)
        if earlier is not None and {*earlier.evses} & {*question.evses}:
            self._land(earlier)  # this one takes its place
        grant = Grant(question.token, info, question.trigger, now, question.remote_start_id)
        reserved = self._holds.reserved(free, question.token, info.group)
        free = reserved or free  # who has one of his own is led there
        plugged = cars_for(free)
        if not plugged and not self._has_room(free, grant):
            yield from self._deny(question.evses, question.token, "every free EVSE waits for somebody else")
        elif plugged or (len(free) == 1 and free[0].free):
            chosen = max(plugged, key=lambda v: v.plugged_at) if plugged else free[0]
            yield from self._give(chosen, grant, now, self._wait_s(question.left))
        else:
            yield self._float(Floating(grant, tuple(v.id for v in free)), now, self._wait_s(question.left))

    def _wait_s(self, left: bool) -> float:
        """How long a grant waits for a car (0: for ever). Where one has left, before long the next is another's."""
        wait_s = self._vars.number("TxCtrlr.EVConnectionTimeOut")
        return min(wait_s or REPLUG_S, REPLUG_S) if left else wait_s

    def _has_room(self, free: Sequence[Evse], grant: Grant) -> bool:
        """Nothing is plugged in: is there an EVSE more than are waited for here, and are kept for others anywhere?"""
        token, group = grant.token, grant.info.group
        if any(self._holds.choose(v, token, group) is not None for v in free):
            return True
        others = self._holds.others(token, group)
        spare = not others or len(self._holds.vacant()) > self._waiting.strangers() + others
        return spare and len(free) > self._waiting.strangers(free)

    def _float(self, floating: Floating, now: Instant, wait_s: float) -> Note:
        self._waiting.add(floating)
        if wait_s:
            self._deadlines.set(floating.name, now.mono + wait_s)
        return floating.note("Authorized", "may charge at")

    def _land(self, floating: Floating) -> None:
        self._waiting.remove(floating.name)
        self._deadlines.clear(floating.name)

    def _give(self, evse: Evse, grant: Grant, now: Instant, wait_s: float) -> Iterator[Event | Effect]:
        grant = replace(grant, reservation_id=self._holds.choose(evse, grant.token, grant.info.group))
        evse.grant = grant
        if not evse.plugged and wait_s:
            self._deadlines.set(evse.id, now.mono + wait_s)
        fields = (("EVSE", evse.id), ("TOKEN", shorten(grant.token.value)))
        yield Note("info", "Authorized", f"EVSE {evse.id}: card {shorten(grant.token.value)} may charge", fields)
        yield Granted(evse.id, grant.token, grant.info, grant.trigger, grant.remote_start_id, grant.reservation_id)

    def on_plugged(self, e: Plugged, now: Instant) -> Out:
        self._deadlines.clear(e.evse)
        evse = self._facts.evses[e.evse]
        floating = self._waiting.at(evse)
        if floating is not None:
            self._land(floating)
            yield from self._give(evse, floating.grant, now, self._wait_s(left=False))

    def on_unplugged(self, e: Unplugged, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        if evse.grant is not None and evse.tx is None:
            self._deadlines.set(evse.id, now.mono + self._wait_s(left=True))
        for question in self._asked.values():
            question.left = question.left or evse.id in question.evses
        return iter(())

    def on_stop(self, e: StopWanted, _now: Instant) -> Out:
        self._facts.evses[e.evse].grant = None
        self._deadlines.clear(e.evse)
        return iter(())

    def on_ended(self, e: TransactionEnded, now: Instant) -> Out:
        """Whoever has come meanwhile, with a car or for this EVSE alone, is next."""
        evse = self._facts.evses[e.evse]
        evse.grant = None
        floating = self._waiting.at(evse)
        if floating is not None and (evse.plugged or floating.evses == (evse.id,)):
            self._land(floating)
            yield from self._give(evse, floating.grant, now, self._wait_s(left=False))

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        for name in self._deadlines.due(now.mono):
            if isinstance(name, int):
                yield from self._lapse(self._facts.evses[name])
            elif (floating := self._waiting.remove(name)) is not None:
                yield floating.note("GrantLapsed", "has lapsed: nobody plugged in at")

    def _lapse(self, evse: Evse) -> Iterator[Event | Effect]:
        self._deadlines.clear(evse.id)
        grant, evse.grant = evse.grant, None
        if grant is None:
            return
        if evse.tx is not None:
            yield StopWanted(evse.id, StopReason.TIMEOUT, Trigger.EV_CONNECT_TIMEOUT)
        yield GrantLapsed(evse.id, grant.token)
        text = f"EVSE {evse.id}: nobody plugged in; the authorization has lapsed"
        yield Note("info", "GrantLapsed", text, (("EVSE", evse.id),))

    def _deny(self, evses: tuple[int, ...], token: IdToken, why: str) -> Iterator[Event | Effect]:
        yield Denied(evses, token, why)
        yield Note("info", "Denied", f"card {shorten(token.value)} refused: {why}", (("TOKEN", shorten(token.value)),))

    def _free(self, evses: Sequence[int]) -> list[Evse]:
        """Those that are free, or are just being left."""
        places = [] if self._facts.closing else [self._facts.evses[n] for n in evses]
        return [v for v in places if v.free or v.clearing]

    def on_reservation_ended(self, e: ReservationEnded, _now: Instant) -> Out:
        """A grant that would have used it stands, but uses it no longer."""
        for evse in self._facts.evses.values():
            if evse.grant is not None and evse.tx is None and evse.grant.reservation_id == e.id:
                evse.grant = replace(evse.grant, reservation_id=None)
        return iter(())

    # --- memory -------------------------------------------------------------------------------------------------

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        kept = Kept(e, TokenCache.TABLE)
        self._known.cache.load(kept)
        yield from kept.forget()

    def on_listed(self, e: TokensListed, _now: Instant) -> Out:
        yield from self._known.listed(e.tokens)

    def on_clear(self, e: ClearCacheRequested, _now: Instant) -> Out:
        enabled = self._vars.flag("AuthCacheCtrlr.Enabled")
        if enabled:
            self._known.cache.clear()
            yield Forget(TokenCache.TABLE)
        yield Reply(e.ref, StatusAnswer("Accepted" if enabled else "Rejected"))

    HEARS: ClassVar = {
        Restored: "on_restored",
        TokenPresented: "on_token",
        RemoteStartWanted: "on_remote",
        LocalStartWanted: "on_local",
        TokenAnswered: "on_answer",
        CallFailed: "on_failed",
        TransactionAnswered: "on_transaction",
        Plugged: "on_plugged",
        Unplugged: "on_unplugged",
        StopWanted: "on_stop",
        TransactionEnded: "on_ended",
        Tick: "on_tick",
        ClearCacheRequested: "on_clear",
        TokensListed: "on_listed",
        ReservationEnded: "on_reservation_ended",
    }


def _key(token: IdToken) -> str:
    return token.value.lower()


def _charges(evse: Evse, token: IdToken) -> bool:
    """This token may charge here, or did before a restart that has not been looked into yet."""
    if evse.tx is not None and evse.tx.restored and evse.tx.token is not None:
        return _same(evse.tx.token, token)
    return evse.grant is not None and _same(evse.grant.token, token)


def _same(a: IdToken, b: IdToken) -> bool:
    """Token values compare without regard to case; a CSMS may know the same card under another kind."""
    return _key(a) == _key(b)
