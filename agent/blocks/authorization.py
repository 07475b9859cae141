"""C: Authorization. Who may charge, by whose word, and at which EVSE.

Online, the CSMS is asked, unless LocalPreAuthorize lets the cache answer first. Offline (no link, or not accepted),
LocalAuthorizeOffline lets the cache answer, and OfflineTxForUnknownIdEnabled lets strangers in. A question that stays
unanswered is decided as offline. The card that started a transaction stops it without any question (C01.FR.03), a card
of the same group after the group is known. A grant that nobody uses lapses after EVConnectionTimeOut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from agent.blocks.cache import TokenCache
from agent.blocks.station import Block, Facts, Out
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
from agent.core.requests import ClearCacheRequested
from agent.core.types import Instant, StopReason, TokenInfo, TokenStatus, Trigger
from drivers.api import IdToken, shorten

MAX_QUESTIONS = 16
ACCEPTED = TokenInfo(TokenStatus.ACCEPTED)


@dataclass(slots=True)
class _Question:
    """A token that the CSMS was asked about, and what it was presented for."""

    token: IdToken
    evses: tuple[int, ...]
    trigger: Trigger
    remote_start_id: int | None = None


@dataclass(slots=True)
class _Floating:
    """A grant for whichever of several EVSEs is plugged in first."""

    grant: Grant
    evses: tuple[int, ...]

    @property
    def name(self) -> str:
        return _key(self.grant.token)


class Authorization(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._vars = facts.variables
        self._cache = TokenCache(facts.variables)
        self._asked: dict[tuple[str, tuple[int, ...]], _Question] = {}
        self._floating: list[_Floating] = []  # the eldest first
        self._deadlines = Deadlines()

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    # --- a token is presented -----------------------------------------------------------------------------------

    def on_token(self, e: TokenPresented, now: Instant) -> Out:
        evses = [self._facts.evses[n] for n in e.evses]
        mine = next((v for v in evses if _charges(v, e.token)), None)
        floating = next((f for f in self._floating if _same(f.grant.token, e.token)), None)
        if mine is not None:
            yield from self._second_tap(mine, e.token)
        elif floating is not None:
            self._land(floating)
        elif not self._candidates(evses) and not any(v.tx for v in evses):
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
        if self._vars.flag("AuthCtrlr.AuthorizeRemoteStart"):
            yield from self._decide(question, now)
        else:
            yield from self._use(question, TokenInfo(TokenStatus.ACCEPTED, e.group), now)

    def _decide(self, question: _Question, now: Instant) -> Iterator[Event | Effect]:
        """By the cache if the rules let it speak, else by asking."""
        known = self._cache.lookup(question.token, now)
        if not self._vars.flag("AuthCtrlr.Enabled"):
            yield from self._use(question, ACCEPTED, now)
        elif not self._facts.online:
            yield from self._decide_alone(question, now)
        elif known and known.accepted(now.utc) and self._vars.flag("AuthCtrlr.LocalPreAuthorize"):
            yield from self._use(question, known, now)
        elif known and not known.accepted(now.utc) and self._vars.flag("AuthCacheCtrlr.DisablePostAuthorize"):
            yield from self._deny(question.evses, question.token, f"the cache says {known.status}")
        elif len(self._asked) >= MAX_QUESTIONS:
            yield from self._deny(question.evses, question.token, "too many cards at once")
        else:
            self._asked[_key(question.token), question.evses] = question
            purpose = "remote" if question.trigger is Trigger.REMOTE_START else "start"
            yield Ask(Authorize(question.token, question.evses, purpose))

    def _decide_alone(self, question: _Question, now: Instant) -> Iterator[Event | Effect]:
        known = self._cache.lookup(question.token, now)
        if known is not None and self._vars.flag("AuthCtrlr.LocalAuthorizeOffline"):
            yield from self._use(question, known, now)
        elif known is None and self._vars.flag("AuthCtrlr.OfflineTxForUnknownIdEnabled"):
            yield from self._use(question, ACCEPTED, now)
        else:
            yield from self._deny(question.evses, question.token, "offline, and the card is not known here")

    # --- the CSMS has spoken ------------------------------------------------------------------------------------

    def on_answer(self, e: TokenAnswered, now: Instant) -> Out:
        yield from self._cache.learn(e.call.token, e.info, now)
        question = self._asked.pop((_key(e.call.token), e.call.evses), None)
        if question is not None:
            yield from self._use(question, e.info, now)

    def on_failed(self, e: CallFailed, now: Instant) -> Out:
        if isinstance(e.call, Authorize):
            question = self._asked.pop((_key(e.call.token), e.call.evses), None)
            if question is not None:
                yield from self._decide_alone(question, now)

    def on_transaction(self, e: TransactionAnswered, now: Instant) -> Out:
        token = e.event.token
        if e.info is None or token is None:
            return
        yield from self._cache.learn(token, e.info, now)
        evse = self._facts.evses.get(e.event.evse)
        if evse is None or evse.grant is None or evse.tx is None or evse.tx.id != e.event.transaction:
            return
        if e.info.group and not evse.grant.info.group and _same(evse.grant.token, token):
            old = evse.grant
            info = TokenInfo(old.info.status, e.info.group, old.info.expires)
            evse.grant = Grant(old.token, info, old.trigger, old.at, old.remote_start_id, old.reservation_id)

    # --- what follows -------------------------------------------------------------------------------------------

    def _use(self, question: _Question, info: TokenInfo, now: Instant) -> Iterator[Event | Effect]:
        """The token is judged: stop what its group charges, or start at the EVSE that suits best."""
        token = question.token
        if not info.accepted(now.utc):
            why = info.status if info.status is not TokenStatus.ACCEPTED else TokenStatus.EXPIRED
            yield from self._deny(question.evses, token, f"the card is {why}")
            return
        evses = [self._facts.evses[n] for n in question.evses]
        free = self._candidates(evses)
        of_group = next((v for v in evses if self._may_stop(v, info)), None)
        if of_group is not None and not any(v.plugged for v in free):
            yield from self._stop_by_group(of_group, token, info)
        elif not free:
            yield from self._deny(question.evses, token, "no EVSE here is free")
        else:
            yield from self._grant(free, question, info, now)

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
        grant = Grant(question.token, info, question.trigger, now, question.remote_start_id)
        plugged = [v for v in free if v.plugged]
        waiting = [f for f in self._floating if {*f.evses} & {v.id for v in free}]
        if not plugged and len(free) <= len(waiting):
            yield from self._deny(question.evses, question.token, "every free EVSE waits for somebody else")
        elif plugged or len(free) == 1:
            yield from self._give(max(plugged, key=lambda v: v.plugged_at) if plugged else free[0], grant, now)
        else:
            self._float(_Floating(grant, tuple(v.id for v in free)), now)

    def _float(self, floating: _Floating, now: Instant) -> None:
        self._floating.append(floating)
        wait_s = self._vars.number("TxCtrlr.EVConnectionTimeOut")
        if wait_s:
            self._deadlines.set(floating.name, now.mono + wait_s)

    def _land(self, floating: _Floating) -> None:
        self._floating.remove(floating)
        self._deadlines.clear(floating.name)

    def _give(self, evse: Evse, grant: Grant, now: Instant) -> Iterator[Event | Effect]:
        evse.grant = grant
        wait_s = self._vars.number("TxCtrlr.EVConnectionTimeOut")
        if not evse.plugged and wait_s:
            self._deadlines.set(evse.id, now.mono + wait_s)
        fields = (("EVSE", evse.id), ("TOKEN", shorten(grant.token.value)))
        yield Note("info", "Authorized", f"EVSE {evse.id}: card {shorten(grant.token.value)} may charge", fields)
        yield Granted(evse.id, grant.token, grant.info, grant.trigger, grant.remote_start_id, grant.reservation_id)

    def on_plugged(self, e: Plugged, now: Instant) -> Out:
        self._deadlines.clear(e.evse)
        floating = next((f for f in self._floating if e.evse in f.evses), None)
        if floating is not None and self._facts.evses[e.evse].free:
            self._land(floating)
            yield from self._give(self._facts.evses[e.evse], floating.grant, now)

    def on_unplugged(self, e: Unplugged, now: Instant) -> Out:
        """A grant that was not used when its EV left waits anew, but not for ever: the next EV may be another's."""
        evse = self._facts.evses[e.evse]
        wait_s = self._vars.number("TxCtrlr.EVConnectionTimeOut")
        if evse.grant is None or evse.tx is not None:
            return
        if wait_s:
            self._deadlines.set(evse.id, now.mono + wait_s)
        else:
            yield from self._lapse(evse)

    def on_stop(self, e: StopWanted, _now: Instant) -> Out:
        self._facts.evses[e.evse].grant = None
        self._deadlines.clear(e.evse)
        return iter(())

    def on_ended(self, e: TransactionEnded, _now: Instant) -> Out:
        self._facts.evses[e.evse].grant = None
        return iter(())

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        for name in self._deadlines.due(now.mono):
            if isinstance(name, int):
                yield from self._lapse(self._facts.evses[name])
            else:
                self._floating = [f for f in self._floating if f.name != name]

    def _lapse(self, evse: Evse) -> Iterator[Event | Effect]:
        self._deadlines.clear(evse.id)
        grant, evse.grant = evse.grant, None
        if grant is None:
            return
        if evse.tx is not None:
            yield StopWanted(evse.id, StopReason.TIMEOUT, Trigger.EV_CONNECT_TIMEOUT)
        yield GrantLapsed(evse.id, grant.token)
        yield Note(
            "info",
            "GrantLapsed",
            f"EVSE {evse.id}: nobody plugged in; the authorization has lapsed",
            (("EVSE", evse.id),),
        )

    def _deny(self, evses: tuple[int, ...], token: IdToken, why: str) -> Iterator[Event | Effect]:
        yield Denied(evses, token, why)
        yield Note("info", "Denied", f"card {shorten(token.value)} refused: {why}", (("TOKEN", shorten(token.value)),))

    def _candidates(self, evses: Sequence[Evse]) -> list[Evse]:
        return [] if self._facts.closing else [v for v in evses if v.free]

    # --- memory -------------------------------------------------------------------------------------------------

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        table: dict[str, Any] = dict(e.tables.get(TokenCache.TABLE, {}))
        self._cache.load(table)
        return iter(())

    def on_clear(self, e: ClearCacheRequested, _now: Instant) -> Out:
        enabled = self._vars.flag("AuthCacheCtrlr.Enabled")
        if enabled:
            self._cache.clear()
            yield Forget(TokenCache.TABLE)
        yield Reply(e.ref, StatusAnswer("Accepted" if enabled else "Rejected"))

    HEARS: ClassVar = {
        Restored: "on_restored",
        TokenPresented: "on_token",
        RemoteStartWanted: "on_remote",
        TokenAnswered: "on_answer",
        CallFailed: "on_failed",
        TransactionAnswered: "on_transaction",
        Plugged: "on_plugged",
        Unplugged: "on_unplugged",
        StopWanted: "on_stop",
        TransactionEnded: "on_ended",
        Tick: "on_tick",
        ClearCacheRequested: "on_clear",
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
