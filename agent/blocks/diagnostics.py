"""N: Diagnostics. Logs are sent where the CSMS wants them, one at a time, with as many tries as it asks for.

Rules kept here
* What is under way is remembered: after a restart the upload goes on with the tries that are left, and the CSMS hears
  how it ended. A try is counted before it begins, so that one which brings the process down does not begin for ever.
* One status a change: Uploading when the first try begins, one word when it is over. It is repeated until the CSMS has
  answered it, in order. A trigger hears what is true now.
* A newer request ends the upload under way and removes its file (N01.FR.12), and the older one's end is told.
* The name in our answer is the name of the file. Retries, waits and the whole upload are bounded, whatever is asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

from agent.blocks.kept import Kept, fields, flag, maybe, number, text, whole
from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.diagnostics import DropLog, LogSent, SendLog
from agent.core.effects import Ask, Effect, Forget, LogAnswer, LogStatus, Note, Remember, Reply
from agent.core.events import CallDone, CallFailed, Event, Restored, Tick
from agent.core.record import as_dict, record, replace
from agent.core.requests import LogRequested
from agent.core.security import timestamp
from agent.core.types import Instant, VariableId

TABLE = "diagnostics"
TRIES, MAX_TRIES = 3, 20  # when the CSMS does not say; at most
RETRY_S, MIN_RETRY_S, MAX_RETRY_S = 60.0, 1.0, 3600.0
MAX_TELLING = 8
TELL_AGAIN_S = 30.0
TELL_TRIES = 5
WORDS = {"denied": "PermissionDenied", "malformed": "BadMessage"}
_IDENTITY = VariableId("SecurityCtrlr", "Identity")
_NOT_REFUSED = ("offline", "timeout", "dropped")

Lines = Callable[[float | None, float | None], list[str]]


@record
class Upload:
    """One upload, as it is remembered. `tries`: how many are left; `begun`: the CSMS was told of it."""

    number: int
    kind: str
    location: str
    name: str
    tries: int
    retry_s: float
    request_id: int | None = None
    oldest: float | None = None
    latest: float | None = None
    begun: bool = False


class Diagnostics(Block):
    """`security_lines` gives the security log between two moments."""

    def __init__(self, facts: Facts, security_lines: Lines) -> None:
        self._facts = facts
        self._security_lines = security_lines
        self._upload: Upload | None = None
        self._number = 0
        self._telling: deque[LogStatus] = deque()
        self._open: LogStatus | None = None  # given to the outbox
        self._refusals = 0
        self._deadlines = Deadlines()

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    # --- what is asked for --------------------------------------------------------------------------------------

    def on_request(self, e: LogRequested, now: Instant) -> Out:
        if e.oldest is not None and e.latest is not None and e.oldest > e.latest:
            yield Reply(e.ref, LogAnswer("Rejected"))
            return
        old, self._upload = self._upload, self._new(e, now)
        yield Reply(e.ref, LogAnswer("AcceptedCanceled" if old else "Accepted", self._upload.name))
        if old is not None:
            yield DropLog(old.number)
            yield from self._tell(old, "AcceptedCanceled")
        yield from self._begin(now)

    def _new(self, e: LogRequested, now: Instant) -> Upload:
        self._number += 1
        tries = TRIES if e.retries is None else min(max(e.retries, 0), MAX_TRIES)
        wait_s = RETRY_S if e.retry_interval_s is None else float(e.retry_interval_s)
        wait_s = min(max(wait_s, MIN_RETRY_S), MAX_RETRY_S)
        name = self._name(e.kind, now)
        return Upload(self._number, e.kind, e.location, name, tries + 1, wait_s, e.request_id, e.oldest, e.latest)

    def _name(self, kind: str, now: Instant) -> str:
        identity = self._facts.variables.view(_IDENTITY, now).value or ""
        clean = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in identity)[:40].strip(".-")
        when = timestamp(now.utc).replace(":", "").replace("-", "")
        end = "log" if kind == "Security" else "tar.gz"
        return f"{clean or 'chargepoint'}-{kind.lower()}-{when}-{self._number}.{end}"

    # --- the tries ----------------------------------------------------------------------------------------------

    def _begin(self, _now: Instant) -> Iterator[Effect]:
        up = self._upload
        assert up is not None
        first = not up.begun
        self._upload = up = replace(up, tries=up.tries - 1, begun=True)
        self._deadlines.clear("retry")
        yield Remember(TABLE, "upload", as_dict(up))
        if first:
            yield from self._tell(up, "Uploading")
        self._describe("sending")
        lines = self._security_lines(up.oldest, up.latest) if up.kind == "Security" else []
        yield SendLog(up.number, up.kind, up.location, up.name, up.oldest, up.latest, tuple(lines))

    def on_sent(self, e: LogSent, now: Instant) -> Out:
        up = self._upload
        if up is None or e.number != up.number:
            return
        if not e.why:
            yield Note("info", "LogSent", f"{up.name} was sent")
            yield from self._over("Uploaded")
        elif up.tries > 0 and e.fault != "malformed":
            self._deadlines.set("retry", now.mono + up.retry_s)
            self._describe(f"waiting for {up.retry_s:.0f} s, {up.tries} tries left; {e.why}")
            yield Note("debug", "LogNotSent", f"{up.name}: {e.why}; trying again in {up.retry_s:.0f} s")
        else:
            yield Note("warning", "LogNotSent", f"{up.name} could not be sent: {e.why}")
            yield from self._over(WORDS.get(e.fault, "UploadFailure"))

    def _over(self, word: str) -> Iterator[Effect]:
        up, self._upload = self._upload, None
        assert up is not None
        self._facts.upload = ""
        yield Forget(TABLE, "upload")
        yield DropLog(up.number)
        yield from self._tell(up, word)

    def _describe(self, how: str) -> None:
        up = self._upload
        assert up is not None
        self._facts.upload = f"{up.name}: {how}"

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        for name in self._deadlines.due(now.mono):
            if name == "retry" and self._upload is not None:
                yield from self._begin(now)

    def on_restored(self, e: Restored, now: Instant) -> Out:
        kept = Kept(e, TABLE)
        self._telling.extend(kept.row("telling", _told) or ())
        self._upload = kept.row("upload", lambda _key, value: Upload(**fields(value, _SHAPES)))
        yield from kept.forget()
        if self._upload is not None:
            self._number = self._upload.number
            if self._upload.tries > 0:
                yield from self._begin(now)
            else:
                yield Note("warning", "LogNotSent", f"{self._upload.name} could not be sent before the restart")
                yield from self._over("UploadFailure")

    # --- telling the CSMS ---------------------------------------------------------------------------------------

    def _tell(self, up: Upload, word: str) -> Iterator[Effect]:
        self._telling.append(LogStatus(word, up.request_id, up.request_id is not None))
        while len(self._telling) > MAX_TELLING:
            self._telling.popleft()
        yield self._kept()

    def _kept(self) -> Effect:
        if not self._telling:
            return Forget(TABLE, "telling")
        return Remember(TABLE, "telling", [[told.status, told.request_id, told.log] for told in self._telling])

    def derive(self, _now: Instant) -> Iterator[Event | Effect]:
        if self._telling and self._open is None and self._facts.online and "tell" not in self._deadlines:
            self._open = self._telling[0]
            yield Ask(self._open)

    def on_done(self, e: CallDone, _now: Instant) -> Out:
        if self._open is not None and e.call == self._open:
            yield from self._told()

    def on_failed(self, e: CallFailed, now: Instant) -> Out:
        if self._open is None or e.call != self._open:
            return
        self._refusals += e.why != "offline"
        if e.why not in _NOT_REFUSED or self._refusals >= TELL_TRIES:
            yield from self._told()
        else:
            self._open = None
            if e.why != "offline":
                self._deadlines.set("tell", now.mono + TELL_AGAIN_S)

    def _told(self) -> Iterator[Effect]:
        if self._telling and self._telling[0] == self._open:
            self._telling.popleft()
        self._open, self._refusals = None, 0
        yield self._kept()

    def asked(self, _evse: int | None, _now: Instant) -> Out:
        """The status of diagnostics was triggered."""
        busy = self._upload is not None and self._upload.request_id is None
        yield Ask(LogStatus("Uploading" if busy else "Idle"), triggered=True)

    def asked_log(self, _evse: int | None, _now: Instant) -> Out:
        """The status of a log was triggered."""
        up = self._upload
        busy = up is not None and up.request_id is not None
        yield Ask(LogStatus("Uploading", up.request_id, True) if up and busy else LogStatus("Idle", log=True), True)

    HEARS: ClassVar = {
        Restored: "on_restored",
        LogRequested: "on_request",
        LogSent: "on_sent",
        CallDone: "on_done",
        CallFailed: "on_failed",
        Tick: "on_tick",
    }


# --- memory -------------------------------------------------------------------------------------------------


def _told(_key: str, value: list[Any]) -> list[LogStatus]:
    return [LogStatus(text(status), maybe(whole, number), flag(log)) for status, number, log in value[:MAX_TELLING]]


_SHAPES: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("number", "tries"), whole),
    **dict.fromkeys(("kind", "location", "name"), text),
    **dict.fromkeys(("oldest", "latest"), partial(maybe, number)),
    "retry_s": number,
    "request_id": partial(maybe, whole),
    "begun": flag,
}
