"""What the station promises beyond charging: lists, reservations, updates, logs, security events, certificates.

Like `checker`: what left the station, what was committed and what the world became are compared; nobody asks a block
what it thinks. The CSMS believes only what it was told: a request without an answer makes what it is about unsure, and
so does a process that dies while the disk refuses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agent.core.effects import Effect, Forget, Record, Remember, Restart
from agent.core.evse import Evse
from agent.core.types import TransactionEvent, TxKind
from tests.simulation.books import Payload
from tests.simulation.places import Moves
from tests.simulation.plan import Plan
from tests.simulation.statuses import FIRMWARE, LAST_MOMENT_S, LOG, PLAIN, Statuses
from tests.simulation.workshop import ORIGINAL, Workshop

CLOCK_S = 60.0  # how far the station's clock may be from the truth once the CSMS has told it the time
NOTICES_MAX = 200
FIRMWARE_CALLS = ("FirmwareStatusNotification", "SignedFirmwareStatusNotification")
LOG_CALLS = ("DiagnosticsStatusNotification", "LogStatusNotification")
Complain = Callable[[str], None]


@dataclass(slots=True)
class Held:
    """A reservation as the CSMS made it. `sure`: it was accepted, and nothing has happened since that may end it."""

    evse: int
    token: str
    group: str
    expires: float
    sure: bool = False
    over: bool = False  # by what the CSMS knows it can be used no more
    used_by: str = ""


class Reservations:
    def __init__(
        self, plan: Plan, now: Callable[[], float], tokens: dict[str, tuple[str, str]], complain: Complain
    ) -> None:
        self._plan, self._now, self._tokens, self._complain = plan, now, tokens, complain
        self.made: dict[int, list[Held]] = {}
        self._known: set[str] = set()  # transactions whose token was told
        self.used = 0

    # --- the CSMS ---------------------------------------------------------------------------------------------------

    def asked(self, number: int, held: Held) -> Held:
        for old in self.made.setdefault(number, []):
            old.sure = False
        self.made[number].append(held)
        return held

    def answered(self, number: int, held: Held, accepted: bool) -> None:
        """Refused, it leaves the one before it as it was; that is unsure from now on all the same."""
        held.sure, held.over = accepted, not accepted
        for old in self.made[number]:
            if accepted and old is not held:
                old.over = True

    def cancelled(self, number: int, known: bool) -> None:
        for held in self.made.get(number, ()):
            held.sure = False
            held.over |= known

    # --- the world ----------------------------------------------------------------------------------------------------

    def settled(self, evses: Sequence[Evse]) -> None:
        """What is faulted or out of service loses its reservation."""
        broken = {evse.id for evse in evses if evse.stopped_by_fault or not evse.operative}
        if broken:
            for held in self._live():
                held.sure &= held.evse not in broken and held.evse != 0

    def _live(self) -> list[Held]:
        return [made[-1] for made in self.made.values() if made[-1].sure]

    def recorded(self, event: TransactionEvent) -> None:
        number = event.reservation_id
        if number is not None and event.token is not None:
            self._uses(number, event)
        if event.token is not None and event.transaction not in self._known:
            self._known.add(event.transaction)
            self._stranger(event)
        if event.kind is TxKind.ENDED:
            self._known.discard(event.transaction)

    def _uses(self, number: int, event: TransactionEvent) -> None:
        assert event.token is not None
        made = [held for held in self.made.get(number, ()) if held.used_by in ("", event.transaction)]
        fitting = [held for held in made if held.evse in (0, event.evse) and self._fits(held, event)]
        if not fitting:
            self._complain(f"{event.transaction} at EVSE {event.evse} uses reservation {number}, which is not its own")
        elif all(held.over for held in fitting):
            self._complain(f"{event.transaction} uses reservation {number}, which was over")
        else:
            held = next(held for held in fitting if not held.over)
            self.used += not held.used_by
            held.used_by, held.sure = event.transaction, False

    def _fits(self, held: Held, event: TransactionEvent) -> bool:
        assert event.token is not None
        group = self._tokens.get(event.token.value, ("", ""))[1]
        return event.token.value == held.token or (bool(held.group) and group == held.group)

    def _stranger(self, event: TransactionEvent) -> None:
        assert event.token is not None
        for held in self._live():
            here = held.evse == event.evse or (held.evse == 0 and self._plan.evses == 1)
            if here and self._now() < held.expires - CLOCK_S and not self._fits(held, event):
                who = event.token.value
                self._complain(
                    f"{event.transaction}: {who} starts at EVSE {event.evse}, which is kept for {held.token}"
                )

    def life_lost(self, sure: bool) -> None:
        for made in self.made.values():
            for held in made:
                held.sure &= sure


class LocalList:
    """`entries` by token; None: nobody can say."""

    def __init__(self, complain: Complain) -> None:
        self._complain = complain
        self.version: int | None = None
        self.entries: set[str] | None = None
        self.taken = 0

    def unsure(self) -> None:
        self.version = self.entries = None

    def took(self, version: int, full: bool, named: set[str], removed: set[str]) -> None:
        before = set() if full else self.entries
        self.entries = None if before is None else (before | named) - removed
        self.version = None if self.entries is None else version if self.entries else 0
        self.taken += 1

    def told(self, version: int) -> None:
        if self.version is not None and version != self.version:
            self._complain(f"the local list has version {self.version}, {version} was told")

    def judged(self, status: str, version: int, full: bool) -> None:
        """A version that is not newer is no update."""
        if full or self.version is None:
            return
        if status == "Accepted" and version <= self.version:
            self._complain(f"version {version} of the local list was taken over version {self.version}")
        if status == "VersionMismatch" and version > self.version:
            self._complain(f"version {version} of the local list was refused over version {self.version}")


class Notices:
    """Security events: from the commit on they wait until they are told, one by one, each under a name of its own."""

    def __init__(self, now: Callable[[], float], complain: Complain) -> None:
        self._now, self._complain = now, complain
        self.waiting: dict[int, bool] = {}  # number -> it has left at least once
        self._texts: dict[str, str] = {}
        self._acked: dict[str, float] = {}
        self._told: set[int] = set()
        self._last = 0
        self.trouble: Callable[[], bool] = lambda: False
        self.told_count = 0

    def committed(self, effect: Effect) -> None:
        if isinstance(effect, Remember):
            self.waiting[int(effect.key)] = int(effect.key) in self._told
        elif isinstance(effect, Forget) and effect.key is not None:
            left = self.waiting.pop(int(effect.key), True)
            if not left and len(self.waiting) < NOTICES_MAX:
                self._complain(f"security event {effect.key} is given up, and was never told")
        else:
            self.waiting.clear()

    def told(self, message_id: str, payload: Payload) -> None:
        text = json.dumps(payload, sort_keys=True)
        number = message_id.rpartition("-s")[2]
        if not number.isdecimal() or not (int(number) in self.waiting or self.trouble()):
            self._complain(f"security event {message_id} is told, and is none that waits")
            return
        if message_id in self._texts:
            self._again(message_id, text)
            return
        if int(number) < self._last:
            self._complain(f"security event {message_id} is told after {self._last}")
        self._last, self._texts[message_id] = int(number), text
        self._told.add(int(number))
        self.waiting[int(number)] = True
        self.told_count += 1

    def _again(self, message_id: str, text: str) -> None:
        if self._texts[message_id] != text:
            self._complain(
                f"security event {message_id} is repeated with another text: {self._texts[message_id]} / {text}"
            )
        if message_id in self._acked:
            self._complain(f"security event {message_id} is repeated although it was answered")

    def acked(self, message_id: str) -> None:
        if message_id in self._texts:
            self._acked[message_id] = self._now()

    def life_lost(self, sure: bool) -> None:
        if not sure:  # numbers that were not stored are given anew
            self.waiting, self._texts, self._acked, self._last = dict.fromkeys(self.waiting, True), {}, {}, 0
            self._told.clear()
        for message_id in [one for one, at in self._acked.items() if self._now() - at < LAST_MOMENT_S]:
            del self._acked[message_id]

    def unfinished(self) -> list[str]:
        return [f"security event {number} was never told" for number, left in self.waiting.items() if not left]


class Updates:
    """What becomes of firmware: the words, and whether they are true."""

    def __init__(self, shop: Workshop, statuses: Statuses, complain: Complain) -> None:
        self._shop, self.statuses, self._complain = shop, statuses, complain
        self.places: dict[int | None, list[str]] = {}  # by request id: where the firmware was to come from
        self._claimed: set[str] = set()
        self._sure = True
        self.installed = 0

    def told(self, key: int | None, word: str, message_id: str) -> None:
        self.statuses.told(key, word, message_id)
        if word != "Installed" or message_id in self._claimed:
            return
        ran = [place for place in self.places.get(key, ()) if place in self._shop.ran and place != ORIGINAL]
        if not ran and self._shop.kind != "blind":
            self._complain(f"firmware of order {key} is told to be installed, and never ran")
        self._claimed.add(message_id)
        self.installed += 1


class Promises:
    """`open_transactions` gives the names of those that are on disk and not ended."""

    def __init__(
        self,
        plan: Plan,
        now: Callable[[], float],
        tokens: dict[str, tuple[str, str]],
        shop: Workshop,
        open_transactions: Callable[[], list[str]],
        complain: Complain,
    ) -> None:
        self._shop, self._open, self._complain, self._now = shop, open_transactions, complain, now
        self.reservations = Reservations(plan, now, tokens, complain)
        self.local_list = LocalList(complain)
        self.notices = Notices(now, complain)
        plain = FIRMWARE if plan.version != "1.6" else PLAIN
        self.updates = Updates(shop, Statuses("firmware", FIRMWARE, plain, now, complain), complain)
        self.moves = Moves(now, complain)
        self.logs = Statuses("log", LOG, LOG, now, complain)
        self.names: dict[int | None, str] = {}  # of log files, by request
        self.installing: Callable[[], bool] = lambda: False

    # --- frames -------------------------------------------------------------------------------------------------------

    def left(self, message_id: str, action: str, payload: Payload) -> None:
        """A CALL leaves the station."""
        if action == "SecurityEventNotification":
            self.notices.told(message_id, payload)
        elif action in FIRMWARE_CALLS:
            self.updates.told(payload.get("requestId"), payload["status"], message_id)
        elif action in LOG_CALLS:
            self._log(payload.get("requestId"), payload["status"], message_id)

    def _log(self, key: int | None, word: str, message_id: str) -> None:
        self.logs.told(key, word, message_id)
        name = self.names.get(key)
        if word == "Uploaded" and key is not None and name is not None and name not in self._shop.uploads:
            self._complain(f"log {key} is told to be uploaded, and {name} never came")

    def acked(self, message_id: str) -> None:
        """It was answered in time."""
        for told in (self.notices, self.updates.statuses, self.logs):
            told.acked(message_id)

    def line_lost(self) -> None:
        self.updates.statuses.line_lost()
        self.logs.line_lost()

    # --- the agent ----------------------------------------------------------------------------------------------------

    def committed(self, effect: Effect) -> None:
        if isinstance(effect, (Remember, Forget)):
            if effect.table == "security_queue":
                self.notices.committed(effect)
        elif isinstance(effect, Record):
            self.reservations.recorded(effect.event)
            if effect.event.kind is TxKind.STARTED and self.installing():
                self._complain(f"{effect.event.transaction} starts while firmware is being installed")

    def settled(self, effects: Sequence[Effect], evses: Sequence[Evse]) -> None:
        self.reservations.settled(evses)
        for effect in effects:
            if isinstance(effect, Restart) and "firmware" in effect.why:
                self._none_open("the charger restarts for new firmware")

    def installs(self) -> None:
        if not self._shop.quiet:
            self._none_open("firmware is being installed")

    def _none_open(self, what: str) -> None:
        found = self._open()
        if found:
            self._complain(f"{what} while {', '.join(found)} is open")

    def life_lost(self, sure: bool) -> None:
        """A process has ended; `sure`: all that it decided was on disk."""
        told: Any
        for told in (self.reservations, self.notices, self.updates.statuses, self.logs):
            told.life_lost(sure)
        if not sure:
            self.local_list.unsure()

    # --- certificates -------------------------------------------------------------------------------------------------

    def certificate_ids(self, payload: Payload, v16: bool) -> None:
        """What was told is what the trust store held when it was asked."""
        chains: list[Any] = payload.get("certificateHashData" if v16 else "certificateHashDataChain", [])
        told = [one["serialNumber"] if v16 else one["certificateHashData"]["serialNumber"] for one in chains]
        if told != [named.serial for _, named in self._shop.told_ids]:
            self._complain(f"the certificates {told} are told, there are {self._shop.told_ids}")

    def certificate_kept(self, kind: str, text: str, there: bool) -> None:
        if ((kind, text) in self._shop.roots) is not there:
            self._complain(f"the root {text} should {'' if there else 'not '}be installed")

    # --- the end ------------------------------------------------------------------------------------------------------

    @property
    def uploads(self) -> int:
        return len(self._shop.uploads)

    def unfinished(self) -> list[str]:
        return [*self.updates.statuses.unfinished(), *self.logs.unfinished(), *self.notices.unfinished()]
