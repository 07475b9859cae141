"""The OCPP-J endpoint: CALL, CALLRESULT, CALLERROR. Sans-I/O: text and `now` come in, inputs and text go out.

It serves OCPP-J 1.6 section 4 and OCPP 2.0.1 part 4 section 4; what differs is data (`codes`). It checks frames, not
payloads: the caller runs `schema` over a `CallIn` or `ResultIn` and says `refuse(ref, rule, why)`.

Rules this file keeps
* `receive` never raises, whatever the peer sends, and gives exactly one input for each frame. A frame that is not for
  the core is `Discarded`, with the CALLERROR to send if one is due: to a CALL, or to what cannot be told from one. An
  answer is never answered (that comes with 2.1).
* Every CALL that came in is answered exactly once, by its `ref`, which is never used again: an answer that is ready
  only after its link was lost cannot become the answer to another call with the same message id; it is None.
* One CALL of ours is open at a time. A call that timed out or whose link was lost stays known, so its late answer still
  arrives (`late`): a StartTransaction answered late carries the transaction id of a real bill. A retry is the same
  message with the same id: `call` again, with the old `message_id`.
* A CALL repeated with the same id *and* the same text within a minute is the same CALL: in progress, it is dropped;
  just answered, it gets the same answer and is not carried out twice. Message ids must be unique, but some peers count
  from 1 on each link, or always say "1": so another text, a new link or a later minute make it a new CALL. Another text
  under the id of a CALL that is in progress is dropped, since nobody could tell the two answers apart.
* Bounded: frame length, nesting, calls in progress, answers kept, late calls kept.
* Of a member given twice the last counts in an answer (we need it); a CALL like that is refused. Lone surrogates, NaN
  and numbers beyond a float are refused everywhere: no store and no socket could pass them on.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from agent.core.record import record
from agent.ocpp.codes import Codes, Rule

LONGEST_FRAME = 512 * 1024  # characters; the socket must let more through, or it closes before we can answer
LONGEST_ID = 36
LONGEST_ID_ECHOED = 255  # a longer id than allowed is refused, under that id, so that the peer hears of it
LONGEST_DESCRIPTION = 255
DEEPEST = 64
MOST_IN_PROGRESS = 32
MOST_LATE = 64
MOST_ANSWERS_KEPT = 16
LONGEST_ANSWER_KEPT = 4096  # longer answers are reports, which may be asked for twice
REPEAT_S = 60.0

CALL, CALLRESULT, CALLERROR = 2, 3, 4

Payload = dict[str, Any]


@record
class CallIn:
    """The peer asks. Answer `ref` once: `result`, `error`, `refuse` or `ignore`."""

    ref: int
    id: str
    action: str
    payload: Payload


@record
class ResultIn:
    """The peer answered a call of ours; `late`: after its time-out or on another link."""

    id: str
    action: str
    payload: Payload
    tag: object
    late: bool


@record
class ErrorIn:
    """The peer refused a call of ours, or answered it with something unreadable."""

    id: str
    action: str
    code: str
    description: str
    tag: object
    late: bool


@record
class Discarded:
    """Nothing for the core. `answer` is to be sent if there is one; `why` is for the log and quotes no payload.
    `double`: there is nothing wrong with it but that it came before."""

    why: str
    answer: str | None = None
    double: bool = False


Input = CallIn | ResultIn | ErrorIn | Discarded


@record
class Outstanding:
    """A call of ours that waits for its answer until `deadline`."""

    id: str
    action: str
    tag: object
    deadline: float


@record
class _Asked:
    """A CALL of the peer: in progress, or answered with `answer`."""

    id: str
    fingerprint: int
    at: float
    answer: str = ""


class Endpoint:
    """One side of one OCPP-J conversation, over any number of links, one after the other."""

    def __init__(self, codes: Codes, longest_frame: int = LONGEST_FRAME) -> None:
        self.codes = codes  # to be set anew when a link opens in another version
        self.outstanding: Outstanding | None = None
        self._longest_frame = longest_frame
        self._late: dict[str, Outstanding] = {}
        self._in_progress: dict[int, _Asked] = {}
        self._answered: dict[str, _Asked] = {}
        self._next_ref = 1
        self._first_ref_of_link = 1
        self._doubled = False
        self._decode = json.JSONDecoder(
            object_pairs_hook=self._members, parse_float=_finite, parse_constant=_no_constant
        ).raw_decode

    # --- calls of ours ---

    def call(
        self, action: str, payload: Payload, *, message_id: str, now: float, timeout_s: float, tag: object = None
    ) -> str:
        """The text of a CALL, which is outstanding from now on. `tag` comes back with the answer."""
        assert self.outstanding is None, "one outstanding CALL"
        assert 0 < len(message_id) <= LONGEST_ID, message_id
        self._late.pop(message_id, None)
        self.outstanding = Outstanding(message_id, action, tag, now + timeout_s)
        return _text([CALL, message_id, action, payload])

    def deadline(self) -> float | None:
        """When `expire` wants to be asked."""
        return None if self.outstanding is None else self.outstanding.deadline

    def expire(self, now: float) -> Outstanding | None:
        """The outstanding call, if its time is over: it is outstanding no more, but its answer may still come."""
        if self.outstanding is None or now < self.outstanding.deadline:
            return None
        return self._set_aside()

    def lost(self) -> Outstanding | None:
        """The link is gone: forgets the peer's calls, gives back our unanswered one, keeps the late ones."""
        self._in_progress.clear()
        self._answered.clear()
        self._first_ref_of_link = self._next_ref
        return self._set_aside()

    def _set_aside(self) -> Outstanding | None:
        call, self.outstanding = self.outstanding, None
        if call is not None:
            if len(self._late) >= MOST_LATE:
                del self._late[next(iter(self._late))]
            self._late[call.id] = call
        return call

    # --- answers of ours ---

    def result(self, ref: int, payload: Payload) -> str | None:
        """The text of a CALLRESULT; None: the link on which the question came is gone."""
        asked = self._take(ref)
        return None if asked is None else self._keep(asked, _text([CALLRESULT, asked.id, payload]))

    def error(self, ref: int, code: str, description: str = "") -> str | None:
        """The text of a CALLERROR; None: the link on which the question came is gone."""
        asked = self._take(ref)
        return None if asked is None else self._keep(asked, _error(asked.id, code, description))

    def refuse(self, ref: int, rule: Rule, why: str = "") -> str | None:
        """`error` with the code that the spoken version has for a rule."""
        return self.error(ref, self.codes.code[rule], why)

    def ignore(self, ref: int) -> None:
        """Leave a CALL without an answer, as 1.6 asks of a station that was Rejected."""
        self._take(ref)

    def _take(self, ref: int) -> _Asked | None:
        if ref < self._first_ref_of_link:
            return None
        assert ref in self._in_progress, "a CALL is answered once"
        return self._in_progress.pop(ref)

    def _keep(self, asked: _Asked, answer: str) -> str:
        """Remember a short answer for the case that its CALL comes again."""
        self._answered.pop(asked.id, None)
        if len(answer) <= LONGEST_ANSWER_KEPT:
            if len(self._answered) >= MOST_ANSWERS_KEPT:
                del self._answered[next(iter(self._answered))]
            self._answered[asked.id] = _Asked(asked.id, asked.fingerprint, asked.at, answer)
        return answer

    # --- what comes in ---

    def receive(self, text: str | bytes, now: float) -> Input:
        """What one frame means. Never raises."""
        if not isinstance(text, str):
            try:
                return self.receive(text.decode(), now)
            except UnicodeDecodeError:
                return self._malformed("syntax", "not UTF-8", text.decode(errors="replace"))
        if len(text) > self._longest_frame:
            return self._malformed("size", f"longer than {self._longest_frame} characters", text)
        if _is_deep(text):
            return self._malformed("syntax", f"nested deeper than {DEEPEST}", text)
        self._doubled = False
        try:
            frame, end = self._decode(bare := text.strip(_SPACE))
            if end != len(bare):
                raise ValueError("something follows")
        except ValueError:
            return self._malformed("syntax", "not JSON, or a number out of range", text)
        if ("\\u" in text or not text.isascii()) and not _is_unicode(frame):
            return self._malformed("syntax", "half a surrogate pair", text)
        return self._framed(frame, text, now)

    def too_long(self, head: str) -> Input:
        """What a frame means of which only the beginning was read, because it is too long."""
        return self._malformed("size", f"longer than {self._longest_frame} characters", head)

    def _framed(self, frame: object, text: str, now: float) -> Input:
        if not isinstance(frame, list) or not frame:
            return self._unreadable("not a message array")
        kind, message_id = [*frame[:2], None][:2]
        is_answer = kind in (CALLRESULT, CALLERROR)
        if not isinstance(message_id, str) or len(message_id) > LONGEST_ID_ECHOED:
            return Discarded("an answer without a readable id") if is_answer else self._unreadable("no readable id")
        if is_answer:
            return self._answer_in(kind, message_id, frame)
        if kind != CALL:
            return self._refused(message_id, "message-type", "message type not supported")
        return self._call_in(message_id, frame, text, now)

    def _call_in(self, message_id: str, frame: list[Any], text: str, now: float) -> Input:
        wrong = self._wrong_with_call(frame)
        if wrong is not None:
            return self._refused(message_id, *wrong)
        if self._is_in_progress(message_id):
            return Discarded("a CALL with the id of one that is in progress", double=True)
        fingerprint = hash(text)
        before = self._answered.get(message_id)
        if before is not None and before.fingerprint == fingerprint and now - before.at <= REPEAT_S:
            return Discarded("a CALL that was just answered came again", before.answer, double=True)
        if len(self._in_progress) >= MOST_IN_PROGRESS:
            return self._refused(message_id, "busy", "too many CALLs in progress")
        ref = self._next_ref
        self._next_ref += 1
        self._in_progress[ref] = _Asked(message_id, fingerprint, now)
        return CallIn(ref, message_id, frame[2], {} if frame[3] is None else frame[3])

    def _wrong_with_call(self, frame: list[Any]) -> tuple[Rule, str] | None:
        """The rule that a CALL breaks. A payload of null is an empty one (OCPP-J 1.6 section 4.2.1)."""
        if len(frame[1]) > LONGEST_ID:
            return "frame", f"message id longer than {LONGEST_ID} characters"
        if len(frame) < 4:
            return "incomplete", "a CALL has four elements"
        if len(frame) > 4:
            return "frame", "a CALL has four elements"
        if not isinstance(frame[2], str):
            return "frame", "the action is not a string"
        if frame[3] is not None and not isinstance(frame[3], dict):
            return "payload", "the payload is not an object"
        return ("syntax", "a member is given twice") if self._doubled else None

    def _answer_in(self, kind: int, message_id: str, frame: list[Any]) -> Input:
        """A CALLRESULT or CALLERROR, read with goodwill: nobody may be told what is wrong with it."""
        call, late = self._answered_call(message_id)
        if call is None:
            return Discarded("an answer to no call that is open: a double, or foreign", double=True)
        if kind == CALLERROR:
            code, description = [*frame[2:4], "", ""][:2]
            return ErrorIn(call.id, call.action, _words(code), _words(description), call.tag, late)
        payload = frame[2] if len(frame) > 2 and frame[2] is not None else {}
        if not isinstance(payload, dict):
            code = self.codes.code["payload"]
            return ErrorIn(call.id, call.action, code, "the answer's payload is not an object", call.tag, late)
        return ResultIn(call.id, call.action, payload, call.tag, late)

    def _answered_call(self, message_id: str) -> tuple[Outstanding | None, bool]:
        """The call of ours that has this id, closed by this, and whether the answer is late."""
        call = self.outstanding
        if call is not None and call.id == message_id:
            self.outstanding = None
            return call, False
        return self._late.pop(message_id, None), True

    # --- what is not a message ---

    def _malformed(self, rule: Rule, why: str, text: str) -> Input:
        """A frame that could not be parsed: its head may still tell what it was and whom to tell."""
        head = _HEAD.match(text)
        if head is None:
            return self._unreadable(why)
        kind, message_id = int(head[1]), head[2]
        if kind in (CALLRESULT, CALLERROR):
            call, late = self._answered_call(message_id)
            if call is None:
                return Discarded(f"an answer to no call that is open, and {why}")
            return ErrorIn(call.id, call.action, self.codes.code[rule], f"the answer is {why}", call.tag, late)
        return self._refused(message_id, rule if kind == CALL else "message-type", why)

    def _refused(self, message_id: str, rule: Rule, why: str) -> Discarded:
        code = self.codes.code.get(rule)
        if code is None or self._is_in_progress(message_id):
            return Discarded(why)
        return Discarded(why, _error(message_id, code, why))

    def _unreadable(self, why: str) -> Discarded:
        message_id = self.codes.unreadable_id
        return Discarded(why, None if message_id is None else _error(message_id, self.codes.code["frame"], why))

    def _is_in_progress(self, message_id: str) -> bool:
        return bool(self._in_progress) and any(asked.id == message_id for asked in self._in_progress.values())

    def _members(self, pairs: list[tuple[str, Any]]) -> Payload:
        members = dict(pairs)
        if len(members) != len(pairs):
            self._doubled = True
        return members


