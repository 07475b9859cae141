"""Vendors' messages in the station: one after the other to their handlers, and what they send of themselves."""

from __future__ import annotations

from agent.blocks.data_transfer import MAX_WAITING
from agent.core.effects import Ask, DataAnswer, DataSend, Effect, Note, Reply
from agent.core.requests import DataReceived, Ref
from agent.core.vendor import DataAnswered, VendorAnswered, VendorData
from tests.blocks.helpers import Bench, of


def asked(number: int, vendor: str = "com.example") -> DataReceived:
    return DataReceived(Ref(str(number), "DataTransfer"), vendor, f"m{number}", number)


def replies(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(r.ref.id, r.answer.status) for r in of(effects, Reply) if isinstance(r.answer, DataAnswer)]


def test_a_message_goes_to_its_handler_and_its_answer_back() -> None:
    bench = Bench().ready()
    assert of(bench.feed(asked(1)), VendorData) == [VendorData("com.example", "m1", 1)]
    (reply,) = of(bench.feed(VendorAnswered("Accepted", {"a": 1})), Reply)
    assert reply == Reply(Ref("1", "DataTransfer"), DataAnswer("Accepted", {"a": 1}))


def test_messages_wait_for_one_another_and_are_answered_in_order() -> None:
    bench = Bench().ready()
    assert [len(of(bench.feed(asked(n)), VendorData)) for n in (1, 2)] == [1, 0]
    first = bench.feed(VendorAnswered("Accepted"))
    assert replies(first) == [("1", "Accepted")]
    assert of(first, VendorData) == [VendorData("com.example", "m2", 2)]
    assert replies(bench.feed(VendorAnswered("UnknownMessageId"))) == [("2", "UnknownMessageId")]


def test_more_messages_than_may_wait_are_rejected() -> None:
    bench = Bench().ready()
    for n in range(MAX_WAITING):
        assert replies(bench.feed(asked(n))) == []
    assert replies(bench.feed(asked(99))) == [("99", "Rejected")]


def test_what_a_handler_sends_follows_its_answer() -> None:
    bench = Bench().ready()
    bench.feed(asked(1))
    found = bench.feed(VendorAnswered("Accepted", None, (("Audit", "x"), (None, 7))))
    assert [type(effect) for effect in found if isinstance(effect, Reply | Ask)] == [Reply, Ask, Ask]
    calls = [ask.call for ask in of(found, Ask)]
    assert calls == [DataSend("com.example", "Audit", "x"), DataSend("com.example", None, 7)]


def test_a_handler_that_failed_is_told_to_the_technician() -> None:
    bench = Bench().ready()
    bench.feed(asked(1))
    notes = of(bench.feed(VendorAnswered("Rejected", why="KeyError in handle, line 3")), Note)
    assert [(n.code, n.text) for n in notes] == [
        ("VendorHandler", "the handler of com.example: KeyError in handle, line 3")
    ]


def test_data_that_the_csms_does_not_accept_is_told_to_the_technician() -> None:
    notes = of(Bench().ready().feed(DataAnswered(DataSend("com.example"), "UnknownVendorId")), Note)
    assert [n.text for n in notes] == ["the CSMS answers UnknownVendorId to data of com.example"]
