"""The OCPP-J endpoint, rule by rule. What arbitrary peers can do to it is in test_rpc_fuzz.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.ocpp import rpc
from agent.ocpp.codes import V16, V201, Codes
from agent.ocpp.rpc import CallIn, Discarded, Endpoint, ErrorIn, ResultIn

BOTH = pytest.mark.parametrize("codes", [V16, V201], ids=["1.6", "2.0.1"])


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint(V16)


def _reset(message_id: str = "7", kind: str = "Soft") -> str:
    return json.dumps([2, message_id, "Reset", {"type": kind}])


def _asked(endpoint: Endpoint, text: str | bytes, now: float = 0.0) -> CallIn:
    call = endpoint.receive(text, now)
    assert isinstance(call, CallIn), call
    return call


def _answer(endpoint: Endpoint, text: str | bytes, now: float = 0.0) -> Any:
    """The answer that the endpoint gives by itself, parsed; None: silence."""
    discarded = endpoint.receive(text, now)
    assert isinstance(discarded, Discarded), discarded
    return None if discarded.answer is None else json.loads(discarded.answer)


def _start(endpoint: Endpoint, message_id: str = "a", tag: object = None, now: float = 0.0) -> str:
    payload = {"idTag": "ÄB", "meterStart": 0}
    return endpoint.call("StartTransaction", payload, message_id=message_id, now=now, timeout_s=30, tag=tag)


# --- our calls ---


def test_a_call_is_compact_json(endpoint: Endpoint) -> None:
    assert _start(endpoint) == '[2,"a","StartTransaction",{"idTag":"ÄB","meterStart":0}]'


def test_an_answer_comes_with_the_action_and_tag_of_its_call(endpoint: Endpoint) -> None:
    _start(endpoint, tag=17)
    answer = endpoint.receive('[3,"a",{"transactionId":5}]', 1)
    assert answer == ResultIn("a", "StartTransaction", {"transactionId": 5}, 17, late=False)
    assert endpoint.outstanding is None


def test_a_callerror_comes_with_its_code(endpoint: Endpoint) -> None:
    _start(endpoint, tag=17)
    error = endpoint.receive('[4,"a","Whatever","no",{}]', 1)
    assert error == ErrorIn("a", "StartTransaction", "Whatever", "no", 17, late=False)


@pytest.mark.parametrize("rest", ["", ',""', ',"",""', ",null,null,null", ",7,[],{},{}"])
def test_a_callerror_of_any_length_ends_the_call(endpoint: Endpoint, rest: str) -> None:
    _start(endpoint)
    assert isinstance(endpoint.receive(f'[4,"a"{rest}]', 1), ErrorIn)
    assert endpoint.outstanding is None


def test_a_second_call_while_one_is_open_is_a_bug(endpoint: Endpoint) -> None:
    _start(endpoint)
    with pytest.raises(AssertionError):
        _start(endpoint, "b")


def test_a_message_id_of_ours_is_at_most_36_characters(endpoint: Endpoint) -> None:
    with pytest.raises(AssertionError):
        _start(endpoint, "x" * 37)


def test_the_deadline_is_that_of_the_open_call(endpoint: Endpoint) -> None:
    assert endpoint.deadline() is None
    _start(endpoint, now=100)
    assert endpoint.deadline() == 130


def test_a_call_does_not_expire_before_its_deadline(endpoint: Endpoint) -> None:
    _start(endpoint)
    assert endpoint.expire(29.9) is None
    assert endpoint.outstanding is not None


def test_a_call_expires_at_its_deadline(endpoint: Endpoint) -> None:
    _start(endpoint, tag=17)
    call = endpoint.expire(30)
    assert call is not None and (call.id, call.action, call.tag) == ("a", "StartTransaction", 17)
    assert endpoint.outstanding is None and endpoint.expire(31) is None


def test_a_late_answer_still_arrives(endpoint: Endpoint) -> None:
    _start(endpoint, "a", tag=17)
    endpoint.expire(30)
    _start(endpoint, "b", tag=18)
    late = endpoint.receive('[3,"a",{"transactionId":5}]', 31)
    assert late == ResultIn("a", "StartTransaction", {"transactionId": 5}, 17, late=True)
    assert endpoint.outstanding is not None and endpoint.outstanding.id == "b"


def test_a_late_answer_arrives_over_another_link(endpoint: Endpoint) -> None:
    _start(endpoint, tag=17)
    call = endpoint.lost()
    assert call is not None and call.tag == 17
    late = endpoint.receive('[3,"a",{"transactionId":5}]', 31)
    assert isinstance(late, ResultIn) and late.late and late.tag == 17


def test_the_answer_to_a_retry_is_not_late(endpoint: Endpoint) -> None:
    first = _start(endpoint)
    endpoint.expire(30)
    assert _start(endpoint, now=40) == first
    answer = endpoint.receive('[3,"a",{}]', 41)
    assert isinstance(answer, ResultIn) and not answer.late
    assert isinstance(endpoint.receive('[3,"a",{}]', 42), Discarded)


@pytest.mark.parametrize(
    "text", ['[3,"a",{}]', '[3,"x",{}]', '[4,"-1","RpcFrameworkError","",{}]', "[3]", "[3,5,{}]", "[4]"]
)
@BOTH
def test_a_double_or_foreign_answer_is_dropped_in_silence(codes: Codes, text: str) -> None:
    endpoint = Endpoint(codes)
    _start(endpoint)
    endpoint.receive('[3,"a",{}]', 1)
    _start(endpoint, "b")
    assert _answer(endpoint, text) is None
    assert endpoint.outstanding is not None


def test_the_oldest_late_call_is_forgotten_first(endpoint: Endpoint) -> None:
    for number in range(rpc.MOST_LATE + 1):
        _start(endpoint, str(number))
        endpoint.expire(30)
    assert isinstance(endpoint.receive('[3,"0",{}]', 31), Discarded)
    assert isinstance(endpoint.receive('[3,"1",{}]', 31), ResultIn)


def test_an_answer_of_null_is_an_empty_one(endpoint: Endpoint) -> None:
    _start(endpoint)
    answer = endpoint.receive('[3,"a",null]', 1)
    assert isinstance(answer, ResultIn) and answer.payload == {}


@pytest.mark.parametrize(
    "text", ['[3,"a",[]]', '[3,"a",{"x":}]', '[3,"a",{"x":NaN}]', '[3,"a",' + "[" * 1000, '[3,"a",{"x":"\\ud800"}]']
)
@BOTH
def test_an_unreadable_answer_ends_the_call_and_is_not_answered(codes: Codes, text: str) -> None:
    endpoint = Endpoint(codes)
    _start(endpoint, tag=17)
    error = endpoint.receive(text, 1)
    assert isinstance(error, ErrorIn) and error.tag == 17
    assert endpoint.outstanding is None


def test_of_a_member_given_twice_in_an_answer_the_last_counts(endpoint: Endpoint) -> None:
    _start(endpoint)
    answer = endpoint.receive('[3,"a",{"transactionId":1,"transactionId":2}]', 1)
    assert isinstance(answer, ResultIn) and answer.payload == {"transactionId": 2}


# --- the peer's calls ---


def test_a_call_that_comes_in_is_answered_under_its_id(endpoint: Endpoint) -> None:
    call = _asked(endpoint, _reset())
    assert (call.id, call.action, call.payload) == ("7", "Reset", {"type": "Soft"})
    assert endpoint.result(call.ref, {"status": "Accepted"}) == '[3,"7",{"status":"Accepted"}]'


def test_calls_are_answered_while_ours_is_open(endpoint: Endpoint) -> None:
    _start(endpoint)
    first, second = _asked(endpoint, _reset("1")), _asked(endpoint, _reset("2"))
    assert endpoint.result(second.ref, {}) == '[3,"2",{}]'
    assert endpoint.result(first.ref, {}) == '[3,"1",{}]'


def test_bytes_are_read_as_utf_8(endpoint: Endpoint) -> None:
    assert _asked(endpoint, '[2,"1","DataTransfer",{"vendorId":"ÄÖ"}]'.encode()).payload == {"vendorId": "ÄÖ"}


def test_an_error_has_a_description_of_at_most_255_characters_and_empty_details(endpoint: Endpoint) -> None:
    call = _asked(endpoint, _reset())
    text = endpoint.error(call.ref, "GenericError", "x" * 300)
    assert text is not None and json.loads(text) == [4, "7", "GenericError", "x" * 255, {}]


def test_a_refusal_has_the_code_of_the_version() -> None:
    for codes, code in ((V16, "OccurenceConstraintViolation"), (V201, "OccurrenceConstraintViolation")):
        endpoint = Endpoint(codes)
        text = endpoint.refuse(_asked(endpoint, _reset()).ref, "required", "type is missing")
        assert text == f'[4,"7","{code}","type is missing",{{}}]'


def test_answering_twice_is_a_bug(endpoint: Endpoint) -> None:
    call = _asked(endpoint, _reset())
    endpoint.result(call.ref, {})
    with pytest.raises(AssertionError):
        endpoint.result(call.ref, {})


def test_an_ignored_call_may_come_again(endpoint: Endpoint) -> None:
    endpoint.ignore(_asked(endpoint, _reset()).ref)
    assert _asked(endpoint, _reset())


def test_nothing_is_sent_for_a_call_of_a_lost_link(endpoint: Endpoint) -> None:
    old = _asked(endpoint, _reset())
    endpoint.lost()
    new = _asked(endpoint, _reset())
    assert endpoint.result(old.ref, {}) is None
    assert endpoint.result(new.ref, {}) is not None


def test_a_payload_of_null_is_an_empty_one(endpoint: Endpoint) -> None:
    assert _asked(endpoint, '[2,"1","ClearCache",null]').payload == {}


def test_a_repeat_of_a_call_in_progress_is_dropped(endpoint: Endpoint) -> None:
    call = _asked(endpoint, _reset())
    assert _answer(endpoint, _reset()) is None
    assert endpoint.result(call.ref, {}) is not None


def test_a_repeat_of_an_answered_call_gets_the_same_answer(endpoint: Endpoint) -> None:
    endpoint.result(_asked(endpoint, _reset()).ref, {"status": "Accepted"})
    assert _answer(endpoint, _reset(), 59) == [3, "7", {"status": "Accepted"}]


def test_the_same_text_much_later_is_a_new_call(endpoint: Endpoint) -> None:
    endpoint.result(_asked(endpoint, _reset()).ref, {})
    assert _asked(endpoint, _reset(), 61)


def test_the_same_text_on_a_new_link_is_a_new_call(endpoint: Endpoint) -> None:
    endpoint.result(_asked(endpoint, _reset()).ref, {})
    endpoint.lost()
    assert _asked(endpoint, _reset())


def test_another_text_under_an_answered_id_is_a_new_call(endpoint: Endpoint) -> None:
    endpoint.result(_asked(endpoint, _reset()).ref, {})
    assert _asked(endpoint, _reset(kind="Hard")).payload == {"type": "Hard"}


def test_another_text_under_an_id_in_progress_is_dropped(endpoint: Endpoint) -> None:
    _asked(endpoint, _reset())
    assert _answer(endpoint, _reset(kind="Hard")) is None
    assert _answer(endpoint, '[2,"7",5,{}]') is None


def test_few_and_short_answers_are_kept(endpoint: Endpoint) -> None:
    for number in range(50):
        endpoint.result(_asked(endpoint, _reset(str(number))).ref, {"x": "y" * (number * 200)})
    assert len(endpoint._answered) <= rpc.MOST_ANSWERS_KEPT
    assert all(len(kept.answer) <= rpc.LONGEST_ANSWER_KEPT for kept in endpoint._answered.values())


@BOTH
def test_too_many_calls_in_progress_are_refused_at_once(codes: Codes) -> None:
    endpoint = Endpoint(codes)
    calls = [_asked(endpoint, _reset(str(number))) for number in range(rpc.MOST_IN_PROGRESS)]
    assert _answer(endpoint, _reset("x"))[:3] == [4, "x", "InternalError"]
    endpoint.result(calls[0].ref, {})
    assert _asked(endpoint, _reset("x"))


# --- frames that are wrong ---

_DEEP = "[" * 100_000
_BAD_CALLS = {
    # what is wrong: (text, code in 1.6, code in 2.0.1), all with the readable id "7"
    "broken JSON": ('[2,"7","Reset",{"type":}]', "FormationViolation", "FormatViolation"),
    "cut off": ('[2,"7","Reset",{"type":"Soft"}', "FormationViolation", "FormatViolation"),
    "something behind": ('[2,"7","Reset",{}] x', "FormationViolation", "FormatViolation"),
    "NaN": ('[2,"7","Reset",{"x":NaN}]', "FormationViolation", "FormatViolation"),
    "Infinity": ('[2,"7","Reset",{"x":-Infinity}]', "FormationViolation", "FormatViolation"),
    "beyond a float": ('[2,"7","Reset",{"x":1e999}]', "FormationViolation", "FormatViolation"),
    "endless digits": ('[2,"7","Reset",{"x":' + "1" * 5000 + "}]", "FormationViolation", "FormatViolation"),
    "a member twice": ('[2,"7","Reset",{"type":"Soft","type":"Hard"}]', "FormationViolation", "FormatViolation"),
    "half a surrogate": ('[2,"7","Reset",{"x":"\\ud800"}]', "FormationViolation", "FormatViolation"),
    "too deep": ('[2,"7","Reset",{"x":' + _DEEP, "FormationViolation", "FormatViolation"),
    "deep objects": ('[2,"7","Reset",' + '{"x":' * 64 + "1" + "}" * 64 + "]", "FormationViolation", "FormatViolation"),
    "too long": ('[2,"7","Reset",{"x":"' + "x" * rpc.LONGEST_FRAME + '"}]', "FormationViolation", "FormatViolation"),
    "payload a list": ('[2,"7","Reset",[]]', "FormationViolation", "FormatViolation"),
    "payload text": ('[2,"7","Reset","Soft"]', "FormationViolation", "FormatViolation"),
    "action a list": ('[2,"7",["Reset"],{}]', "FormationViolation", "RpcFrameworkError"),
    "action null": ('[2,"7",null,{}]', "FormationViolation", "RpcFrameworkError"),
    "five elements": ('[2,"7","Reset",{},{}]', "FormationViolation", "RpcFrameworkError"),
    "three elements": ('[2,"7","Reset"]', "ProtocolError", "RpcFrameworkError"),
    "two elements": ('[2,"7"]', "ProtocolError", "RpcFrameworkError"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", _BAD_CALLS)
def test_a_bad_call_with_a_readable_id_gets_the_code_of_its_version(wrong: str) -> None:
    text, code_16, code_201 = _BAD_CALLS[wrong]
    assert _answer(Endpoint(V16), text)[:3] == [4, "7", code_16]
    assert _answer(Endpoint(V201), text)[:3] == [4, "7", code_201]


_NO_ID = [
    *("", "hello", "{}", "17", "null", '"x"', "[]", "[2]", "[[]]", "[2,17]", "\x00", "\ufeff[]"),
    *('[2,null,"Reset",{}]', '[2,{},"Reset",{}]', '[2,"\\ud800","Reset",{}]', '[2,"' + "x" * 300 + '","Reset",{}]'),
    *(_DEEP, "[" + "1" * 5000 + "]"),
]


@pytest.mark.parametrize("text", _NO_ID, ids=range(len(_NO_ID)))
def test_a_frame_without_a_readable_id_meets_silence_in_one_version_and_an_error_in_the_other(text: str) -> None:
    assert _answer(Endpoint(V16), text) is None
    assert _answer(Endpoint(V201), text)[:3] == [4, "-1", "RpcFrameworkError"]


@pytest.mark.parametrize("kind", ["5", "6", "0", "-1", '"2"', "null", "2.5", "[]", "true"])
def test_an_unknown_message_type_is_ignored_in_one_version_and_told_in_the_other(kind: str) -> None:
    text = f'[{kind},"7","Reset",{{}}]'
    assert _answer(Endpoint(V16), text) is None
    assert _answer(Endpoint(V201), text)[:3] == [4, "7", "MessageTypeNotSupported"]


@BOTH
def test_an_id_that_is_too_long_is_refused_under_itself(codes: Codes) -> None:
    message_id = "x" * 37
    assert _answer(Endpoint(codes), _reset(message_id))[:3] == [4, message_id, codes.code["frame"]]
    assert _asked(Endpoint(codes), _reset("x" * 36))


def test_bytes_that_are_not_utf_8_are_refused_under_their_id() -> None:
    text = b'[2,"7","Reset",{"x":"\xff"}]'
    assert _answer(Endpoint(V16), text)[:3] == [4, "7", "FormationViolation"]


def test_depth_is_not_counted_in_strings(endpoint: Endpoint) -> None:
    text = json.dumps([2, "7", "DataTransfer", {"vendorId": "x", "data": '[{"\\' * 200}])
    assert _asked(endpoint, text)


def test_many_shallow_brackets_are_no_depth(endpoint: Endpoint) -> None:
    entries = [{"idTag": str(number), "idTagInfo": {"status": "Accepted"}} for number in range(500)]
    assert _asked(endpoint, json.dumps([2, "7", "SendLocalList", {"localAuthorizationList": entries}]))


def test_text_beyond_ascii_passes(endpoint: Endpoint) -> None:
    call = _asked(endpoint, '[2,"7","DataTransfer",{"data":"\\u00e4ö\\ud83d\\ude00"}]')
    assert call.payload == {"data": "äö😀"}


def test_an_error_never_quotes_the_payload(endpoint: Endpoint) -> None:
    answer = _answer(endpoint, '[2,"7","ChangeConfiguration",{"value":"secret"]')
    assert "secret" not in json.dumps(answer)


def test_a_bad_frame_leaves_the_open_call_alone(endpoint: Endpoint) -> None:
    _start(endpoint)
    for text, _, _ in _BAD_CALLS.values():
        endpoint.receive(text, 1)
    assert isinstance(endpoint.receive('[3,"a",{}]', 2), ResultIn)


@BOTH
def test_each_rule_that_the_endpoint_itself_finds_has_a_code(codes: Codes) -> None:
    assert {"syntax", "size", "frame", "incomplete", "payload", "busy"} <= set(codes.code)