_HEAD = re.compile(rf'\s*\[\s*(-?[0-9]{{1,6}})\s*,\s*"([^"\\\x00-\x1f\ud800-\udfff]{{0,{LONGEST_ID_ECHOED}}})"\s*[,\]]')
_SPACE = " \t\r\n"  # of JSON
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_NOT_STRUCTURE = bytes(set(range(256)).difference(b'[]{}"'))

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))


def _encode() -> Callable[[Any], str]:
    """`_ENCODER.encode`, which makes its C part anew for each text, with one that is made once."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return _ENCODER.encode
    write = json.encoder.encode_basestring
    parts = make(None, _ENCODER.default, write, None, ":", ",", False, False, False)
    return lambda frame: "".join(parts(frame, 0))


_text = _encode()


def _error(message_id: str, code: str, description: str) -> str:
    return _text([CALLERROR, message_id, code, description[:LONGEST_DESCRIPTION], {}])


def _words(value: object) -> str:
    return value[:LONGEST_DESCRIPTION] if isinstance(value, str) else ""


def _is_deep(text: str) -> bool:
    """Whether a frame nests too deeply to be parsed. Nearly every frame has too few brackets for a second look."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return False
    plain = _ESCAPED.sub("", text) if "\\" in text else text
    brackets = _STRING.sub(b"", plain.encode(errors="replace").translate(None, _NOT_STRUCTURE))
    level = 0
    for bracket in brackets:
        level += 1 if bracket in b"[{" else -1
        if level > DEEPEST:
            return True
    return False


def _is_unicode(frame: object) -> bool:
    try:
        _text(frame).encode()
    except UnicodeEncodeError:
        return False
    return True


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("beyond a float")
    return number


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
