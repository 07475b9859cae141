"""A scripted central system at the level of text, written apart from the agent's own dialects.

It answers every call of the station, or fails to, as its dice say (`plan.CsmsFaults`); it books transactions
(`books`); it sends requests of its own one at a time and checks that each gets exactly one answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.simulation.books import BOOKED, Books, Payload
from tests.simulation.plan import EPOCH, CsmsFaults, Rng

ANSWER_S = 0.05
LATE_S = (31.0, 70.0)
ASK_S = 60.0
Stamp = Callable[[], str]


class Line(Protocol):
    """One connection, seen from here."""

    version: str

    @property
    def up(self) -> bool: ...
    def tell(self, text: str) -> None: ...


@dataclass(slots=True)
class Question:
    """A request of ours. `answers`: how many came."""

    line: Line
    action: str
    payload: Payload
    then: Callable[[str, Payload], None] | None = None
    answers: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Csms:
    def __init__(self, rng: Rng, faults: CsmsFaults, tokens: Mapping[str, tuple[str, str]], complain: Any) -> None:
        self.books = Books(complain)
        self.faults = faults
        self.tokens = tokens  # value -> status, group
        self.line: Line | None = None
        self.accepted = False
        self.boots = 0
        self.calls = 0
        self.running: dict[str, int] = {}  # transactions we may stop, by our own names of them
        self.requests: asyncio.Queue[str] = asyncio.Queue()  # to sign a certificate
        self._rng = rng
        self._complain = complain
        self._questions: dict[str, Question] = {}
        self._asked = 0
        self._poisoned: dict[str, bool] = {}

    # --- the line -----------------------------------------------------------------------------------------------

    def connected(self, line: Line) -> None:
        self.line = line

    def lost(self, line: Line) -> None:
        if self.line is line:
            self.line = None
        for question in self._questions.values():
            question.done.set()
        self._questions.clear()

    def hear(self, line: Line, text: str) -> None:
        frame = json.loads(text)
        if frame[0] == 2:
            self._called(line, *frame[1:])
        else:
            self._answered(frame)

    # --- calls of the station -----------------------------------------------------------------------------------

    def _called(self, line: Line, message_id: str, action: str, payload: Payload) -> None:
        self.calls += 1
        dice, faults = self._rng.random(), self.faults
        chances = (faults.unheard, faults.lost, faults.late, faults.doubled, faults.refused)
        fate, bar = "", 0.0
        for name, chance in zip(("unheard", "lost", "late", "doubled", "refused"), chances, strict=True):
            bar += chance
            if not fate and dice < bar:
                fate = name
        if fate == "unheard":
            return
        if action in BOOKED and self._poison(message_id):
            fate = "refused"
        if action == "SecurityEventNotification" and faults.to_security:
            if faults.to_security == "ignores":
                return
            fate = "refused"
        if fate == "refused":
            self.books.refused.add(message_id)
            self._say(line, [4, message_id, "InternalError", "not today", {}], ANSWER_S)
            return
        answer = [3, message_id, self._answer(line, message_id, action, payload)]
        self.accepted &= action != "BootNotification" or fate not in ("lost", "late")  # the station does not know
        if fate != "lost":
            self._say(line, answer, self._rng.uniform(*LATE_S) if fate == "late" else ANSWER_S)
        if fate == "doubled":
            self._say(line, answer, ANSWER_S * 2)

    def _poison(self, message_id: str) -> bool:
        if not self.faults.poisoned:
            return False
        if message_id not in self._poisoned:
            self._poisoned[message_id] = self._rng.random() < self.faults.poisoned
        return self._poisoned[message_id]

    def _say(self, line: Line, frame: list[Any], after_s: float) -> None:
        text = json.dumps(frame)
        asyncio.get_running_loop().call_later(after_s, line.tell, text)

    def _answer(self, line: Line, message_id: str, action: str, payload: Payload) -> Payload:
        if action == "BootNotification":
            return self._boot()
        if action in ("Heartbeat",):
            return {"currentTime": self.now()}
        if action in BOOKED:
            booked = self.books.take(message_id, action, payload)
            self._follow(action, payload, booked)
            return booked | self._judged(action, payload)
        if action == "Authorize":
            return self._info(line, payload)
        if action == "SignCertificate":
            self.requests.put_nowait(payload["csr"])
            return {"status": "Accepted"}
        if action == "DataTransfer":
            return {"status": "Accepted"}
        return {}

    def _follow(self, action: str, payload: Payload, booked: Payload) -> None:
        """Which transactions run, for requests to stop one."""
        if action == "StartTransaction":
            self.running[str(booked["transactionId"])] = payload["connectorId"]
        elif action == "StopTransaction":
            self.running.pop(str(payload["transactionId"]), None)
        elif action == "TransactionEvent":
            key = payload["transactionInfo"]["transactionId"]
            if payload["eventType"] == "Ended":
                self.running.pop(key, None)
            else:
                self.running[key] = payload.get("evse", {}).get("id", 1)

    def _boot(self) -> Payload:
        self.boots += 1
        dice, faults = self._rng.random(), self.faults
        status, interval = "Accepted", self._rng.choice((900, 1800, 3600, 0) if faults.pending else (1800,))
        if dice < faults.pending:
            status, interval = "Pending", self._rng.choice((10, 60, 0))
        elif dice < faults.pending + faults.rejected:
            status, interval = "Rejected", self._rng.choice((10, 60, 0))
        self.accepted = status == "Accepted"
        return {"status": status, "interval": interval, "currentTime": self.now()}

    def _judged(self, action: str, payload: Payload) -> Payload:
        if action == "StartTransaction":
            return {"idTagInfo": self.status16(payload["idTag"])}
        if action == "TransactionEvent" and "idToken" in payload:
            return {"idTokenInfo": self.status201(payload["idToken"]["idToken"])}
        return {}

    def _info(self, line: Line, payload: Payload) -> Payload:
        if line.version == "1.6":
            return {"idTagInfo": self.status16(payload["idTag"])}
        return {"idTokenInfo": self.status201(payload["idToken"]["idToken"])}

    def status16(self, token: str) -> Payload:
        status, group = self.tokens.get(token, ("Invalid", ""))
        return {"status": status} | ({"parentIdTag": group} if group else {})

    def status201(self, token: str) -> Payload:
        status, group = self.tokens.get(token, ("Unknown", ""))
        return {"status": status} | ({"groupIdToken": {"idToken": group, "type": "Central"}} if group else {})

    def now(self) -> str:
        from datetime import UTC, datetime, timedelta

        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=EPOCH + asyncio.get_running_loop().time())
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    # --- requests of ours ---------------------------------------------------------------------------------------

    async def ask(self, action: str, payload: Payload, then: Callable[[str, Payload], None] | None = None) -> None:
        """Send a request if there is a line, and wait for its answer as long as the line holds."""
        line = self.line
        if line is None:
            return
        self._asked += 1
        message_id = f"csms-{self._asked}"
        accepted = self.accepted
        question = self._questions[message_id] = Question(line, action, payload, then)
        line.tell(json.dumps([2, message_id, action, payload]))
        try:
            async with asyncio.timeout(ASK_S):
                await question.done.wait()
        except TimeoutError:
            if accepted and self.line is line and self.accepted and not getattr(line, "faulty", False):
                self._complain(f"no answer to {action} {payload} in {ASK_S:g} s")

    def spoil(self, text: str) -> None:
        """A frame that is none."""
        if self.line is not None:
            self.line.tell(text)

    def _answered(self, frame: list[Any]) -> None:
        message_id = frame[1]
        if message_id == "-1":  # 2.1's word for a frame that cannot be read
            return
        question = self._questions.get(message_id)
        if question is None:
            if isinstance(message_id, str) and message_id.startswith("csms-"):
                self._complain(f"an answer to {message_id}, which was not open")
            return
        question.answers += 1
        if question.answers > 1:
            self._complain(f"{question.action} was answered twice")
        question.done.set()
        if question.then is not None:
            payload = frame[2] if frame[0] == 3 else {"error": frame[2]}
            question.then(str(payload.get("status", "")), payload)
