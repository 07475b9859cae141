"""`chargepoint doctor`: each planted fault is named by the right check, and a good station gives no false alarm."""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.config import load
from agent.config_csms import CsmsConfig
from agent.doctor import csms, hardware, host, running
from agent.doctor.report import Check, State
from agent.parts import Parts
from drivers.api import Fault
from drivers.bus import Bus, Policy, SerialSettings, TcpSettings
from drivers.wire import make_bus
from tests.cli.bench_helpers import chargepoint
from tests.conformance.csms import Csms
from tests.edge.link_helpers import csms as server
from tests.edge.link_helpers import idle, raw, saying
from tests.edge.pki import issue
from tests.end_to_end import agent_helpers
from tests.end_to_end.agent_helpers import CARD, Charger, charger, until
from tests.end_to_end.test_composed_session import MADE_OF_PARTS, PILOTS

BAD = (State.WARN, State.FAIL)
SWIFT = "bernecker_mpm3pm"  # a meter that wants no pause between requests, where it does not matter which meter it is
SIGNING = [{"meter": f'driver = "{name}"\nsigning = "required"'} for name in ("em580", "wm3m4")]


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process; the command itself takes its time (below)."""
    for name, value in {"POLL_S": 0.02, "READER_OPENS_S": 0.2, "CLOSES_S": 0.2}.items():
        monkeypatch.setattr(hardware, name, value)
    monkeypatch.setattr(hardware, "opened_s", lambda limits: limits.opens_s / 4)


def at_rest(**plan: Any) -> AbstractAsyncContextManager[Charger]:
    """A charger whose agent does not run."""
    return charger("2.0.1", start=False, **{"meter_map": SWIFT, **plan})


def swift_bus(settings: SerialSettings | TcpSettings, policy: Policy | None) -> Bus:
    return make_bus(settings, Policy(timeout_s=0.2, quarantine_s=0.2))


async def felt(c: Charger, *, read_only: bool = False, card_s: float = 0.0) -> list[Check]:
    """What the doctor finds of the hardware."""
    config = load(str(c.config))
    parts = Parts(config, swift_bus)
    try:
        return [check async for check in hardware.check(config, parts, read_only, card_s)]
    finally:
        await parts.close()


def bad(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.text for check in checks if check.state in BAD}


# --- hardware ------------------------------------------------------------------------------------------------


async def test_a_good_station_gives_no_alarm() -> None:
    async with at_rest(meter_map="eastron_sdm630", evses=2) as c:
        checks = await felt(c)
    assert bad(checks) == {}
    assert {"evse1.contactor", "evse2.meter.values", "bus.line1", "reader2"} <= {check.name for check in checks}


@pytest.mark.parametrize("plan", [{"one_line": True, "evses": 2}, *SIGNING])
async def test_a_good_station_of_another_kind_gives_no_alarm(plan: dict[str, Any]) -> None:
    async with at_rest(**plan) as c:
        assert bad(await felt(c)) == {}


@pytest.mark.parametrize(("signing", "state"), [("required", State.FAIL), ("if-possible", State.WARN)])
async def test_a_meter_that_is_set_up_not_to_sign_is_named(signing: str, state: State) -> None:
    async with at_rest(meter=f'driver = "em580"\nsigning = "{signing}"') as c:
        c.hw.hands.meters[1].signer.signature_type = 2  # type: ignore[attr-defined]
        [check] = [check for check in await felt(c) if check.name == "evse1.meter.signing"]
    assert (check.state, "set up not to sign" in check.text) == (state, True)


async def test_a_meter_that_signs_with_another_key_is_named() -> None:
    async with at_rest(meter='driver = "wm3m4"\nsigning = "required"\npublic_key = "MFkwEwYHKoZIzj0CAQ=="') as c:
        [check] = [check for check in await felt(c) if check.name == "evse1.meter.signing"]
    assert (check.state, check.remedy) == (State.FAIL, "was the meter swapped?")


@pytest.mark.parametrize("pilot", PILOTS)
async def test_a_good_station_made_of_parts_gives_no_alarm(pilot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_helpers, "_EVSE", MADE_OF_PARTS.replace("PILOT", PILOTS[pilot]))
    async with at_rest() as c:
        assert bad(await felt(c)) == {}


CHARGES = {"reference": [28, 160], "heidelberg_ec": [261, 160]}  # by the register of its order


async def charging(c: Charger, evse_map: str) -> None:
    """As an agent left it."""
    at, order = CHARGES[evse_map]
    await c.do("plug-in")
    c.hw.devices["line1", 1].write("holding", at, [order])
    await until(lambda: c.hw.world.points[1].amps > 15.0, "a car that charges")


@pytest.mark.parametrize("evse_map", CHARGES)
@pytest.mark.parametrize("read_only", [True, False])
async def test_a_good_station_that_charges_gives_no_alarm(evse_map: str, read_only: bool) -> None:
    async with at_rest(evse_map=evse_map, max_a=16.0, attached_a=16.0) as c:
        await charging(c, evse_map)
        checks = await felt(c, read_only=read_only)
        drawn_ma = int(await c.see("drawn-ma"))
    assert bad(checks) == {}
    assert (drawn_ma > 15_000) is read_only


SHOWN: dict[Fault, str] = {  # where a fault shows; all others in what the controller reports
    Fault.METER: "evse1.meter",
    Fault.CONTACTOR: "evse1.contactor",
    Fault.UNDER_VOLTAGE: "evse1.meter.voltage",
    Fault.OVER_VOLTAGE: "evse1.meter.voltage",
    Fault.RFID_READER: "reader1",
}


@pytest.mark.parametrize("fault", Fault)
async def test_a_planted_fault_is_named_by_its_check(fault: Fault) -> None:
    async with at_rest() as c:
        await c.do("fault", name=str(fault))
        found = bad(await felt(c))
    assert SHOWN.get(fault, "evse1.faults") in found
    reported = found.pop("evse1.faults", "")
    assert fault is Fault.METER or reported.startswith(f"{fault}: "), "the board reports each, and the words say which"
    assert found.keys() <= {SHOWN.get(fault), "bus.line1"}, "and no other check is alarmed"


@pytest.mark.parametrize(
    ("verb", "args", "name"),
    [
        ("bus", {"device": "evse", "mode": "timeout"}, "evse1.controller"),
        ("bus", {"device": "evse", "mode": "garbage"}, "evse1.controller"),
        ("bus", {"device": "evse", "mode": "slow"}, "evse1.controller"),
        ("bus", {"device": "meter", "mode": "timeout"}, "evse1.meter"),
        ("bus", {"device": "meter", "mode": "garbage"}, "evse1.meter"),
        ("bus", {"device": "meter", "mode": "slow"}, "bus.line1"),
        ("meter", {"silent": True}, "evse1.meter"),
        ("meter", {"rate_w": -4000.0}, "evse1.meter.sign"),
        ("meter", {"rate_w": 4000.0}, "evse1.meter.off"),
        ("meter", {"rate_w": 80_000.0}, "evse1.meter.current"),
        ("power", {"to": "fail"}, "bus.line1"),
        ("ev-state", {"state": "E"}, "evse1.pilot"),
        ("ev-state", {"state": "F"}, "evse1.pilot"),
        ("stop-button", {"reason": "emergency"}, "evse1.stop-button"),
    ],
)
async def test_a_planted_misdeed_is_named_by_its_check(verb: str, args: dict[str, Any], name: str) -> None:
    async with at_rest() as c:
        await c.do(verb, **args)
        found = bad(await felt(c))
    assert name in found


@pytest.mark.parametrize(("wh", "said"), [(1e6, "went back"), (5e6, "wrong unit or scale")])
async def test_a_register_that_leaps_meanwhile_is_named(wh: float, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with at_rest() as c:
        told = hardware._samples

        def leaps(samples: Any) -> Any:
            c.hw.world.points[1].meter.energy_wh = wh
            return told(samples)

        monkeypatch.setattr(hardware, "_samples", leaps)
        found = bad(await felt(c))
    assert (list(found), said in found["evse1.meter.energy"]) == (["evse1.meter.energy"], True)


@pytest.mark.parametrize("reason", ["local", "other"])
async def test_a_pressed_stop_button_is_told_and_alarms_nobody(reason: str) -> None:
    async with at_rest() as c:
        await c.do("stop-button", reason=reason)
        checks = await felt(c)
    [check] = [check for check in checks if check.name == "evse1.stop-button"]
    assert (check.state, reason in check.text, bad(checks)) == (State.NOTE, True, {})


async def test_a_car_that_draws_more_than_a_standing_order_is_named() -> None:
    async with at_rest() as c:
        await charging(c, "reference")
        car = c.hw.world.points[1].car
        assert car is not None
        car.greedy = True
        await until(lambda: c.hw.world.points[1].amps > 20.0, "a car that takes more")
        found = bad(await felt(c, read_only=True))
    assert "16 A are offered" in found["evse1.current"]


@pytest.mark.parametrize("mode", ["timeout", "garbage", "slow"])
async def test_a_board_that_does_not_answer_is_named(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_helpers, "_EVSE", MADE_OF_PARTS.replace("PILOT", PILOTS["module"]))
    async with at_rest() as c:
        await c.do("bus", device="io", mode=mode)
        found = bad(await felt(c))
    assert "io1" in found["evse1.controller"]


async def test_a_contactor_that_does_not_close_is_named() -> None:
    async with at_rest() as c:
        await c.do("contactor", state="stuck", evse=1)
        await c.do("plug-in")
        c.hw.devices["line1", 1].write("holding", 28, [160])
        await until(lambda: c.hw.world.points[1].pilot == "C", "a car that asks")
        found = bad(await felt(c))
    assert "does not close" in found["evse1.contactor"]


async def test_a_welded_contactor_is_called_a_danger() -> None:
    async with at_rest() as c:
        await c.do("fault", name="contactor")
        [check] = [check for check in await felt(c, read_only=True) if check.name == "evse1.contactor"]
    assert (check.state, check.remedy.startswith("DANGER")) == (State.FAIL, True)


@pytest.mark.parametrize(
    ("volts", "said", "what_to_do"),
    [
        ((230.0, 1.0, 229.0), "no voltage at L2-N", "fuses"),
        ((0.0, 0.0, 0.0), "no phase has a voltage", "does it sit behind the contactor?"),
    ],
)
async def test_a_phase_without_voltage_is_told(
    volts: tuple[float, ...], said: str, what_to_do: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.simulated.meter.MAINS_V", volts)
    async with at_rest() as c:
        found = [check for check in await felt(c) if check.state is State.FAIL]
    assert [(said in check.text, check.remedy.startswith(what_to_do)) for check in found] == [(True, True)]


async def test_without_feedback_a_weld_is_said_to_be_invisible() -> None:
    async with at_rest(evse_map="heidelberg_ec") as c:
        [check] = [check for check in await felt(c) if check.name == "evse1.contactor"]
    assert (check.state, "cannot be seen" in check.text) == (State.NOTE, True)


WARM = {"evse_map": "heidelberg_ec", "max_a": 16.0, "attached_a": 16.0, "evse_tables": "[evse.derating]"}


@pytest.mark.parametrize(("celsius", "state"), [(40.0, State.OK), (70.0, State.WARN), (90.0, State.FAIL)])
async def test_the_heat_is_held_against_its_curve(celsius: float, state: State) -> None:
    async with at_rest(**WARM) as c:
        c.hw.world.points[1].temperature_c = celsius
        [check] = [check for check in await felt(c) if check.name == "evse1.derating"]
    assert check.state is state
    assert float(check.text.split()[0]) == pytest.approx(celsius, abs=3.0), "it cools down meanwhile"


async def test_a_curve_that_no_thermometer_serves_is_told() -> None:
    async with at_rest(evse_tables="[evse.derating]") as c:
        found = bad(await felt(c))
    assert "neither meter nor controller tells one" in found["evse1.derating"]


TOLD = {"id": 1, "pilot": "C", "contactor": True, "meter_age_s": 0.5, "offer_a": 16.0, "current_a": 15.8}


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, ""),
        ({"current_a": 18.0}, ""),  # 10 % and half an ampere are allowed
        ({"current_a": 18.2}, "evse1.current"),
        ({"offer_a": 0.0, "contactor": False, "current_a": 3.0}, "evse1.current"),
        ({"offer_a": 0.0, "contactor": False, "current_a": 0.3}, ""),
        ({"temperature_c": 71.0, "temperature_limit_a": 10.0}, "evse1.derating"),
    ],
)
def test_what_the_running_agent_sees_flow_is_held_against_what_it_offers(more: dict[str, Any], name: str) -> None:
    found = [check for check in running._evse({**TOLD, **more}) if check.state in BAD]
    assert [check.name for check in found] == ([name] if name else [])


@pytest.mark.parametrize(
    ("evse_map", "state", "said"),
    [
        ("heidelberg_ec", State.OK, "15 s after the agent has died 0 A are offered"),  # any request feeds it
        ("eprowallbox", State.OK, "15 s after the agent has died 0 A are offered"),  # a register of its own does
        ("delta_ac_max", State.OK, "15 s after the agent has died 0 A are offered"),  # only an order does
        ("alfen_ng9xx", State.WARN, "60 s after the agent has died it offers what is set in the device itself"),
        ("abb_terra_ac", State.WARN, "60 s after the agent has died it offers what is set in the device itself"),
        ("evse_wb", State.WARN, "has no watchdog: if the agent dies while charging, the last offer stands"),
    ],
)
async def test_what_a_controller_of_each_sort_does_without_an_agent_is_said(
    evse_map: str, state: State, said: str
) -> None:
    async with at_rest(evse_map=evse_map, max_a=16.0) as c:
        [check] = [check for check in await felt(c) if check.name == "evse1.watchdog"]
    assert (check.state, said in check.text) == (state, True)


async def test_read_only_writes_nothing() -> None:
    async with at_rest() as c:
        device = c.hw.devices["line1", 1]
        device.write("holding", 28, [100])
        await felt(c, read_only=True)
        assert await c.see("order-ma") == "10000"


async def test_the_wrong_map_is_another_device() -> None:
    async with at_rest(meter_map="eastron_sdm630") as c:
        c.config.write_text(c.config.read_text().replace("eastron_sdm630", "eastron_sdm120"))
        found = bad(await felt(c))
    assert "another device" in found["evse1.meter"]


async def test_a_card_is_asked_for_and_never_shown_whole() -> None:
    async with at_rest() as c:
        config = load(str(c.config))
        parts = Parts(config, make_bus)
        try:
            checks = []
            async for check in hardware.check(config, parts, True, 10.0):
                checks.append(check)
                if check.name == "bus.line1":  # the reader comes next
                    await c.do("tap", tag=CARD, evses=[1])
        finally:
            await parts.close()
    [card] = [check for check in checks if check.name == "reader1"]
    assert (card.state, card.text) == (State.OK, f"read a card, ..{CARD[-4:]}")


# --- the way to the CSMS -------------------------------------------------------------------------------------


async def dialled(url: str, installed: Path | None = None, **more: Any) -> dict[str, Check]:
    one = CsmsConfig(url=url, identity="CP001", versions=("2.0.1", "1.6"), user=None, password=None, **more)
    return {check.name: check async for check in csms.check(one, installed)}


async def test_a_csms_is_reached_and_nothing_is_sent() -> None:
    async with Csms("2.0.1") as central:
        found = await dialled(central.url)
        assert (central.links, central.frames) == (1, [])
    assert [found[f"csms.{step}"].state for step in ("dns", "tcp", "tls", "websocket")] == ["ok", "ok", "note", "ok"]


@pytest.mark.parametrize(
    ("url", "step"),
    [("ws://no-such-host.invalid/ocpp", "dns"), ("ws://127.0.0.1:1/ocpp", "tcp")],
)
async def test_the_step_that_fails_is_named_and_the_later_are_skipped(url: str, step: str) -> None:
    found = await dialled(url)
    assert found[f"csms.{step}"].state is State.FAIL
    assert found["csms.websocket"].state is State.SKIP


async def test_a_server_that_refuses_us_fails_the_last_step() -> None:
    async with raw(saying(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")) as url:
        found = await dialled(url)
    assert (found["csms.tcp"].state, found["csms.websocket"].state) == (State.OK, State.FAIL)


async def test_a_server_that_speaks_no_version_of_ours_fails_the_last_step() -> None:
    async with server(idle, subprotocols=None) as url:
        found = await dialled(url)
    assert "none of our OCPP versions" in found["csms.websocket"].text


async def test_a_certificate_that_nobody_vouches_for_fails_tls(tmp_path: Path) -> None:
    import ssl

    ours, theirs = issue("Ours", at=datetime.now(UTC)), issue("Theirs", at=datetime.now(UTC))
    shown = issue("server", theirs, ca=False, server="127.0.0.1", at=datetime.now(UTC))
    (tmp_path / "ca.pem").write_text(ours.pem)
    (tmp_path / "good.pem").write_text(theirs.pem)
    (tmp_path / "server.pem").write_bytes(shown.pem.encode() + shown.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    async with server(idle, ssl=context) as url:
        refused = await dialled(url, ca_file=str(tmp_path / "ca.pem"))
        taken = await dialled(url, ca_file=str(tmp_path / "good.pem"))
        from_afar = await dialled(url, installed=tmp_path / "good.pem", ca_file=str(tmp_path / "ca.pem"))
    assert "authority that is not in our trust store" in refused["csms.tls"].text
    assert refused["csms.websocket"].state is State.SKIP
    assert (taken["csms.tls"].state, taken["csms.websocket"].state) == (State.OK, State.OK)
    assert from_afar["csms.tls"].state is State.OK


async def test_a_clock_that_differs_from_the_servers_is_told() -> None:
    response = type("Response", (), {"headers": {"Date": "Sat, 01 Jan 2000 00:00:00 GMT"}})
    [check] = csms._clock("csms.websocket", response)
    assert check.state is State.FAIL


# --- the machine ---------------------------------------------------------------------------------------------


async def test_a_key_that_everybody_can_read_is_told() -> None:
    async with charger("2.0.1", start=False) as c:
        config = load(str(c.config))
        folder = Path(config.storage.dir) / "certificates"
        folder.mkdir(parents=True)
        key = folder / "charger.key"
        key.write_text("secret")
        key.chmod(0o644)
        found = bad(list(host.permissions(config)))
        key.chmod(0o640)
        assert "permissions.keys" not in bad(list(host.permissions(config)))
    assert "everybody on this system can read this key" in found["permissions.keys"]


async def test_a_disk_that_cannot_be_written_is_told() -> None:
    async with charger("2.0.1", start=False) as c:
        (c.folder / "memory").write_text("a file, where a folder should be")
        found = bad(list(host.disk(load(str(c.config)))))
    assert "cannot be written" in found["disk"]


def test_a_clock_before_this_program_was_installed_is_told() -> None:
    assert "clock" in bad(list(host.clock(0.0)))


async def test_a_password_in_the_url_is_in_no_report() -> None:
    async with charger("2.0.1", start=False) as c:
        config = load(str(c.config))
        [first, *_] = host.configuration(config, [], "x: ok, CSMS wss://CP001:geheim@csms.example/ocpp")
    assert first.text == "x: ok, CSMS wss://csms.example/ocpp"


# --- the command ---------------------------------------------------------------------------------------------


async def test_the_report_has_a_date_and_is_text_and_json(tmp_path: Path) -> None:
    async with charger("2.0.1", start=False) as c:
        done = await chargepoint("doctor", "--config", str(c.config), "--report", str(tmp_path / "report"))
        assert (c.csms.links, c.csms.frames) == (1, [])
    text, told = (tmp_path / "report").read_text(), json.loads((tmp_path / "report.json").read_text())
    assert (done.code, done.err) == (0, "")
    assert text == done.out
    assert told["utc"] in text.splitlines()[0]
    assert {check["state"] for check in told["checks"]} <= {"ok", "note", "skip"}
    assert {"csms.websocket", "evse1.contactor", "disk.write"} <= {check["name"] for check in told["checks"]}


async def test_a_failure_is_code_1(tmp_path: Path) -> None:
    async with charger("2.0.1", start=False) as c:
        await c.do("fault", name="contactor")
        done = await chargepoint("doctor", "--config", str(c.config), "--json", "--no-csms", "--read-only")
    failed = [check["name"] for check in done.json["checks"] if check["state"] == "fail"]
    assert (done.code, failed) == (1, ["evse1.faults", "evse1.contactor"])


async def test_a_wrong_configuration_is_code_78_and_in_the_report(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("[station]\nvendor = 1\n")
    done = await chargepoint("doctor", "--config", str(file), "--json")
    [check] = done.json["checks"]
    assert (done.code, check["name"], check["state"]) == (78, "configuration", "fail")


@pytest.mark.parametrize(
    ("uptime_s", "evse", "again"),
    [
        (1.0, {"pilot": "A", "meter_age_s": None}, True),
        (1.0, {"pilot": None, "meter_age_s": 0.2}, True),
        (1.0, {"pilot": "A", "meter_age_s": 0.2}, False),
        (60.0, {"pilot": None, "meter_age_s": None}, False),
    ],
)
def test_an_agent_that_has_just_started_is_asked_again(uptime_s: float, evse: dict[str, Any], again: bool) -> None:
    assert running.settles({"uptime_s": uptime_s, "evses": [evse]}) is again


@pytest.mark.parametrize(
    ("evse", "again"),
    [
        ({"contactor": True, "offer_a": 0.0}, True),
        ({"contactor": True, "offer_a": 0.0, "faults": [{"id": "contactor-welded"}]}, False),
        ({"contactor": True, "offer_a": 16.0}, False),
        ({"contactor": False, "offer_a": 0.0}, False),
    ],
)
def test_a_car_that_has_just_lost_its_offer_gets_its_time_to_let_go(evse: dict[str, Any], again: bool) -> None:
    assert running.settles({"uptime_s": 60.0, "evses": [{"pilot": "C", "meter_age_s": 0.2, **evse}]}) is again


@pytest.mark.parametrize(
    ("before", "now", "state"),
    [
        ((1000, 0), (1010, 0), State.OK),
        ((1000, 0), (1010, 1), State.OK),  # a spark
        ((1000, 30), (1010, 30), State.WARN),
        ((1000, 0), (1010, 5), State.FAIL),
        ((100_000, 0), (100_010, 10), State.FAIL),  # a line that was good for a year
        ((100, 40), (110, 40), State.FAIL),
    ],
)
def test_a_line_of_the_running_agent_is_judged_by_what_it_loses_now_and_has_lost(
    before: tuple[int, int], now: tuple[int, int], state: State
) -> None:
    told = [{"name": "rs485", "port": "/dev/x", "questions": asked, "broken": lost} for asked, lost in (before, now)]
    assert running._line(told[1], told[0]).state is state


def test_a_port_that_is_gone_is_told_though_nothing_is_asked_there() -> None:
    gone = {"name": "rs485", "port": "/dev/x", "open": False, "questions": 50, "broken": 0}
    assert running._line(gone, gone).state is State.FAIL


def test_without_a_connection_the_registration_is_not_blamed_too() -> None:
    link = {"state": "waiting", "host": "ws://x", "why": "nobody listens there", "remedy": "is the port right?"}
    found = list(running._link({"link": link, "registration": "None"}))
    assert [(check.name, check.state) for check in found] == [
        ("csms.websocket", State.FAIL),
        ("csms.registration", State.SKIP),
    ]
    assert found[0].remedy == "is the port right?"


async def test_a_running_agent_is_asked_and_not_disturbed() -> None:
    async with charger("2.0.1") as c:
        await c.ready()
        done = await chargepoint("doctor", "--config", str(c.config), "--json")
        assert c.csms.links == 1
        told = {check["name"]: check["state"] for check in done.json["checks"]}
    assert (done.code, told["agent"], told["csms.websocket"], told["evse1.meter"]) == (0, "ok", "ok", "ok")
    assert told["bus.line1"] == "ok"
    assert not set(told.values()) & {"warn", "fail"}


async def test_a_fault_that_the_running_agent_knows_is_told() -> None:
    async with charger("2.0.1") as c:
        await c.ready()
        await c.do("fault", name="ground")
        await c.csms.hear("StatusNotification", len(c.csms.frames) - 1)
        done = await chargepoint("doctor", "--config", str(c.config), "--json")
    failed = {check["name"]: check["text"] for check in done.json["checks"] if check["state"] == "fail"}
    assert (done.code, failed["evse1.faults"].startswith("ground: ")) == (1, True)
