"""A minimal OCPP 1.6 charge point straight on the packages `ocpp` and `websockets`, as their documentation shows.

It is the other side of every ratio: no hardware, no store, no checks of its own. It boots, sends heartbeats and a
status, answers three requests, and sends meter values (`--every S`, or `--drain N` one after the other).

    python -m tests.benchmarks.minimal16 URL [--every S | --drain N]
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint as Base
from ocpp.v16 import call, call_result
from ocpp.v16.enums import Action, ChargePointErrorCode, ChargePointStatus, RegistrationStatus, RemoteStartStopStatus
from websockets.typing import Subprotocol

KEYS = {"HeartbeatInterval": "300", "MeterValueSampleInterval": "60", "NumberOfConnectors": "1"}
VALUES = (
    *(("Voltage", f"L{n}-N", "V", "230.1") for n in (1, 2, 3)),
    *(("Current.Import", f"L{n}", "A", "16.02") for n in (1, 2, 3)),
    ("Power.Active.Import", None, "W", "11040.2"),
    ("Energy.Active.Import.Register", None, "Wh", "123456"),
)


class ChargePoint(Base):  # type: ignore[misc]
    async def boot(self) -> None:
        answer = await self.call(call.BootNotification(charge_point_model="Wallbox", charge_point_vendor="Example"))
        if answer.status == RegistrationStatus.accepted:
            status = call.StatusNotification(1, ChargePointErrorCode.no_error, ChargePointStatus.available)
            await self.call(status)
            await self.beat(answer.interval)

    async def beat(self, interval_s: float) -> None:
        while True:
            await self.call(call.Heartbeat())
            await asyncio.sleep(interval_s)

    async def sample(self) -> None:
        sampled = [
            {"measurand": m, "unit": unit, "value": value} | ({"phase": phase} if phase else {})
            for m, phase, unit, value in VALUES
        ]
        now = datetime.now(UTC).isoformat()
        values = [{"timestamp": now, "sampledValue": sampled}]
        await self.call(call.MeterValues(connector_id=1, transaction_id=7, meter_value=values))

    @on(Action.get_configuration)  # type: ignore[untyped-decorator]
    def on_get_configuration(self, key: list[str] | None = None) -> Any:
        found = [{"key": k, "readonly": False, "value": KEYS[k]} for k in (key or KEYS) if k in KEYS]
        unknown = [k for k in key or [] if k not in KEYS]
        return call_result.GetConfiguration(configuration_key=found, unknown_key=unknown)

    @on(Action.remote_start_transaction)  # type: ignore[untyped-decorator]
    def on_remote_start(self, **_: Any) -> Any:
        return call_result.RemoteStartTransaction(RemoteStartStopStatus.accepted)

    @on(Action.trigger_message)  # type: ignore[untyped-decorator]
    def on_trigger(self, **_: Any) -> Any:
        return call_result.TriggerMessage("Accepted")


async def main(url: str, *words: str) -> None:
    async with websockets.connect(url, subprotocols=[Subprotocol("ocpp1.6")]) as connection:
        charge_point = ChargePoint("CP_1", connection)
        await asyncio.gather(charge_point.start(), charge_point.boot(), work(charge_point, *words))


async def work(charge_point: ChargePoint, kind: str = "", amount: str = "") -> None:
    """Meter values as asked for, a little after the boot."""
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
