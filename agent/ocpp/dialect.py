"""A dialect: all that sets one OCPP version apart from another, as tables of pure functions over neutral words.

Calls of ours out, answers to them in, requests of the CSMS in, answers of ours out; and how a transaction event is
told. A further version is a further set of tables, mostly the rows of its predecessor. Nothing here holds state, reads
a clock or decides anything: what depends on the station comes as `Station`, what depends on the CSMS's own name of a
transaction comes as `csms_id`.

Choices made here
* An answer is encoded from the *payload of the request*, not from the decoded request: it is the payload that says in
  which words (attribute types, spelling of keys) the CSMS asked. Whoever holds a request until it is answered keeps
  its action and payload.
* A payload that reaches a dialect has passed the schema check (`schema`). The dialects are careful nevertheless: an
  answer never raises, since the CSMS has done its part and cannot be told; a request raises `RpcError` only.
* Only the dialect in use is imported: `load("1.6")`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

from agent.core.effects import Answer, Call, RefuseCall
from agent.core.events import CallDone, Event, TransactionAnswered
from agent.core.record import record
from agent.core.requests import Ref, Request
from agent.core.types import Registration, TransactionEvent
from agent.errors import RpcError
from agent.ocpp.codes import Codes

K = TypeVar("K")
V = TypeVar("V")
Payload = dict[str, Any]
Message = tuple[str, Payload]  # action, payload


@record
class Station:
    """What the charger is, as far as messages tell it. Empty: not known, and then not told."""

    vendor: str
    model: str
    serial: str = ""
    firmware: str = ""
    iccid: str = ""
    imsi: str = ""
    meter_type: str = ""
    meter_serial: str = ""
    evses: tuple[int, ...] = (1,)
    updates: bool = False  # the CSMS may order new firmware


# Tables are typed by what they promise as a whole; each row knows its own call or answer type (hence `Any`).
Encode = Callable[[Any, Station], Message | None]
DecodeAnswer = Callable[[Any, Payload], Event]
DecodeRequest = Callable[[Ref, Payload], Request]
EncodeAnswer = Callable[[Payload, Any, Station], Payload]
Tell = Callable[[TransactionEvent, str | None], Message | None]


@dataclass(frozen=True, slots=True, repr=False)
class Dialect:
    """One version. Every neutral call has a row in `calls`; a row may say None: this version has no such message.

    `presets` are defaults of variables, `pins` are values that nobody can change while this version is spoken.
    `before_accepted`: how a CALL is met by registration, "silence" or "security" (a SecurityError); absent: answered.
    `errors` turns the neutral spelling of CALLERROR codes, which is the newest one, into this version's.
    """

    name: str
    subprotocol: str
    schemas: str  # folder in the package `ocpp`, see `schema.Validator`
    codes: Codes
    calls: Mapping[type[Call], Encode]
    answers: Mapping[str, DecodeAnswer]
    requests: Mapping[str, DecodeRequest]
    replies: Mapping[str, EncodeAnswer]
    transaction: Tell
    presets: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    before_accepted: Mapping[Registration, str] = field(default_factory=dict)

    def encode(self, call: Call, station: Station) -> Message | None:
        """The message for a call of ours; None: there is nothing to tell in this version, drop it silently."""
        return self.calls[type(call)](call, station)

    def tell(self, event: TransactionEvent, csms_id: str | None) -> Message | None:
        """The message for a transaction event; None: this version tells nothing of it, it counts as delivered.

        `csms_id`: the CSMS's name of the transaction. A version that needs it must get it for all but Started."""
        return self.transaction(event, csms_id)

    def answered(self, sent: Call | TransactionEvent, action: str, payload: Payload) -> Event:
        """What the answer of the CSMS to `sent` means. Never raises. An action of another version, whose answer comes
        late on a link that speaks this one, says no more than that it was taken."""
        decode = self.answers.get(action)
        if decode is None:
            return TransactionAnswered(sent) if isinstance(sent, TransactionEvent) else CallDone(sent)
        return decode(sent, payload)

    def asked(self, ref: Ref, payload: Payload) -> Request:
        """What the CSMS asks with `ref.action`. RpcError, with the code of this version, when it cannot be read or is
        not done here; whether the version knows the action at all is a question to `schema.Validator.knows`."""
        decode = self.requests.get(ref.action)
        try:
            if decode is None:
                raise RpcError("unsupported", f"{ref.action} is not supported")
            return decode(ref, payload)
        except RpcError as refused:
            raise RpcError(self.error_code(refused.code), refused.why) from None

    def reply(self, action: str, payload: Payload, answer: Answer, station: Station) -> Payload:
        """The payload that answers the request that came as `payload`; RpcError when the answer is a refusal."""
        if isinstance(answer, RefuseCall):
            raise RpcError(self.error_code(answer.code), answer.why)
        return self.replies[action](payload, answer, station)

    def error_code(self, neutral: str) -> str:
        """This version's spelling of a rule (`codes.Rule`) or of a CALLERROR code."""
        by_rule = next((code for rule, code in self.codes.code.items() if rule == neutral), None)
        return by_rule or self.errors.get(neutral, neutral)


def merged(tables: Iterable[Mapping[K, V]]) -> dict[K, V]:
    """One table of many; no row may stand in two."""
    whole: dict[K, V] = {}
    for table in tables:
        assert not whole.keys() & table.keys(), f"told twice: {whole.keys() & table.keys()}"
        whole |= table
    return whole


_MODULES = {"1.6": "agent.ocpp.v16.dialect", "2.0.1": "agent.ocpp.v201.dialect"}
SUBPROTOCOLS: Mapping[str, str] = {"ocpp1.6": "1.6", "ocpp2.0.1": "2.0.1"}
VERSIONS = tuple(_MODULES)


def load(name: str) -> Dialect:
    """The dialect of a version in `VERSIONS`, imported now if it was not."""
    found = import_module(_MODULES[name]).DIALECT
    assert isinstance(found, Dialect)
    return found
