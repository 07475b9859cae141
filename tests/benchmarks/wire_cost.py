"""CPU cost of one message through the endpoint and the payload check, beside the package `ocpp`'s own ChargePoint.

Run it by hand: `python -m tests.benchmarks.wire_cost`. No socket, no handler work: what is measured is a command from
text to answer text (parse, check, answer, check, encode), and a message of ours from payload to text and back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from agent.ocpp.codes import V16, V201
from agent.ocpp.rpc import CallIn, Endpoint, ResultIn
from agent.ocpp.schema import Validator

ROUNDS = 3000
METER_VALUE = [
    {
        "timestamp": "2026-01-01T00:00:00Z",
        "sampledValue": [
            {"value": "230.1", "measurand": "Voltage", "phase": f"L{n % 3 + 1}", "unit": "V"} for n in range(8)
        ],
    }
]


def _per_round_us(work: Callable[[int], object]) -> float:
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        for number in range(ROUNDS):
            work(number)
        best = min(best, time.process_time() - start)
    return best / ROUNDS * 1e6


def _ours_command(folder: str, action: str, payload: dict[str, Any], answer: dict[str, Any]) -> float:
    endpoint, validator = Endpoint(V16 if folder == "v16" else V201), Validator(folder)
    body = json.dumps(payload)

    def work(number: int) -> None:
        call = endpoint.receive(f'[2,"{number}","{action}",{body}]', number * 100.0)
        assert isinstance(call, CallIn)
        assert validator.inbound(action, "request", call.payload) is None
        assert validator.outbound(action, "response", answer) is None
        endpoint.result(call.ref, answer)

    return _per_round_us(work)


def _ours_call(folder: str, action: str, payload: dict[str, Any], answer: str) -> float:
    endpoint, validator = Endpoint(V16 if folder == "v16" else V201), Validator(folder)

    def work(number: int) -> None:
        assert validator.outbound(action, "request", payload) is None
        endpoint.call(action, payload, message_id=str(number), now=0.0, timeout_s=30)
        result = endpoint.receive(f'[3,"{number}",{answer}]', 1.0)
        assert isinstance(result, ResultIn)
        assert validator.inbound(action, "response", result.payload) is None

    return _per_round_us(work)


class _Wire:
    """The connection of the other side: swallows what is sent, or answers it at once."""

    def __init__(self, answer: str = "") -> None:
        self.answer = answer
        self.charge_point: Any = None

    async def send(self, text: str) -> None:
        if self.answer:
            await self.charge_point.route_message(f'[3,"{json.loads(text)[1]}",{self.answer}]')


def _package_command() -> float:
    import ocpp.messages
    from ocpp.routing import on
    from ocpp.v16 import ChargePoint, call_result

    ocpp.messages.ASYNC_VALIDATION = False  # its cheaper way: by default a thread checks each message

    class Station(ChargePoint):  # type: ignore[misc]
        @on("RemoteStartTransaction")  # type: ignore[untyped-decorator]
        def on_start(self, **_: Any) -> Any:
            return call_result.RemoteStartTransaction(status="Accepted")

    station = Station("x", _Wire())
    with asyncio.Runner() as runner:
        loop = runner.get_loop()

        def work(number: int) -> None:
            text = f'[2,"{number}","RemoteStartTransaction",{{"idTag":"ABCD","connectorId":1}}]'
            loop.run_until_complete(station.route_message(text))

        return _per_round_us(work)


def _package_call() -> float:
    from ocpp.v16 import ChargePoint, call

    wire = _Wire("{}")
    wire.charge_point = station = ChargePoint("x", wire)
    with asyncio.Runner() as runner:
        loop = runner.get_loop()

        def work(number: int) -> None:
            loop.run_until_complete(
                station.call(call.MeterValues(connector_id=1, meter_value=METER_VALUE, transaction_id=7))
            )

        return _per_round_us(work)


def _schema_memory_kb(folder: str, messages: list[tuple[str, Any]]) -> float:
    tracemalloc.start()
    validator = Validator(folder)
    for action, kind in messages:
        validator.inbound(action, kind, {})
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / 1024


def _line(name: str, ours_us: float, package_us: float | None = None) -> None:
    beside = "" if package_us is None else f"   package {package_us:7.1f} us   ratio {ours_us / package_us:.2f}"
    print(f"{name:44} {ours_us:7.1f} us{beside}")


def main() -> None:
    logging.disable()
    start, answer = {"idTag": "ABCD", "connectorId": 1}, {"status": "Accepted"}
    ours = _ours_command("v16", "RemoteStartTransaction", start, answer)
    _line("RemoteStartTransaction, 1.6, in and answered", ours, _package_command())
    meter = {"connectorId": 1, "transactionId": 7, "meterValue": METER_VALUE}
    _line("MeterValues x8, 1.6, out and answered", _ours_call("v16", "MeterValues", meter, "{}"), _package_call())
    variable = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
    result = {"getVariableResult": [{**variable, "attributeStatus": "Accepted", "attributeValue": "300"}]}
    ours = _ours_command("v201", "GetVariables", {"getVariableData": [variable]}, result)
    _line("GetVariables, 2.0.1, in and answered", ours)
    for folder in ("v16", "v201"):
        every = list(Validator(folder)._files)
        few = [message for message in every if message[0] in ("BootNotification", "Heartbeat", "StatusNotification")]
        sizes = [_schema_memory_kb(folder, messages) for messages in ([], few, every)]
        print(f"schemas {folder}: none {sizes[0]:.0f} kB, six {sizes[1]:.0f} kB, all {len(every)} {sizes[2]:.0f} kB")


if __name__ == "__main__":
    main()
