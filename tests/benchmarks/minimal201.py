"""A minimal OCPP 2.0.1 charge point straight on the packages `ocpp` and `websockets`; otherwise as `minimal16`.

python -m tests.benchmarks.minimal201 URL [--every S | --drain N]
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from itertools import count
from typing import Any

import websockets
from ocpp.routing import on
from ocpp.v201 import ChargePoint as Base
from ocpp.v201 import call, call_result
from ocpp.v201.enums import Action
from websockets.typing import Subprotocol

VARIABLES = {"HeartbeatInterval": "300", "TxUpdatedInterval": "60"}
VALUES = (
    *(("Voltage", f"L{n}-N", "V", 230.1) for n in (1, 2, 3)),
    *(("Current.Import", f"L{n}", "A", 16.02) for n in (1, 2, 3)),
    ("Power.Active.Import", None, "W", 11040.2),
    ("Energy.Active.Import.Register", None, "Wh", 123456.0),
)


class ChargePoint(Base):  # type: ignore[misc]
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._seq = count()

    async def boot(self) -> None:
        answer = await self.call(
            call.BootNotification(charging_station={"model": "Wallbox", "vendor_name": "Example"}, reason="PowerUp")
        )
        if answer.status == "Accepted":
            now = datetime.now(UTC).isoformat()
            status = call.StatusNotification(timestamp=now, connector_status="Available", evse_id=1, connector_id=1)
            await self.call(status)
            await self.beat(answer.interval)

    async def beat(self, interval_s: float) -> None:
        while True:
            await self.call(call.Heartbeat())
            await asyncio.sleep(interval_s)

    async def sample(self) -> None:
        sampled = [
            {"measurand": m, "unit_of_measure": {"unit": unit}, "value": value} | ({"phase": phase} if phase else {})
            for m, phase, unit, value in VALUES
        ]
        now = datetime.now(UTC).isoformat()
        await self.call(
            call.TransactionEvent(
                event_type="Updated",
                timestamp=now,
                trigger_reason="MeterValuePeriodic",
                seq_no=next(self._seq),
                transaction_info={"transaction_id": "7", "charging_state": "Charging"},
                meter_value=[{"timestamp": now, "sampled_value": sampled}],
            )
        )

    @on(Action.get_variables)  # type: ignore[untyped-decorator]
    def on_get_variables(self, get_variable_data: list[dict[str, Any]], **_: Any) -> Any:
        return call_result.GetVariables(get_variable_result=[answer(asked) for asked in get_variable_data])

    @on(Action.request_start_transaction)  # type: ignore[untyped-decorator]
    def on_request_start(self, **_: Any) -> Any:
        return call_result.RequestStartTransaction(status="Accepted")

    @on(Action.trigger_message)  # type: ignore[untyped-decorator]
    def on_trigger(self, **_: Any) -> Any:
        return call_result.TriggerMessage(status="Accepted")


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    value = VARIABLES.get(asked["variable"]["name"])
    names = {"component": asked["component"], "variable": asked["variable"]}
    if value is None:
        return {"attribute_status": "UnknownVariable", **names}
    return {"attribute_status": "Accepted", "attribute_value": value, **names}


async def main(url: str, *words: str) -> None:
    async with websockets.connect(url, subprotocols=[Subprotocol("ocpp2.0.1")]) as connection:
        charge_point = ChargePoint("CP_1", connection)
        await asyncio.gather(charge_point.start(), charge_point.boot(), work(charge_point, *words))


async def work(charge_point: ChargePoint, kind: str = "", amount: str = "") -> None:
    """Transaction events as asked for, a little after the boot."""
    if kind:
        await asyncio.sleep(1.0)
    if kind == "--every":
        while True:
            await charge_point.sample()
            await asyncio.sleep(float(amount))
    for _ in range(int(amount or 0)):
        await charge_point.sample()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
