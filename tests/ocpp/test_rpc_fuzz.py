"""The OCPP-J endpoint against arbitrary peers: it never raises, answers each CALL once, and stays within its bounds."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.ocpp import rpc
from agent.ocpp.codes import V16, V201, Codes
from agent.ocpp.rpc import CallIn, Discarded, Endpoint, ErrorIn, ResultIn

FEW = settings(max_examples=200, deadline=None, derandomize=True)

versions = st.sampled_from([V16, V201])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
ids = st.sampled_from(["1", "2", "3", "", "x" * 36, "x" * 37]) | scalars
kinds = st.sampled_from([2, 2, 2, 3, 4, 5, 6, "2", None, True, 2.0])
payloads = st.sampled_from([{}, {"type": "Soft"}, None]) | values
frames = st.one_of(
    values,
    st.tuples(kinds, ids, st.just("Reset"), payloads).map(list),
    st.tuples(kinds, ids, values, payloads).map(list),
    st.tuples(st.just(2), ids, st.just("Reset"), payloads, values).map(list),
    st.lists(values, max_size=6),
).map(json.dumps)
cut_frames = st.tuples(frames, st.integers(0, 60)).map(lambda pair: pair[0][: pair[1]])


def _survives(codes: Codes, text: str | bytes) -> None:
    endpoint = Endpoint(codes)
    endpoint.call("Heartbeat", {}, message_id="1", now=0, timeout_s=30)
    came = endpoint.receive(text, 1)
    assert isinstance(came, CallIn | ResultIn | ErrorIn | Discarded)
    if isinstance(came, CallIn):
        answer = endpoint.result(came.ref, {})
        assert answer is not None and answer.encode()
    elif isinstance(came, Discarded) and came.answer is not None:
        kind, message_id, code, description, details = json.loads(came.answer.encode())
        assert kind == 4 and isinstance(message_id, str) and code in set(codes.code.values())
        assert len(description) <= 255 and details == {}


@FEW
@given(versions, st.text(st.characters()))
def test_any_text_is_survived(codes: Codes, text: str) -> None:
    _survives(codes, text)


@FEW
@given(versions, st.binary())
def test_any_bytes_are_survived(codes: Codes, data: bytes) -> None:
    _survives(codes, data)


@FEW
@given(versions, frames | cut_frames)
def test_any_json_is_survived(codes: Codes, text: str) -> None:
    _survives(codes, text)


@FEW
@given(versions, st.text('[]{}",:\\2a ', max_size=200).map('[2,"7","Reset",{'.__add__))
def test_any_structure_is_survived(codes: Codes, text: str) -> None:
    _survives(codes, text)


@given(st.lists(st.sampled_from(["[", "]", "{", "}", '"', "\\", "x", '"["', ","]), max_size=300).map("".join))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_what_is_parsed_is_never_deep(text: str) -> None:
    try:
        frame = json.loads(text)
    except ValueError:
        return
    assert rpc._is_deep(text) == (_depth(frame) > rpc.DEEPEST)


def _depth(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    return 1 + max((_depth(item) for item in (value.values() if isinstance(value, dict) else value)), default=0)


def test_depth_is_exact_at_the_limit() -> None:
    for depth in (rpc.DEEPEST - 1, rpc.DEEPEST, rpc.DEEPEST + 1):
        text = "[" * (depth - 1) + '["]]\\"[", 1],"[[["' + "]" * (depth - 1)
        assert _depth(json.loads(text)) == depth
        assert rpc._is_deep(text) == (depth > rpc.DEEPEST)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), frames),
        st.tuples(st.just("ask"), st.sampled_from("12345678")),
        st.tuples(st.sampled_from(["answer", "refuse", "ignore"]), st.integers(0, 40)),
        st.tuples(st.sampled_from(["call", "lost", "wait"]), st.none()),
    ),
    max_size=60,
)


@FEW
@given(versions, steps)
def test_each_call_is_answered_at_most_once_on_its_link(codes: Codes, plan: list[tuple[str, Any]]) -> None:
    peer = _Peer(Endpoint(codes))
    for number, (verb, argument) in enumerate(plan):
        peer.play(verb, argument, float(number))
        assert len(peer.endpoint._in_progress) <= rpc.MOST_IN_PROGRESS
        assert len(peer.endpoint._answered) <= rpc.MOST_ANSWERS_KEPT
        assert len(peer.endpoint._late) <= rpc.MOST_LATE
    for message_id, answers in peer.answers.items():
        assert answers <= peer.asked[message_id], message_id


class _Peer:
    """Plays a plan, and counts on one link how often an id was asked and how often it was answered."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.asked: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self._open: list[CallIn] = []
        self._calls = 0

    def play(self, verb: str, argument: Any, now: float) -> None:
        getattr(self, "_" + verb)(argument, now)

    def _frame(self, text: str, now: float) -> None:
        frame = json.loads(text)
        readable = isinstance(frame, list) and len(frame) > 1 and isinstance(frame[1], str)
        self.asked[frame[1] if readable else "-1"] += 1
        if readable and "\\" in text:  # an escaped id cannot be told where the rest of the frame is no JSON
            self.asked["-1"] += 1
        came = self.endpoint.receive(text, now)
        if isinstance(came, CallIn):
            self._open.append(came)
        if isinstance(came, Discarded):
            self._count(came.answer)

    def _ask(self, message_id: str, now: float) -> None:
        self._frame(json.dumps([2, message_id, "Reset", {"type": "Soft"}]), now)

    def _count(self, answer: str | None) -> None:
        if answer is not None:
            self.answers[json.loads(answer)[1]] += 1

    def _answer(self, index: int, now: float) -> None:
        if self._open:
            self._count(self.endpoint.result(self._open.pop(index % len(self._open)).ref, {"status": "Accepted"}))

    def _refuse(self, index: int, now: float) -> None:
        if self._open:
            self._count(self.endpoint.refuse(self._open.pop(index % len(self._open)).ref, "unknown-action"))

    def _ignore(self, index: int, now: float) -> None:
        if self._open:
            self.endpoint.ignore(self._open.pop(index % len(self._open)).ref)

    def _call(self, _: None, now: float) -> None:
        if self.endpoint.outstanding is None:
            self._calls += 1
            self.endpoint.call("Heartbeat", {}, message_id=str(self._calls), now=now, timeout_s=3)

    def _lost(self, _: None, now: float) -> None:
        self.endpoint.lost()
        self.asked.clear()
        self.answers.clear()

    def _wait(self, _: None, now: float) -> None:
        self.endpoint.expire(now)
